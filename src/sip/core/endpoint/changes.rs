//! Changes of a call: answering those of the peer, and making our own (RFC 3261 14, RFC 3311).

use std::time::Duration;

use media::time::MonoTime;

use super::Endpoint;
use super::body::APPLICATION_SDP;
use super::call::{Retry, State};
use super::config::GLARE_TRIES_MAX;
use super::event::{CommandError, DialogId, Event, Header};
use super::reply::with_headers;
use super::table::Handle;
use super::transactions::{Purpose, ServerFsm};
use crate::sip::core::headers::HeaderName;
use crate::sip::core::method::Method;

/// The step of the waits after 491 (RFC 3261 14.1).
const GLARE_STEP_MS: u64 = 10;

impl Endpoint {
    /// Accepts the peer's change. `sdp` is the answer, or the offer if the re-INVITE had none.
    ///
    /// # Errors
    /// [`CommandError`]; nothing was sent.
    pub fn accept_reinvite(
        &mut self,
        now: MonoTime,
        dialog: DialogId,
        sdp: &[u8],
    ) -> Result<(), CommandError> {
        let server = self.unanswered(dialog, State::Confirmed)?;
        let bytes = self.opening(server, 200, "OK", Some(sdp), &[])?;
        if let Some(call) = self.calls.get_mut(dialog.0) {
            call.limit_at = MonoTime::MAX;
        }
        let invite =
            self.servers.get(server).is_some_and(|txn| matches!(txn.fsm, ServerFsm::Invite(_)));
        if invite {
            self.accept_with(now, dialog.0, server, bytes, false);
        } else {
            if let Some(call) = self.calls.get_mut(dialog.0) {
                call.server = None;
            }
            self.respond(now, server, 200, bytes);
        }
        Ok(())
    }

    /// Refuses the peer's change, 300 to 699; 488 if the offer cannot be accepted. The call goes on
    /// as before.
    ///
    /// # Errors
    /// [`CommandError`]; nothing was sent.
    pub fn reject_reinvite(
        &mut self,
        now: MonoTime,
        dialog: DialogId,
        status: u16,
        reason: &str,
        headers: &[Header<'_>],
    ) -> Result<(), CommandError> {
        let server = self.unanswered(dialog, State::Confirmed)?;
        if !(300..700).contains(&status) {
            return Err(CommandError::State);
        }
        let bytes = self.built(server, status, reason, |_, r, _| with_headers(r, headers))?;
        if let Some(call) = self.calls.get_mut(dialog.0) {
            call.server = None;
            call.limit_at = MonoTime::MAX;
        }
        self.respond(now, server, status, bytes);
        Ok(())
    }

    /// Changes the call by a re-INVITE with this offer, or one that asks the peer for its offer.
    /// Ends in `ReinviteAnswered` or `ReinviteFailed`; a change of the peer at the same time (491)
    /// is waited out and ours tried again.
    ///
    /// # Errors
    /// [`CommandError`]; nothing was sent.
    pub fn reinvite(
        &mut self,
        now: MonoTime,
        dialog: DialogId,
        sdp: Option<&[u8]>,
    ) -> Result<(), CommandError> {
        let call = self.calls.get(dialog.0).ok_or(CommandError::NoSuchCall)?;
        if call.state != State::Confirmed || call.parting.is_some() {
            return Err(CommandError::State);
        }
        if call.server.is_some()
            || call.client.is_some()
            || call.unacked.is_some()
            || call.ack_owed.is_some()
            || call.retry.is_some()
        {
            return Err(CommandError::Busy);
        }
        self.send_reinvite(now, dialog.0, sdp)?;
        if let Some(call) = self.calls.get_mut(dialog.0) {
            // Kept in case the change meets one of the peer.
            let sdp = sdp.map(<[u8]>::to_vec);
            call.retry = Some(Box::new(Retry { at: MonoTime::MAX, sdp, tries: 0 }));
        }
        Ok(())
    }

    fn send_reinvite(
        &mut self,
        now: MonoTime,
        handle: Handle,
        sdp: Option<&[u8]>,
    ) -> Result<(), CommandError> {
        let call = self.calls.get(handle).ok_or(CommandError::NoSuchCall)?;
        let contact = Self::contact(call.flow, &call.contact_user, call.secure);
        let allow = self.allow.clone();
        let client = self.request_within(now, handle, Method::Invite, Purpose::Reinvite, |r| {
            let request = r.header(HeaderName::Contact, &contact).header(HeaderName::Allow, &allow);
            match sdp {
                Some(sdp) => request.body(APPLICATION_SDP, sdp),
                None => request,
            }
        })?;
        if let Some(call) = self.calls.get_mut(handle) {
            call.client = Some(client);
            call.offered = sdp.is_some();
        }
        Ok(())
    }

    /// Our change met one of the peer: waits, longer if we opened the call (RFC 3261 14.1).
    pub(super) fn wait_out_glare(&mut self, now: MonoTime, handle: Handle) -> bool {
        let outgoing = self.calls.get(handle).is_some_and(|call| call.outgoing);
        let steps = if outgoing { 210 + self.ids.below(191) } else { self.ids.below(201) };
        let Some(call) = self.calls.get_mut(handle) else { return false };
        let Some(retry) = call.retry.as_mut().filter(|r| r.tries < GLARE_TRIES_MAX) else {
            return false;
        };
        retry.tries += 1;
        retry.at = now + Duration::from_millis(steps * GLARE_STEP_MS);
        self.arm_call(handle);
        true
    }

    /// The wait after 491 is over.
    pub(super) fn retry_change(&mut self, now: MonoTime, handle: Handle) {
        let Some(call) = self.calls.get_mut(handle) else { return };
        let Some(retry) = call.retry.as_mut() else { return };
        retry.at = MonoTime::MAX;
        let sdp = retry.sdp.clone();
        if self.send_reinvite(now, handle, sdp.as_deref()).is_err() {
            self.change_failed(handle, 503, "Service Unavailable");
        }
    }

    /// Our change is refused for good.
    pub(super) fn change_failed(&mut self, handle: Handle, status: u16, reason: &str) {
        if let Some(call) = self.calls.get_mut(handle) {
            call.retry = None;
            let dialog = DialogId(handle);
            self.events.push_back(Event::ReinviteFailed { dialog, status, reason: reason.into() });
        }
    }
}
