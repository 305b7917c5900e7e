//! UPDATE (RFC 3311): changing or refreshing a session without an INVITE, also before the answer.

use media::time::MonoTime;

use super::Endpoint;
use super::body::{APPLICATION_SDP, sdp_of};
use super::call::{Change, Retry, State};
use super::config::CHANGE_LIMIT;
use super::event::{CommandError, DialogId, End, Event};
use super::flow::Flow;
use super::outgoing::with_fields;
use super::receive::NO_DIALOG;
use super::reply::refusal;
use super::table::Handle;
use super::transactions::Purpose;
use super::within::{PENDING, RETRY_MAX_S};
use crate::sip::core::headers::HeaderName;
use crate::sip::core::message::Message;
use crate::sip::core::method::Method;
use crate::sip::core::sdp::Sdp;
use crate::sip::core::session_timer::Terms;
use crate::sip::core::validate::Refusal;

impl Endpoint {
    /// Changes the call by an UPDATE with this offer: after the answer, or before it if offer and
    /// answer have been exchanged reliably (RFC 3311 5.1). Ends in `ReinviteAnswered` or
    /// `ReinviteFailed`.
    ///
    /// # Errors
    /// [`CommandError`]; nothing was sent. `State` also if the peer does not take UPDATE.
    pub fn update(
        &mut self,
        now: MonoTime,
        dialog: DialogId,
        sdp: &[u8],
    ) -> Result<(), CommandError> {
        let call = self.calls.get(dialog.0).ok_or(CommandError::NoSuchCall)?;
        let open = match call.state {
            State::Confirmed => call.parting.is_none(),
            State::Incoming => call.settled,
            State::Calling => call.settled_early().is_some(),
            State::Cancelling | State::Closing => false,
        };
        if !open || !call.update_allowed {
            return Err(CommandError::State);
        }
        let early = call.state != State::Confirmed;
        if call.asked.is_some() || call.asking.is_some() || (!early && call.is_changing()) {
            return Err(CommandError::Busy);
        }
        self.send_update(now, dialog.0, Some(sdp), Purpose::Update)?;
        if let Some(call) = self.calls.get_mut(dialog.0) {
            let (sdp, change) = (Some(sdp.to_vec()), Change::Update);
            call.retry = Some(Box::new(Retry { at: MonoTime::MAX, sdp, tries: 0, change }));
        }
        Ok(())
    }

    pub(super) fn send_update(
        &mut self,
        now: MonoTime,
        handle: Handle,
        sdp: Option<&[u8]>,
        purpose: Purpose,
    ) -> Result<(), CommandError> {
        let call = self.calls.get(handle).ok_or(CommandError::NoSuchCall)?;
        let at = if call.is_calling() { call.settled_early() } else { None };
        let fields = self.session_fields(call);
        let client = self.request_in(now, handle, at, Method::Update, purpose, |request| {
            let request = with_fields(request, &fields);
            match sdp {
                Some(sdp) => request.body(APPLICATION_SDP, sdp),
                None => request,
            }
        })?;
        if let Some(call) = self.calls.get_mut(handle) {
            call.asking = Some(client);
        }
        Ok(())
    }

    /// Our UPDATE with an offer was answered.
    pub(super) fn update_answered(
        &mut self,
        now: MonoTime,
        handle: Handle,
        status: u16,
        response: &Message,
    ) {
        let Some(call) = self.calls.get_mut(handle) else { return };
        call.asking = None;
        let tries_again = match status {
            200..300 => return self.update_accepted(now, handle, response),
            408 | 481 if call.state == State::Confirmed => {
                return self.lost(now, Some(handle), End::TransactionTimeout);
            }
            422 if call.timer.too_short(&Terms::read(response)) => self.retry_now(now, handle),
            491 => self.wait_out_glare(now, handle),
            _ => false,
        };
        if !tries_again {
            self.change_failed(now, handle, status, response.reason().unwrap_or_default());
        }
    }

