//! Calls that come in: INVITE, its responses, their ACK.

use media::time::MonoTime;

use super::Endpoint;
use super::body::{APPLICATION_SDP, BodyError, sdp_of};
use super::call::{Call, State, Unacked, is_direct};
use super::config::PROVISIONAL_REPEAT;
use super::event::{CommandError, DialogId, Event, Header};
use super::extensions::RELIABLE;
use super::flow::Flow;
use super::guard::Proof;
use super::ids::{tag_number, tag_text};
use super::receive::NO_DIALOG;
use super::reply::{ACCEPT, refusal, with_headers};
use super::table::Handle;
use super::transactions::merge_key;
use crate::sip::core::dialog::{Dialog, DialogError};
use crate::sip::core::headers::HeaderName;
use crate::sip::core::message::Message;
use crate::sip::core::sdp::Sdp;
use crate::sip::core::transaction::Clock;
use crate::sip::core::validate::{Refusal, check_hops};
use crate::sip::core::write::ResponseBuilder;

/// What a body that cannot be used is refused with.
pub(super) fn body_refusal(error: BodyError) -> Refusal {
    match error {
        BodyError::Unsupported => {
            refusal(415, "Unsupported Media Type", HeaderName::Accept, ACCEPT)
        }
        BodyError::Encoding => {
            refusal(415, "Unsupported Media Type", HeaderName::AcceptEncoding, "identity")
        }
        BodyError::Malformed => Refusal::new(400, "Malformed Session Description"),
    }
}

impl Endpoint {
    /// An INVITE outside of dialogs.
    pub(super) fn handle_invite(
        &mut self,
        now: MonoTime,
        flow: Flow,
        request: Message,
        user: Option<Box<str>>,
    ) {
        let replaced = self.replaced(&request);
        let admitted = replaced.and_then(|replaced| Ok((self.admit(&request)?, replaced)));
        let ((offer, dialog, merge, tag), replaced) = match admitted {
            Ok(admitted) => admitted,
            Err(refusal) => return self.refuse(flow, &request, &refusal),
        };
        let mut call = Call::new(State::Incoming, dialog, tag, flow);
        call.contact_user = self.config.contact_user.as_str().into();
        call.direct = is_direct(flow, &request);
        call.offered = offer.is_some();
        call.replaces = replaced;
        call.heard(&request);
        let proof = |user: &str| Proof { user: user.into(), address: flow.peer.ip() };
        call.proof = user.as_deref().map(proof).map(Box::new);
        call.limit_at = now + self.answer_limit(&request);
        let Some(handle) = self.insert_call(call) else {
            return self.refuse(flow, &request, &self.overload());
        };
        let Some(server) = self.begin_server(flow, &request, Some(handle), tag) else {
            return self.remove_call(now, handle);
        };
        if let Some(merge) = merge
            && let Some(txn) = self.servers.get_mut(server)
        {
            txn.merge = Some(merge);
            self.merges.insert(merge, server);
        }
        if let Some(call) = self.calls.get_mut(handle) {
            call.server = Some(server);
        }
        self.counters.calls_in += 1;
        self.respond_with(now, server, 100, "Trying", |_, response, _| response);
        self.arm_call(handle);
        let dialog = DialogId(handle);
        self.events.push_back(Event::Incoming { dialog, request, flow, user, offer });
    }

