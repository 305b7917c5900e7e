//! What happens when a deadline is reached.

use media::time::MonoTime;

use super::Endpoint;
use super::call::State;
use super::config::PROVISIONAL_REPEAT;
use super::event::{DialogId, End, Event};
use super::table::{Handle, Timed};

impl Endpoint {
    /// The time is `now`: every deadline up to it is dealt with.
    pub fn handle_timeout(&mut self, now: MonoTime) {
        while let Some((at, timed)) = self.schedule.pop(now) {
            match timed {
                Timed::Server(handle) if self.servers.take_due(handle, at) => {
                    self.settle_server(now, handle);
                }
                Timed::Client(handle) if self.clients.take_due(handle, at) => {
                    self.settle_client(now, handle);
                }
                Timed::Call(handle) if self.calls.take_due(handle, at) => {
                    self.call_due(now, handle);
                    self.arm_call(handle);
                }
                Timed::Server(_) | Timed::Client(_) | Timed::Call(_) => {}
            }
        }
    }

    fn call_due(&mut self, now: MonoTime, handle: Handle) {
        let Some(call) = self.calls.get_mut(handle) else { return };
        let limit = now >= call.limit_at;
        let repeat = now >= call.repeat_at;
        let retry = call.retry.as_ref().is_some_and(|retry| now >= retry.at);
        let refer = now >= call.refers.deadline();
        self.early_change_due(now, handle);
        let Some(call) = self.calls.get_mut(handle) else { return };
        if limit {
            call.limit_at = MonoTime::MAX;
            return self.limit_reached(now, handle);
        }
        self.answer_due(now, handle);
        self.reliable_due(now, handle);
        self.timer_due(now, handle);
        if repeat {
            self.repeat_provisional(now, handle);
        }
        if retry {
            self.retry_change(now, handle);
        }
        if refer {
            self.abandon_refer(now, handle);
        }
    }

    /// Our 2xx is sent again, or given up (RFC 3261 13.3.1.4).
    fn answer_due(&mut self, now: MonoTime, handle: Handle) {
        let t2 = self.config.timers.t2;
        let Some(call) = self.calls.get_mut(handle) else { return };
        let Some(unacked) = call.unacked.as_mut() else { return };
        if now >= unacked.clock.expire_at {
            let headers = call.parting.take().unwrap_or_default();
            self.tell_end(handle, |dialog| Event::Ended { dialog, cause: End::AckTimeout });
            return self.send_bye(now, handle, &headers);
        }
        if now >= unacked.clock.resend_at {
            let interval = (unacked.clock.interval * 2).min(t2);
            unacked.clock.resend_again(now, interval);
            let (reply, bytes) = (unacked.reply, unacked.response.clone());
            self.counters.retransmitted += 1;
            self.send_reply(reply, bytes);
        }
    }

    fn repeat_provisional(&mut self, now: MonoTime, handle: Handle) {
        let Some(call) = self.calls.get_mut(handle) else { return };
        call.repeat_at = now + PROVISIONAL_REPEAT;
        if call.reliable.is_some() {
            return self.repeat_reliably(now, handle);
        }
        let Some(txn) = call.server.and_then(|server| self.servers.get(server)) else { return };
        let (reply, bytes) = (txn.reply, txn.response.clone());
        self.send_reply(reply, bytes);
    }

    /// The state has lasted too long.
    fn limit_reached(&mut self, now: MonoTime, handle: Handle) {
        let Some(call) = self.calls.get(handle) else { return };
        let (state, server) = (call.state, call.server);
        match state {
            State::Incoming => {
                if let Some(server) = server {
                    self.respond_with(now, server, 487, "Request Terminated", |_, r, _| r);
                }
                self.tell_end(handle, |dialog| Event::Cancelled { dialog, reason: None });
                self.remove_call(now, handle);
            }
            State::Calling => {
                let told = |dialog| Event::Failed {
                    dialog,
                    status: 408,
                    reason: "Request Timeout".into(),
                    response: None,
                };
                self.tell_end(handle, told);
                // The call may be cancelled in every state but those that end it anyway.
                let _ = self.cancel(now, DialogId(handle), &[]);
            }
            State::Cancelling => {
                // RFC 3261 9.1: the INVITE is considered cancelled even without its 487.
                self.tell_cancelled(handle);
                let client = self.calls.get(handle).and_then(|call| call.client);
                self.remove_call(now, handle);
                if let Some(client) = client {
                    self.remove_client(client);
                }
            }
            State::Confirmed => {
                if let Some(server) = server {
                    self.abandon_change(now, handle, server);
                } else if self.calls.get(handle).is_some_and(|call| call.ack_owed.is_some()) {
                    self.tell_end(handle, |dialog| Event::Ended { dialog, cause: End::AckTimeout });
                    self.send_bye(now, handle, &[]);
                }
            }
            State::Closing => {}
        }
    }

    /// The user did not answer the peer's change.
    fn abandon_change(&mut self, now: MonoTime, handle: Handle, server: Handle) {
        self.respond_with(now, server, 500, "Server Internal Error", |_, response, _| response);
        if let Some(call) = self.calls.get_mut(handle) {
            call.server = None;
        }
        self.events.push_back(Event::ReinviteCancelled { dialog: DialogId(handle) });
    }
}