    fn update_accepted(&mut self, now: MonoTime, handle: Handle, response: &Message) {
        let tag = response.to().ok().and_then(|to| to.tag());
        let Some(call) = self.calls.get_mut(handle) else { return };
        call.keep_offer();
        call.heard(response);
        call.dialog_with(tag).refresh_target(response);
        if call.state == State::Confirmed {
            self.timer_answered(now, handle, response);
        }
        let sdp = sdp_of(response).ok().flatten();
        self.events.push_back(Event::ReinviteAnswered { dialog: DialogId(handle), sdp });
    }

    /// UPDATE of the peer (RFC 3311 5.2).
    pub(super) fn handle_update(
        &mut self,
        now: MonoTime,
        flow: Flow,
        handle: Handle,
        request: &Message,
    ) {
        let Some(call) = self.calls.get_mut(handle) else { return };
        call.update_allowed = true;
        let (tag, state) = (call.tag, call.state);
        let offer = match sdp_of(request) {
            Ok(offer) => offer,
            Err(error) => {
                let refusal = super::uas::body_refusal(error);
                return self.respond_once(now, flow, request, tag, &refusal);
            }
        };
        let Some(offer) = offer else { return self.refresh(now, flow, handle, request) };
        if state == State::Confirmed {
            return self.handle_change(now, flow, handle, request, Some(offer));
        }
        if let Some(refusal) = self.early_collision(handle, request) {
            return self.respond_once(now, flow, request, tag, &refusal);
        }
        self.begin_early_change(now, flow, handle, request, offer);
    }

    /// Why an offer before the answer cannot be taken now.
    pub(super) fn early_collision(&mut self, handle: Handle, request: &Message) -> Option<Refusal> {
        let call = self.calls.get(handle)?;
        let tag = request.from().ok().and_then(|from| from.tag());
        let settled = if call.is_calling() {
            call.early.iter().any(|e| e.settled && e.dialog.remote_tag() == tag)
        } else {
            call.settled
        };
        // Our INVITE's offer is open, or one in a response of ours.
        let ours = call.asking.is_some() || (!settled && call.is_calling() == call.offered);
        if ours {
            return Some(PENDING);
        }
        (call.asked.is_some() || !settled).then(|| self.busy())
    }

    /// 500: another offer of the peer is not answered yet (RFC 3311 5.2, RFC 3261 14.2).
    pub(super) fn busy(&mut self) -> Refusal {
        let seconds = self.ids.below(RETRY_MAX_S + 1).to_string();
        refusal(500, "Another Request Is Pending", HeaderName::RetryAfter, seconds)
    }

    /// An offer before the answer, in an UPDATE or a PRACK.
    pub(super) fn begin_early_change(
        &mut self,
        now: MonoTime,
        flow: Flow,
        handle: Handle,
        request: &Message,
        offer: Sdp,
    ) {
        let Some(call) = self.calls.get(handle) else { return };
        if !matches!(call.state, State::Incoming | State::Calling) {
            return self.respond_once(now, flow, request, call.tag, &NO_DIALOG);
        }
        let Some(server) = self.begin_server(flow, request, Some(handle), call.tag) else { return };
        let tag = request.from().ok().and_then(|from| from.tag());
        if let Some(call) = self.calls.get_mut(handle) {
            call.asked = Some(server);
            call.asked_at = now + CHANGE_LIMIT;
            call.dialog_with(tag).refresh_target(request);
        }
        self.arm_call(handle);
        self.events.push_back(Event::Reinvite { dialog: DialogId(handle), offer: Some(offer) });
    }

    /// The user did not answer the peer's early change.
    pub(super) fn early_change_due(&mut self, now: MonoTime, handle: Handle) {
        let Some(call) = self.calls.get_mut(handle).filter(|call| now >= call.asked_at) else {
            return;
        };
        call.asked_at = MonoTime::MAX;
        if let Some(server) = call.asked.take() {
            self.respond_with(now, server, 500, "Server Internal Error", |_, r, _| r);
            self.events.push_back(Event::ReinviteCancelled { dialog: DialogId(handle) });
        }
    }
}