    /// What an INVITE must fulfil to become a call.
    fn admit(
        &mut self,
        request: &Message,
    ) -> Result<(Option<Sdp>, Dialog, Option<u128>, u64), Refusal> {
        let merge = merge_key(self, request);
        if merge.is_some_and(|merge| self.merges.contains_key(&merge)) {
            return Err(Refusal::new(482, "Merged Request"));
        }
        if self.is_loop(request) {
            return Err(Refusal::new(482, "Loop Detected"));
        }
        check_hops(request)?;
        if self.refusing.is_some() || self.calls.is_full() || self.servers.is_full() {
            return Err(self.overload());
        }
        let offer = sdp_of(request).map_err(body_refusal)?;
        if let Some(refusal) = self.too_short(request) {
            return Err(refusal);
        }
        let tag = self.ids.number();
        let dialog = Dialog::called(request, &tag_text(tag)).map_err(|error| match error {
            DialogError::Header => Refusal::new(400, "Bad Request"),
            DialogError::Contact => Refusal::new(400, "Missing SIP Contact"),
            DialogError::TooLong => Refusal::new(513, "Message Too Large"),
        })?;
        Ok((offer, dialog, merge, tag))
    }

    /// How long the call may wait for its answer: what the caller allows (RFC 3261 13.3.1), but not
    /// longer than configured.
    fn answer_limit(&self, request: &Message) -> std::time::Duration {
        let expires = request.header(HeaderName::Expires).and_then(|text| text.parse().ok());
        let limit = self.config.limits.answer_limit;
        match expires {
            Some(seconds) if seconds > 0 => limit.min(std::time::Duration::from_secs(seconds)),
            _ => limit,
        }
    }

