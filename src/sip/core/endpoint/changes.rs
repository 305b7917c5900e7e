//! Changes of a call: answering those of the peer, and making our own (RFC 3261 14, RFC 3311).

use std::time::Duration;

use bytes::Bytes;
use media::time::MonoTime;

use super::Endpoint;
use super::body::APPLICATION_SDP;
use super::call::{Call, Change, Retry, State};
use super::config::GLARE_TRIES_MAX;
use super::event::{CommandError, DialogId, Event, Header};
use super::outgoing::with_fields;
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
        if self.calls.get(dialog.0).is_some_and(|call| call.asked.is_some()) {
            return self.accept_early(now, dialog, sdp);
        }
        let server = self.unanswered(dialog, State::Confirmed)?;
        let bytes = self.opening(server, 200, "OK", Some(sdp), &[])?;
        if let Some(call) = self.calls.get_mut(dialog.0) {
            call.limit_at = MonoTime::MAX;
            call.local_sdp = Some(sdp.into());
        }
        self.start_timer(now, dialog.0, server);
        let invite =
            self.servers.get(server).is_some_and(|txn| matches!(txn.fsm, ServerFsm::Invite(_)));
        if invite {
            self.accept_with(now, dialog.0, server, bytes, false);
        } else {
            if let Some(call) = self.calls.get_mut(dialog.0) {
                call.server = None;
            }
            self.respond(now, server, 200, bytes);
            self.arm_call(dialog.0);
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
        let early = self.calls.get(dialog.0).and_then(|call| call.asked);
        let server = match early {
            Some(asked) => asked,
            None => self.unanswered(dialog, State::Confirmed)?,
        };
        if !(300..700).contains(&status) {
            return Err(CommandError::State);
        }
        let bytes = self.built(server, status, reason, |_, r, _| with_headers(r, headers))?;
        if early.is_some() {
            return self.finish_early(now, dialog.0, server, status, bytes);
        }
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
        if call.is_changing() {
            return Err(CommandError::Busy);
        }
        self.send_reinvite(now, dialog.0, sdp)?;
        if let Some(call) = self.calls.get_mut(dialog.0) {
            // Kept in case the change meets one of the peer.
            let sdp = sdp.map(<[u8]>::to_vec);
            let change = Change::Reinvite;
            call.retry = Some(Box::new(Retry { at: MonoTime::MAX, sdp, tries: 0, change }));
        }
        Ok(())
    }

    /// Fields of a request that changes or refreshes a session.
    pub(super) fn session_fields(&self, call: &Call) -> Vec<(HeaderName, String)> {
        let mut fields = vec![
            (HeaderName::Contact, self.contact(call.flow, &call.contact_user)),
            (HeaderName::Allow, self.allow.clone()),
        ];
        if !self.tags.is_empty() {
            fields.push((HeaderName::Supported, self.tags.join(", ")));
        }
        if let Some(config) = &self.config.session_timer
            && call.state == State::Confirmed
        {
            fields.extend(call.timer.request_headers(config).into_iter().flatten());
        }
        fields
    }

    pub(super) fn send_reinvite(
        &mut self,
        now: MonoTime,
        handle: Handle,
        sdp: Option<&[u8]>,
    ) -> Result<(), CommandError> {
        let call = self.calls.get(handle).ok_or(CommandError::NoSuchCall)?;
        let fields = self.session_fields(call);
        let client = self.request_within(now, handle, Method::Invite, Purpose::Reinvite, |r| {
            let request = with_fields(r, &fields);
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

    /// Accepts the peer's offer before the answer.
    fn accept_early(
        &mut self,
        now: MonoTime,
        dialog: DialogId,
        sdp: &[u8],
    ) -> Result<(), CommandError> {
        let call = self.calls.get(dialog.0).ok_or(CommandError::NoSuchCall)?;
        let server = call.asked.ok_or(CommandError::State)?;
        let bytes = self.opening(server, 200, "OK", Some(sdp), &[])?;
        if let Some(call) = self.calls.get_mut(dialog.0) {
            call.local_sdp = Some(sdp.into());
            // What holds now is no answer to our INVITE any more.
            call.early.iter_mut().for_each(|early| early.sdp = None);
        }
        self.finish_early(now, dialog.0, server, 200, bytes)
    }

    fn finish_early(
        &mut self,
        now: MonoTime,
        handle: Handle,
        server: Handle,
        status: u16,
        bytes: Bytes,
    ) -> Result<(), CommandError> {
        if let Some(call) = self.calls.get_mut(handle) {
            call.asked = None;
            call.asked_at = MonoTime::MAX;
        }
        self.respond(now, server, status, bytes);
        self.release(now, handle);
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

    /// Our change is tried again as soon as may be.
    pub(super) fn retry_now(&mut self, now: MonoTime, handle: Handle) -> bool {
        let Some(call) = self.calls.get_mut(handle) else { return false };
        let Some(retry) = call.retry.as_mut().filter(|r| r.tries < GLARE_TRIES_MAX) else {
            return false;
        };
        retry.tries += 1;
        retry.at = now;
        self.arm_call(handle);
        true
    }

    /// The wait after 491 or 422 is over.
    pub(super) fn retry_change(&mut self, now: MonoTime, handle: Handle) {
        let Some(call) = self.calls.get_mut(handle) else { return };
        let Some(retry) = call.retry.as_mut() else { return };
        retry.at = MonoTime::MAX;
        let (sdp, update) = (retry.sdp.clone(), retry.change == Change::Update);
        let sent = if update {
            self.send_update(now, handle, sdp.as_deref(), Purpose::Update)
        } else {
            self.send_reinvite(now, handle, sdp.as_deref())
        };
        if sent.is_err() {
            self.change_failed(now, handle, 503, "Service Unavailable");
        }
    }

    /// Our change is refused for good.
    pub(super) fn change_failed(
        &mut self,
        now: MonoTime,
        handle: Handle,
        status: u16,
        reason: &str,
    ) {
        if let Some(call) = self.calls.get_mut(handle) {
            if call.retry.take().is_some_and(|retry| retry.change == Change::Refresh) {
                return self.refresh_refused(now, handle);
            }
            let dialog = DialogId(handle);
            self.events.push_back(Event::ReinviteFailed { dialog, status, reason: reason.into() });
        }
    }
}
