//! Requests of the peer within a dialog (RFC 3261 12.2.2): BYE, INFO, OPTIONS, re-INVITE, and
//! what others take care of.

use media::time::MonoTime;

use super::Endpoint;
use super::body::sdp_of;
use super::call::{Call, State};
use super::config::CHANGE_LIMIT;
use super::event::{DialogId, End, Event};
use super::flow::Flow;
use super::reply::refusal;
use super::table::Handle;
use super::uas::body_refusal;
use crate::sip::core::headers::HeaderName;
use crate::sip::core::message::Message;
use crate::sip::core::method::Method;
use crate::sip::core::sdp::Sdp;
use crate::sip::core::validate::Refusal;

/// 200 without more.
pub(super) const OK: Refusal = Refusal::new(200, "OK");
/// 491: a change of ours is under way (RFC 3261 14.2, RFC 3311 5.2).
pub(super) const PENDING: Refusal = Refusal::new(491, "Request Pending");
/// Longest wait that a 500 asks for, in seconds (RFC 3261 14.2).
pub(super) const RETRY_MAX_S: u64 = 10;

impl Endpoint {
    /// A request with a tag in To.
    pub(super) fn handle_within(
        &mut self,
        now: MonoTime,
        flow: Flow,
        method: &Method,
        request: Message,
    ) {
        let handle = match self.member(&request) {
            Ok(handle) => handle,
            Err(refusal) => return self.refuse(flow, &request, &refusal),
        };
        if let Err(refusal) = self.prove_within(now, flow, handle, &request) {
            return self.refuse(flow, &request, &refusal);
        }
        let number = request.cseq().map_or(0, |cseq| cseq.number);
        let Some(call) = self.calls.get_mut(handle) else { return };
        let tag = call.tag;
        let theirs = request.from().ok().and_then(|from| from.tag());
        if !call.dialog_with(theirs).accept_cseq(number) {
            let refusal = Refusal::new(500, "CSeq Out of Order");
            return self.respond_once(now, flow, &request, tag, &refusal);
        }
        call.moved(flow, &request);
        let state = call.state;
        if state == State::Closing && *method != Method::Bye {
            return self.respond_once(now, flow, &request, tag, &super::receive::NO_DIALOG);
        }
        match method {
            Method::Bye => self.handle_bye(now, flow, handle, &request),
            Method::Info if info_refusal(&request).is_some() => {
                let refusal = info_refusal(&request).unwrap_or(OK);
                self.respond_once(now, flow, &request, tag, &refusal);
            }
            Method::Info => {
                self.respond_once(now, flow, &request, tag, &OK);
                self.events.push_back(Event::Info { dialog: DialogId(handle), request });
            }
            Method::Options => {
                let capabilities = self.capabilities();
                self.respond_once(now, flow, &request, tag, &capabilities);
            }
            Method::Update => self.handle_update(now, flow, handle, &request),
            Method::Invite => self.handle_reinvite(now, flow, handle, &request),
            Method::Prack => self.handle_prack(now, flow, handle, &request),
            Method::Refer => self.handle_refer(now, flow, handle, request),
            Method::Notify => self.handle_notify(now, flow, handle, &request),
            _ => self.respond_once(now, flow, &request, tag, &super::receive::NO_DIALOG),
        }
    }

    fn handle_bye(&mut self, now: MonoTime, flow: Flow, handle: Handle, bye: &Message) {
        let Some(call) = self.calls.get(handle) else { return };
        let (tag, state, server) = (call.tag, call.state, call.server);
        if matches!(state, State::Calling | State::Cancelling) {
            // A callee may not say BYE before its answer (RFC 3261 15).
            return self.respond_once(now, flow, bye, tag, &super::receive::NO_DIALOG);
        }
        self.respond_once(now, flow, bye, tag, &OK);
        let reason: Option<Box<str>> = bye.header(HeaderName::Reason).map(Into::into);
        if let Some(server) = server {
            // RFC 3261 15.1.2: what is pending gets 487.
            self.respond_with(now, server, 487, "Request Terminated", |_, response, _| response);
        }
        self.tell_end(handle, |dialog| match state {
            State::Incoming => Event::Cancelled { dialog, reason },
            State::Closing => Event::Ended { dialog, cause: End::Local },
            _ => Event::Ended { dialog, cause: End::Bye { reason } },
        });
        self.remove_call(now, handle);
    }

    fn handle_reinvite(&mut self, now: MonoTime, flow: Flow, handle: Handle, request: &Message) {
        let Some(call) = self.calls.get(handle) else { return };
        let tag = call.tag;
        match sdp_of(request) {
            Ok(offer) => self.handle_change(now, flow, handle, request, offer),
            Err(error) => self.respond_once(now, flow, request, tag, &body_refusal(error)),
        }
    }