    /// Sends a provisional response, 101 to 199; reliably, if the caller and
    /// [`Reliability`](super::Reliability) want it so: then it may wait for the one before.
    ///
    /// # Errors
    /// [`CommandError`]; nothing was sent.
    pub fn provisional(
        &mut self,
        now: MonoTime,
        dialog: DialogId,
        status: u16,
        reason: &str,
        sdp: Option<&[u8]>,
        headers: &[Header<'_>],
    ) -> Result<(), CommandError> {
        let server = self.unanswered(dialog, State::Incoming)?;
        if !(101..200).contains(&status) || self.is_held(dialog.0) {
            return Err(CommandError::State);
        }
        if self.is_reliable(dialog.0, server, sdp.is_some()) {
            // One description is enough (RFC 3261 13.2.1).
            let sdp = sdp.filter(|_| !self.is_described(dialog.0));
            let write = |endpoint: &Self, rseq: &str| {
                let mut headers = headers.to_vec();
                headers.extend([("Require", RELIABLE), ("RSeq", rseq)]);
                endpoint.opening(server, status, reason, sdp, &headers)
            };
            self.provide(now, dialog.0, server, status, write, sdp.is_some())?;
            self.keep_local(dialog.0, sdp);
        } else {
            let bytes = self.opening(server, status, reason, sdp, headers)?;
            self.respond(now, server, status, bytes);
        }
        if let Some(call) = self.calls.get_mut(dialog.0) {
            call.repeat_at = now + PROVISIONAL_REPEAT;
        }
        self.arm_call(dialog.0);
        Ok(())
    }

    /// Answers a call with 200. `sdp` is the answer, or the offer if the INVITE had none; it is
    /// left out if a reliable provisional response had it, for whose PRACK the 200 waits
    /// (RFC 3262 3).
    ///
    /// # Errors
    /// [`CommandError`]; nothing was sent.
    pub fn answer(
        &mut self,
        now: MonoTime,
        dialog: DialogId,
        sdp: Option<&[u8]>,
        headers: &[Header<'_>],
    ) -> Result<(), CommandError> {
        let server = self.unanswered(dialog, State::Incoming)?;
        if self.is_held(dialog.0) {
            return Err(CommandError::State);
        }
        let sdp = sdp.filter(|_| !self.is_described(dialog.0));
        let bytes = self.opening(server, 200, "OK", sdp, headers)?;
        self.keep_local(dialog.0, sdp);
        if let Some(bytes) = self.hold(dialog.0, bytes) {
            self.send_answer(now, dialog.0, server, bytes);
        }
        Ok(())
    }

    /// Remembers the description that holds.
    fn keep_local(&mut self, handle: Handle, sdp: Option<&[u8]>) {
        if let Some(sdp) = sdp
            && let Some(call) = self.calls.get_mut(handle)
        {
            call.local_sdp = Some(sdp.into());
        }
    }

    /// Sends the 200 that answers a call.
    pub(super) fn send_answer(
        &mut self,
        now: MonoTime,
        handle: Handle,
        server: Handle,
        bytes: bytes::Bytes,
    ) {
        if let Some(call) = self.calls.get_mut(handle) {
            call.state = State::Confirmed;
            call.repeat_at = MonoTime::MAX;
            call.limit_at = MonoTime::MAX;
        }
        self.start_timer(now, handle, server);
        self.accept_with(now, handle, server, bytes, true);
    }

    /// Refuses a call, 300 to 699. The call has ended; no event follows.
    ///
    /// # Errors
    /// [`CommandError`]; nothing was sent.
    pub fn reject(
        &mut self,
        now: MonoTime,
        dialog: DialogId,
        status: u16,
        reason: &str,
        headers: &[Header<'_>],
    ) -> Result<(), CommandError> {
        let server = self.unanswered(dialog, State::Incoming)?;
        if !(300..700).contains(&status) {
            return Err(CommandError::State);
        }
        let bytes = self.built(server, status, reason, |_, r, _| with_headers(r, headers))?;
        self.respond(now, server, status, bytes);
        self.remove_call(now, dialog.0);
        Ok(())
    }

    /// The transaction of the peer's request that a call in `state` owes an answer.
    pub(super) fn unanswered(
        &self,
        dialog: DialogId,
        state: State,
    ) -> Result<Handle, CommandError> {
        let call = self.calls.get(dialog.0).ok_or(CommandError::NoSuchCall)?;
        call.server.filter(|_| call.state == state).ok_or(CommandError::State)
    }

    /// Writes a response that can be refused for what the user put into it.
    pub(super) fn built(
        &self,
        server: Handle,
        status: u16,
        reason: &str,
        finish: impl for<'a> FnOnce(&Self, ResponseBuilder<'a>, &'a Message) -> ResponseBuilder<'a>,
    ) -> Result<bytes::Bytes, CommandError> {
        let txn = self.servers.get(server).ok_or(CommandError::State)?;
        let request = txn.request.as_ref().ok_or(CommandError::State)?;
        let response = self.response(request, txn.reply, status, reason, txn.tag);
        Ok(finish(self, response, request).try_build()?)
    }

    /// Writes a response that opens or changes a dialog (RFC 3261 12.1.1).
    pub(super) fn opening(
        &self,
        server: Handle,
        status: u16,
        reason: &str,
        sdp: Option<&[u8]>,
        headers: &[Header<'_>],
    ) -> Result<bytes::Bytes, CommandError> {
        let txn = self.servers.get(server).ok_or(CommandError::State)?;
        let call =
            txn.call.and_then(|call| self.calls.get(call)).ok_or(CommandError::NoSuchCall)?;
        let contact = self.contact(txn.reply.flow, &call.contact_user);
        self.built(server, status, reason, |endpoint, response, request| {
            let response = response
                .record_route(request)
                .header(HeaderName::Contact, &contact)
                .header(HeaderName::Allow, &endpoint.allow);
            let mut response = with_headers(endpoint.supporting(response), headers);
            if let Some(grant) = endpoint.grant(server).filter(|_| status / 100 == 2) {
                for (name, value) in grant.headers() {
                    response = response.header(name, &value);
                }
            }
            match sdp {
                Some(sdp) => response.body(APPLICATION_SDP, sdp),
                None => response,
            }
        })
    }

    /// Sends a 2xx to an INVITE and retransmits it until its ACK, on any transport
    /// (RFC 3261 13.3.1.4).
    pub(super) fn accept_with(
        &mut self,
        now: MonoTime,
        handle: Handle,
        server: Handle,
        bytes: bytes::Bytes,
        first: bool,
    ) {
        let timers = self.config.timers;
        let Some(txn) = self.servers.get(server) else { return };
        let (reply, request) = (txn.reply, txn.request.as_ref());
        let cseq = request.and_then(|r| r.cseq().ok()).map_or(0, |cseq| cseq.number);
        let Some(call) = self.calls.get_mut(handle) else { return };
        let mut clock = Clock::IDLE;
        clock.resend_after(now, timers.t1, false);
        clock.expire_at = now + timers.limit();
        let offered = !(call.offered || first && call.settled);
        let response = bytes.clone();
        call.unacked = Some(Box::new(Unacked { response, reply, cseq, clock, offered, first }));
        call.server = None;
        self.respond(now, server, 200, bytes);
        self.arm_call(handle);
    }

    /// An ACK that no transaction took: that of a 2xx.
    pub(super) fn acknowledged(&mut self, now: MonoTime, flow: Flow, ack: &Message) {
        let found = self.call_of(ack);
        let number = ack.cseq().map(|cseq| cseq.number);
        let tag = ack.from().ok().and_then(|from| from.tag());
        let call = found.and_then(|handle| self.calls.get_mut(handle));
        let (Some(handle), Some(call), Ok(call_id)) = (found, call, ack.call_id()) else {
            // The ACK of a refusal that kept nothing is no stray.
            let refused = ack.to().ok().and_then(|to| tag_number(to.tag()?));
            if refused != Some(self.stateless_tag(ack)) {
                self.counters.stray_acks += 1;
            }
            return;
        };
        let waited = call.unacked.as_ref().is_some_and(|u| Ok(u.cseq) == number);
        if !waited || !call.dialog.matches(call_id, tag) {
            self.counters.stray_acks += 1;
            return;
        }
        call.moved(flow, ack);
        let answer = sdp_of(ack).ok().flatten();
        self.settle_ack(now, handle, answer);
    }

    /// Our 2xx has arrived.
    pub(super) fn settle_ack(&mut self, now: MonoTime, handle: Handle, answer: Option<Sdp>) {
        let Some(call) = self.calls.get_mut(handle) else { return };
        let Some(unacked) = call.unacked.take() else { return };
        if let Some(headers) = call.parting.take() {
            return self.send_bye(now, handle, &headers);
        }
        if (unacked.first || unacked.offered) && call.state == State::Confirmed {
            let answer = answer.filter(|_| unacked.offered);
            self.events.push_back(Event::Acked { dialog: DialogId(handle), answer });
        }
    }

    /// The peer withdrew an INVITE, which has been answered with 487.
    pub(super) fn withdrawn(
        &mut self,
        now: MonoTime,
        call: Option<Handle>,
        server: Handle,
        reason: Option<Box<str>>,
    ) {
        let Some(handle) = call else { return };
        let Some(call) = self.calls.get_mut(handle).filter(|c| c.server == Some(server)) else {
            return;
        };
        call.server = None;
        if call.state == State::Incoming {
            self.tell_end(handle, |dialog| Event::Cancelled { dialog, reason });
            self.remove_call(now, handle);
        } else {
            call.limit_at = MonoTime::MAX;
            self.events.push_back(Event::ReinviteCancelled { dialog: DialogId(handle) });
        }
    }

    /// The call that a request within a dialog belongs to.
    pub(super) fn member(&self, request: &Message) -> Result<Handle, Refusal> {
        let handle = self.call_of(request).ok_or(NO_DIALOG)?;
        let call = self.calls.get(handle).ok_or(NO_DIALOG)?;
        let (Ok(call_id), Ok(from)) = (request.call_id(), request.from()) else {
            return Err(NO_DIALOG);
        };
        // Before the answer the callee's tag is not settled: our own, which only it knows, decides.
        let early = matches!(call.state, State::Calling | State::Cancelling);
        let belongs = if early {
            call.dialog.call_id() == call_id
        } else {
            call.dialog.matches(call_id, from.tag())
        };
        if belongs { Ok(handle) } else { Err(NO_DIALOG) }
    }
}
