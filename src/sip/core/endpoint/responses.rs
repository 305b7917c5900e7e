//! What the outcome of our requests means to their calls.

use media::time::MonoTime;

use super::Endpoint;
use super::body::sdp_of;
use super::call::State;
use super::config::FORKS_MAX;
use super::event::{DialogId, End, Event};
use super::flow::Flow;
use super::table::Handle;
use super::transactions::Purpose;
use crate::sip::core::message::Message;
use crate::sip::core::session_timer::Terms;
use crate::sip::core::transaction::{Class, Fault};

impl Endpoint {
    /// A response that its transaction delivers.
    pub(super) fn client_answered(
        &mut self,
        now: MonoTime,
        client: Handle,
        flow: Flow,
        response: &Message,
        status: u16,
    ) {
        if matches!(status, 401 | 407) {
            if self.answer_challenge(now, client, response) {
                return;
            }
        } else if Class::of(status) != Class::Provisional {
            self.credentials_accepted(client);
        }
        let Some(txn) = self.clients.get(client) else { return };
        let (purpose, call, cseq) = (txn.purpose, txn.call, txn.cseq);
        match (purpose, Class::of(status)) {
            (Purpose::Invite, Class::Provisional) => {
                self.ringing(now, client, call, flow, response, status)
            }
            (Purpose::Invite | Purpose::Reinvite, Class::Success) => {
                self.answered(now, client, call, flow, response);
            }
            (Purpose::Invite, Class::Failure)
                if status == 422 && self.lengthen(now, client, response) => {}
            (Purpose::Invite, Class::Failure) => {
                let reason = response.reason().unwrap_or_default();
                self.invite_failed(now, call, status, reason, Some(response));
            }
            (Purpose::Reinvite, Class::Failure) => {
                self.reinvite_failed(now, call, status, response);
            }
            (Purpose::Update, Class::Success | Class::Failure) => {
                if let Some(handle) = call {
                    self.update_answered(now, handle, status, response);
                }
            }
            (Purpose::Refresh, Class::Success | Class::Failure) => {
                if let Some(handle) = call {
                    self.refresh_answered(now, handle, status, response);
                }
            }
            (Purpose::Probe(probe), Class::Success | Class::Failure) => {
                self.events.push_back(Event::Probed { probe, status: Some(status) });
            }
            (Purpose::Request(_), Class::Success | Class::Failure) => {
                self.responded(client, Some(response.clone()));
            }
            (Purpose::Bye, Class::Success | Class::Failure) => self.bye_done(now, call),
            (Purpose::Refer, Class::Success | Class::Failure) => {
                self.refer_answered(now, call, cseq, status, Some(response));
            }
            (Purpose::Notify, class @ (Class::Success | Class::Failure)) => {
                self.notify_answered(now, call, class == Class::Success);
            }
            (Purpose::Info, Class::Failure) if matches!(status, 408 | 481) => {
                self.lost(now, call, End::TransactionTimeout);
            }
            (Purpose::Info, Class::Success | Class::Failure) => {
                let up = |call: &Handle| {
                    self.calls.get(*call).is_some_and(|call| call.state == State::Confirmed)
                };
                let dialog = call.filter(up).map(DialogId);
                self.events.extend(dialog.map(|dialog| Event::InfoAnswered { dialog, status }));
            }
            (Purpose::Reinvite, Class::Provisional) => self.give_up(now, client),
            (_, Class::Provisional) | (Purpose::Cancel | Purpose::Prack, _) => {}
        }
    }

    /// A transaction that failed without a response.
    pub(super) fn client_failed(&mut self, now: MonoTime, client: Handle, fault: Fault) {
        let Some(txn) = self.clients.get(client) else { return };
        let (purpose, call, cseq) = (txn.purpose, txn.call, txn.cseq);
        let (status, reason, cause) = match fault {
            Fault::Timeout => (408, "Request Timeout", End::TransactionTimeout),
            Fault::Transport => (503, "Service Unavailable", End::Transport),
        };
        match purpose {
            Purpose::Invite if self.send_twin(now, client) => {}
            Purpose::Invite => self.invite_failed(now, call, status, reason, None),
            Purpose::Reinvite | Purpose::Info => self.lost(now, call, cause),
            Purpose::Update | Purpose::Refresh => self.unanswered_update(now, call, status, cause),
            Purpose::Probe(probe) => self.events.push_back(Event::Probed { probe, status: None }),
            Purpose::Request(_) => self.responded(client, None),
            Purpose::Bye => self.bye_done(now, call),
            Purpose::Refer => self.refer_answered(now, call, cseq, status, None),
            Purpose::Notify => self.notify_answered(now, call, false),
            Purpose::Cancel | Purpose::Prack => {}
        }
    }