    /// re-INVITE (RFC 3261 14.2), or UPDATE with an offer in an established call (RFC 3311 5.2).
    pub(super) fn handle_change(
        &mut self,
        now: MonoTime,
        flow: Flow,
        handle: Handle,
        request: &Message,
        offer: Option<Sdp>,
    ) {
        let Some(call) = self.calls.get(handle) else { return };
        let (tag, state) = (call.tag, call.state);
        if let Some(refusal) = self.collision(handle).or_else(|| self.too_short(request)) {
            return self.respond_once(now, flow, request, tag, &refusal);
        }
        if state == State::Confirmed {
            // A new INVITE of the peer says that it has our 2xx: its ACK was lost or is late.
            self.settle_ack(now, handle, None);
        }
        self.begin_change(now, flow, handle, request, offer);
    }

    fn begin_change(
        &mut self,
        now: MonoTime,
        flow: Flow,
        handle: Handle,
        request: &Message,
        offer: Option<Sdp>,
    ) {
        // Acknowledging may have sent a BYE that waited for it.
        let Some(call) = self.calls.get(handle).filter(|c| c.state == State::Confirmed) else {
            return self.refuse(flow, request, &super::receive::NO_DIALOG);
        };
        let Some(server) = self.begin_server(flow, request, Some(handle), call.tag) else { return };
        if request.method() == Some(&Method::Invite) {
            self.respond_with(now, server, 100, "Trying", |_, response, _| response);
        }
        if call_waits(self.calls.get(handle)) {
            // The peer's change came first: what we offered before does not fit any more.
            self.change_failed(now, handle, 491, "Request Pending");
        }
        if let Some(call) = self.calls.get_mut(handle) {
            call.server = Some(server);
            call.offered = offer.is_some();
            call.limit_at = now + CHANGE_LIMIT;
            call.dialog.refresh_target(request);
            call.heard(request);
        }
        self.arm_call(handle);
        self.events.push_back(Event::Reinvite { dialog: DialogId(handle), offer });
    }

    /// UPDATE without offer: refreshes the target (RFC 3311 5.2) and the session (RFC 4028).
    pub(super) fn refresh(&mut self, now: MonoTime, flow: Flow, handle: Handle, request: &Message) {
        let refusal = self.too_short(request);
        let Some(call) = self.calls.get_mut(handle) else { return };
        let tag = call.tag;
        if let Some(refusal) = refusal {
            return self.respond_once(now, flow, request, tag, &refusal);
        }
        let theirs = request.from().ok().and_then(|from| from.tag());
        call.dialog_with(theirs).refresh_target(request);
        let confirmed = call.state == State::Confirmed;
        let Some(server) = self.begin_server(flow, request, Some(handle), tag) else { return };
        let Ok(bytes) = self.opening(server, 200, "OK", None, &[]) else { return };
        if confirmed {
            self.start_timer(now, handle, server);
            self.arm_call(handle);
        }
        self.respond(now, server, 200, bytes);
    }

    /// Why a change of the peer cannot be taken now.
    fn collision(&mut self, handle: Handle) -> Option<Refusal> {
        let call = self.calls.get(handle)?;
        if call.server.is_some() || call.asked.is_some() {
            return Some(self.busy());
        }
        let offer_open = call.unacked.as_ref().is_some_and(|unacked| unacked.offered);
        let offering = call.asking.is_some() && call.retry.is_some();
        let ours = call.client.is_some()
            || offering
            || call.ack_owed.is_some()
            || call.state != State::Confirmed;
        (ours || offer_open).then_some(PENDING)
    }
}

/// What an INFO is refused with: one of a package, for none is taken here, and a body that is no
/// digit (RFC 6086 4.2.2).
fn info_refusal(request: &Message) -> Option<Refusal> {
    let package = request.header(HeaderName::Other("Info-Package")).unwrap_or_default().trim();
    if !package.is_empty() && !package.eq_ignore_ascii_case("nil") {
        let none = HeaderName::Other("Recv-Info");
        return Some(refusal(469, "Bad Info Package", none, ""));
    }
    let kind = request.header(HeaderName::ContentType).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    let known = DIGITS.iter().any(|digits| digits.eq_ignore_ascii_case(kind));
    if known || request.body().is_empty() {
        return None;
    }
    Some(refusal(415, "Unsupported Media Type", HeaderName::Accept, DIGITS.join(", ")))
}

/// Content types of digits in INFO.
const DIGITS: [&str; 2] = ["application/dtmf-relay", "application/dtmf"];

/// Whether a change of ours waits to be tried again.
fn call_waits(call: Option<&Call>) -> bool {
    call.is_some_and(|call| call.retry.is_some())
}
