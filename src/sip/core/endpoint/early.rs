//! Early dialogs of a call that we place: provisional responses and their PRACK (RFC 3262 4).
//!
//! A forked INVITE makes several, told apart by the tag in To. Each has its own numbers; the one
//! whose branch answers becomes the call's dialog.

use media::time::MonoTime;

use super::Endpoint;
use super::body::{APPLICATION_SDP, sdp_of};
use super::call::Call;
use super::config::{FORKS_MAX, PRACKS_MAX};
use super::event::{CommandError, DialogId, Event};
use super::extensions::{RELIABLE, lists};
use super::flow::Flow;
use super::reliable::Reliability;
use super::table::Handle;
use super::transactions::Purpose;
use crate::sip::core::dialog::Dialog;
use crate::sip::core::headers::{HeaderName, rseq_number};
use crate::sip::core::message::Message;
use crate::sip::core::method::Method;
use crate::sip::core::sdp::Sdp;

/// An early dialog.
pub(super) struct Early {
    pub(super) dialog: Dialog,
    /// Number of the latest reliable response.
    rseq: Option<u32>,
    /// Number of the reliable response whose offer waits for `prack_with`.
    owed: Option<u32>,
    /// The latest description that came in it.
    pub(super) sdp: Option<Sdp>,
    /// Offer and answer have been exchanged reliably, so that an UPDATE may change them.
    pub(super) settled: bool,
}

impl Call {
    /// The dialog with this tag of the peer: an early one before the answer of a call that we
    /// place, the call's own otherwise.
    pub(super) fn dialog_with(&mut self, tag: Option<&str>) -> &mut Dialog {
        match self.early.iter().position(|early| early.dialog.remote_tag() == tag) {
            Some(at) if self.is_calling() => match self.early.get_mut(at) {
                Some(early) => &mut early.dialog,
                None => &mut self.dialog,
            },
            _ => &mut self.dialog,
        }
    }

    /// The latest early dialog in which offer and answer are settled.
    pub(super) fn settled_early(&self) -> Option<usize> {
        self.early.iter().rposition(|early| early.settled)
    }
}

impl Endpoint {
    /// A provisional response other than 100 to the INVITE of a call that we place.
    pub(super) fn progress(
        &mut self,
        now: MonoTime,
        client: Handle,
        handle: Handle,
        response: &Message,
        status: u16,
    ) {
        let at = self.early_of(client, handle, response);
        let Some(call) = self.calls.get_mut(handle) else { return };
        if status == EARLY_DIALOG_TERMINATED {
            if let Some(at) = at {
                call.early.remove(at);
            }
            return;
        }
        let (offered, reliability) = (call.offered, call.reliability);
        let required = lists(response, HeaderName::Require, RELIABLE);
        let number = response.header(HeaderName::RSeq).and_then(|text| rseq_number(text).ok());
        let rseq = number.filter(|_| required && reliability != Reliability::Off);
        let sdp = sdp_of(response).ok().flatten();
        let early = at.and_then(|at| call.early.get_mut(at));
        if let Some(rseq) = rseq {
            // What cannot be acknowledged, a copy, and what came before another that is missing is
            // not looked at (RFC 3262 4): it comes again.
            let Some(early) = early else { return };
            if early.rseq.is_some_and(|last| rseq != last.wrapping_add(1))
                || call.pracks >= PRACKS_MAX
            {
                return;
            }
            call.pracks += 1;
            early.rseq = Some(rseq);
            early.dialog.refresh_target(response);
            let owes = !offered && sdp.is_some() && !early.settled;
            early.settled |= sdp.is_some() && !owes;
            early.owed = owes.then_some(rseq);
            early.sdp = sdp.clone().or(early.sdp.take());
            if let Some(at) = at.filter(|_| !owes) {
                // Without room for it the response comes again, or the callee gives up.
                let _ = self.send_prack(now, handle, client, at, rseq, None);
            }
        } else if let Some(early) = early {
            early.sdp = sdp.clone().or(early.sdp.take());
        }
        if let Some(call) = self.calls.get_mut(handle) {
            call.heard(response);
        }
        self.events.push_back(Event::Ringing { dialog: DialogId(handle), status, sdp });
    }

    /// The early dialog that a response belongs to; it is opened if there is room.
    fn early_of(&mut self, client: Handle, handle: Handle, response: &Message) -> Option<usize> {
        let call = self.calls.get_mut(handle)?;
        let to = response.to().ok()?;
        let tag = Some(to.tag()?);
        let known = call.early.iter().position(|early| early.dialog.remote_tag() == tag);
        if known.is_some() || call.early.len() >= FORKS_MAX {
            return known;
        }
        let invite = Message::parse(self.clients.get(client)?.request.clone()).ok()?;
        let dialog = Dialog::answered(&invite, response).ok()?;
        let early = Early { dialog, rseq: None, owed: None, sdp: None, settled: false };
        call.early.push(early);
        Some(call.early.len() - 1)
    }

    /// Acknowledges a reliable response.
    fn send_prack(
        &mut self,
        now: MonoTime,
        handle: Handle,
        client: Handle,
        at: usize,
        rseq: u32,
        sdp: Option<&[u8]>,
    ) -> Result<(), CommandError> {
        let cseq = self.clients.get(client).map_or(0, |txn| txn.cseq);
        let rack = format!("{rseq} {cseq} {}", Method::Invite);
        self.request_in(now, handle, Some(at), Method::Prack, Purpose::Prack, |request| {
            let request = request.header(HeaderName::RAck, &rack);
            match sdp {
                Some(sdp) => request.body(APPLICATION_SDP, sdp),
                None => request,
            }
        })?;
        Ok(())
    }

    /// Answers the offer of a reliable response to an INVITE of ours without one.
    ///
    /// # Errors
    /// [`CommandError`]; nothing was sent.
    pub fn prack_with(
        &mut self,
        now: MonoTime,
        dialog: DialogId,
        sdp: &[u8],
    ) -> Result<(), CommandError> {
        let call = self.calls.get(dialog.0).ok_or(CommandError::NoSuchCall)?;
        let client = call.client.filter(|_| call.is_calling()).ok_or(CommandError::State)?;
        let at = call.early.iter().rposition(|early| early.owed.is_some());
        let early = at.and_then(|at| Some((at, call.early.get(at)?.owed?)));
        let (at, rseq) = early.ok_or(CommandError::State)?;
        self.send_prack(now, dialog.0, client, at, rseq, Some(sdp))?;
        if let Some(call) = self.calls.get_mut(dialog.0) {
            call.local_sdp = Some(sdp.into());
            if let Some(early) = call.early.get_mut(at) {
                (early.owed, early.settled) = (None, true);
            }
        }
        Ok(())
    }

    /// The early dialog of the branch that answered becomes the call's dialog. Gives back what it
    /// had: its latest description, and whether offer and answer are settled.
    pub(super) fn choose_early(
        &mut self,
        handle: Handle,
        flow: Flow,
        response: &Message,
    ) -> (Option<Sdp>, bool) {
        let Some(call) = self.calls.get_mut(handle) else { return (None, false) };
        call.flow = flow;
        let tag = response.to().ok().and_then(|to| to.tag());
        let early = std::mem::take(&mut call.early);
        let chosen = early.into_iter().find(|early| early.dialog.remote_tag() == tag);
        match chosen {
            Some(early) => {
                call.dialog = early.dialog;
                (early.sdp, early.settled)
            }
            None => (None, false),
        }
    }
}

/// A proxy says that one branch of the fork is over (RFC 6228).
const EARLY_DIALOG_TERMINATED: u16 = 199;