    /// Tells what came of a request outside of dialogs.
    fn responded(&mut self, client: Handle, response: Option<Message>) {
        let Some(txn) = self.clients.get_mut(client) else { return };
        let Purpose::Request(request) = txn.purpose else { return };
        let (cseq, auth) = (txn.cseq, txn.auth.take());
        self.events.push_back(Event::Responded { request, response, cseq, auth });
    }

    fn ringing(
        &mut self,
        now: MonoTime,
        client: Handle,
        call: Option<Handle>,
        flow: Flow,
        response: &Message,
        status: u16,
    ) {
        let Some(handle) = call else { return };
        let Some(call) = self.calls.get_mut(handle) else { return };
        call.flow = flow;
        let first = !std::mem::replace(&mut call.proceeding, true);
        match call.state {
            State::Cancelling if first => self.send_cancel(now, handle),
            State::Calling if status > 100 => self.progress(now, client, handle, response, status),
            _ => {}
        }
    }

    /// A 2xx to an INVITE of ours: the answer, a copy of it, or that of another branch.
    fn answered(
        &mut self,
        now: MonoTime,
        client: Handle,
        call: Option<Handle>,
        flow: Flow,
        response: &Message,
    ) {
        let tag: Option<Box<str>> = response.to().ok().and_then(|to| to.tag()).map(Into::into);
        let Some(txn) = self.clients.get_mut(client) else { return };
        let (cseq, purpose) = (txn.cseq, txn.purpose);
        let Some(forks) = txn.forks.as_mut() else { return };
        if forks.ended.contains(&tag) {
            return self.decline_answer(now, client, flow, response, false);
        }
        let state = call.and_then(|handle| self.calls.get(handle)).map(|call| call.state);
        let fresh = !forks.won;
        let ours = fresh || forks.winner == tag;
        match (call, state) {
            (Some(handle), Some(State::Calling | State::Cancelling)) if ours => {
                (forks.won, forks.winner) = (true, tag);
                self.established(now, handle, client, flow, response);
            }
            (Some(handle), Some(_)) if ours && fresh && purpose == Purpose::Reinvite => {
                (forks.won, forks.winner) = (true, tag);
                self.changed(now, handle, cseq, flow, response);
            }
            (Some(handle), Some(_)) if ours => self.repeat_ack(handle, cseq),
            _ => {
                // Beyond the bound branches are acknowledged; their own timers end them.
                let end = (!ours || fresh) && forks.ended.len() < FORKS_MAX;
                if end {
                    forks.ended.push(tag);
                }
                self.decline_answer(now, client, flow, response, end);
            }
        }
    }

    /// The first 2xx to the INVITE of a call.
    fn established(
        &mut self,
        now: MonoTime,
        handle: Handle,
        client: Handle,
        flow: Flow,
        response: &Message,
    ) {
        let cseq = self.clients.get(client).map_or(0, |txn| txn.cseq);
        let (early_sdp, settled) = self.choose_early(handle, flow, response);
        let Some(call) = self.calls.get_mut(handle) else { return };
        let cancelled = call.state == State::Cancelling;
        if call.dialog.confirm(response).is_err() {
            self.decline_answer(now, client, flow, response, true);
            return self.invite_failed(now, Some(handle), 502, "Unusable Answer", None);
        }
        call.client = None;
        call.limit_at = MonoTime::MAX;
        call.state = State::Confirmed;
        call.heard(response);
        let offered = call.offered || settled;
        call.ack_owed = (!offered).then_some(cseq);
        if cancelled {
            // The answer crossed our CANCEL (RFC 3261 9.1): it is taken, and the call ended.
            let headers = call.parting.take().unwrap_or_default();
            let _ = self.send_ack(handle, cseq, None);
            self.tell_cancelled(handle);
            return self.send_bye(now, handle, &headers);
        }
        if offered {
            // What was built for the INVITE can be built for its ACK.
            let _ = self.send_ack(handle, cseq, None);
        } else {
            call.limit_at = now + self.config.timers.limit();
            self.arm_call(handle);
        }
        self.timer_answered(now, handle, response);
        let sdp = sdp_of(response).ok().flatten().or(early_sdp);
        let (dialog, response) = (DialogId(handle), response.clone());
        self.events.push_back(Event::Answered { dialog, sdp, response });
    }

    /// The first 2xx to a re-INVITE.
    fn changed(
        &mut self,
        now: MonoTime,
        handle: Handle,
        cseq: u32,
        flow: Flow,
        response: &Message,
    ) {
        let Some(call) = self.calls.get_mut(handle) else { return };
        call.flow = flow;
        call.client = None;
        call.keep_offer();
        call.heard(response);
        call.dialog.refresh_target(response);
        call.ack_owed = (!call.offered).then_some(cseq);
        if call.offered || call.state != State::Confirmed {
            let _ = self.send_ack(handle, cseq, None);
        } else {
            call.limit_at = now + self.config.timers.limit();
            self.arm_call(handle);
        }
        if self.calls.get(handle).is_some_and(|call| call.state == State::Confirmed) {
            self.timer_answered(now, handle, response);
            let sdp = sdp_of(response).ok().flatten();
            self.events.push_back(Event::ReinviteAnswered { dialog: DialogId(handle), sdp });
        }
    }

    /// A copy of a 2xx says that its ACK was lost.
    fn repeat_ack(&mut self, handle: Handle, cseq: u32) {
        let Some(call) = self.calls.get(handle) else { return };
        if let Some(ack) = call.ack.as_ref().filter(|ack| ack.cseq == cseq) {
            let (flow, bytes) = (ack.flow, ack.bytes.clone());
            self.counters.retransmitted += 1;
            self.send(flow, bytes);
        }
    }

    fn invite_failed(
        &mut self,
        now: MonoTime,
        call: Option<Handle>,
        status: u16,
        reason: &str,
        response: Option<&Message>,
    ) {
        let Some(handle) = call else { return };
        let Some(call) = self.calls.get(handle) else { return };
        if call.state == State::Cancelling {
            self.tell_cancelled(handle);
        } else {
            let response = response.cloned();
            let reason = reason.into();
            self.tell_end(handle, |dialog| Event::Failed { dialog, status, reason, response });
        }
        self.remove_call(now, handle);
    }

    /// Tells that the call we gave up has ended.
    pub(super) fn tell_cancelled(&mut self, handle: Handle) {
        self.tell_end(handle, |dialog| Event::Failed {
            dialog,
            status: 487,
            reason: "Request Terminated".into(),
            response: None,
        });
    }

    fn reinvite_failed(
        &mut self,
        now: MonoTime,
        call: Option<Handle>,
        status: u16,
        response: &Message,
    ) {
        let Some(handle) = call else { return };
        let Some(call) = self.calls.get_mut(handle) else { return };
        call.client = None;
        if call.state != State::Confirmed {
            return;
        }
        let too_short = status == 422 && call.timer.too_short(&Terms::read(response));
        match status {
            // The peer knows of no call, or does not answer (RFC 3261 14.1).
            408 | 481 => self.lost(now, Some(handle), End::TransactionTimeout),
            491 if self.wait_out_glare(now, handle) => {}
            422 if too_short && self.retry_now(now, handle) => {}
            _ => self.change_failed(now, handle, status, response.reason().unwrap_or_default()),
        }
    }

    /// An UPDATE of ours got no answer.
    fn unanswered_update(&mut self, now: MonoTime, call: Option<Handle>, status: u16, cause: End) {
        let Some(handle) = call else { return };
        let Some(call) = self.calls.get_mut(handle) else { return };
        call.asking = None;
        if call.state == State::Confirmed {
            self.lost(now, Some(handle), cause);
        } else if call.retry.is_some() {
            self.change_failed(now, handle, status, "Request Timeout");
        }
    }

    /// The peer does not know of the call any more, or cannot be reached: BYE, for its sake.
    pub(super) fn lost(&mut self, now: MonoTime, call: Option<Handle>, cause: End) {
        let Some(handle) = call else { return };
        if self.calls.get(handle).is_none_or(|call| call.state != State::Confirmed) {
            return;
        }
        self.tell_end(handle, |dialog| Event::Ended { dialog, cause });
        self.send_bye(now, handle, &[]);
    }

    /// Our BYE was answered, or its time is over.
    fn bye_done(&mut self, now: MonoTime, call: Option<Handle>) {
        let Some(handle) = call else { return };
        self.tell_end(handle, |dialog| Event::Ended { dialog, cause: End::Local });
        self.remove_call(now, handle);
    }
}
