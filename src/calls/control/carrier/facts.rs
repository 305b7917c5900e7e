//! What a carrier tells of its calls.

use std::sync::Arc;

use adapters::agent::{Direction, EndedBy};
use adapters::event::{CallEvent, CallFact};
use adapters::flow::FlowInput;
use media::time::MonoTime;
use uuid::Uuid;

use super::Control;
use crate::calls::call::Input;
use crate::calls::carrier::cause_of;
use crate::calls::cause::Cause;
use crate::calls::control::incoming::unix_us;
use crate::calls::log::from_carrier;
use crate::carrier::Account;
use crate::workers::command::{CallKey, Command};
use crate::workers::poller::now;

/// How long a key that a carrier tells of was pressed, as far as anybody knows, in milliseconds.
const DIGIT_MS: u32 = 100;

impl Control {
    /// Takes facts. False if they are about no call that lives.
    pub(super) fn hear(
        &mut self,
        account: &Arc<Account>,
        ours: Option<Uuid>,
        events: &[CallEvent],
    ) -> bool {
        let mut living = true;
        for event in events {
            self.heard_elsewhere(account, ours, event);
            if let CallFact::Transfer { state, of } = &event.what {
                self.stray_leg(account, *state, of);
            }
            match self.carried(account, ours, Some(&event.call)) {
                Some(key) => {
                    // A leg that a transfer has called speaks of itself, and so may a stream
                    // that is a call of its own.
                    let others = matches!(event.what, CallFact::Transfer { .. })
                        || (ours.is_some() && event.what.is_of_stream());
                    if !others {
                        self.learn(key, &event.call);
                        // It shows itself before its request is answered, or without.
                        self.placed_at_carrier(key);
                    }
                    let leg = self.calls.get(&key).and_then(|call| call.carrier.as_ref());
                    let own = leg.is_some_and(|leg| leg.id.as_ref() == Some(&event.call));
                    if own || others {
                        self.flow_input(key, FlowInput::Event(event));
                        self.carrier_fact(key, event);
                        self.await_news(key);
                    }
                }
                // Who was refused with a word has a flow yet, and no record.
                None => living &= self.heard_of_the_refused(account, event),
            }
        }
        living
    }

    /// A fact about a call; the same again changes nothing.
    pub(super) fn carrier_fact(&mut self, key: CallKey, event: &CallEvent) {
        let Some(call) = self.calls.get_mut(&key) else { return };
        if let Some(fact) = from_carrier(call.id, event, unix_us()) {
            self.log.tell(fact);
        }
        let outbound = call.direction == Direction::Outbound;
        let pending = call.call.answered_at().is_none();
        let (worker, span) = (call.worker, &call.span);
        let Some(leg) = call.carrier.as_mut() else { return };
        match &event.what {
            CallFact::Ringing if outbound && pending => self.tell(key, Input::PeerRinging),
            CallFact::Answered if outbound => {
                self.tell(key, Input::PeerAnswered);
                self.await_socket(key);
            }
            // Of audio by RTP: what comes by a socket tells by itself.
            CallFact::StreamStarted if call.carried.is_none() => {
                leg.is_streaming = true;
                (leg.socket_by, leg.ask_at) = (MonoTime::MAX, MonoTime::MAX);
            }
            // Its connection is gone, even if that has not been noticed here.
            CallFact::StreamStopped if leg.account.spec.events.is_some() => {
                call.carried.iter_mut().for_each(|line| line.token.closed(now()));
            }
            CallFact::StreamFailed { code } => {
                tracing::warn!(parent: span, code, "the carrier has no stream");
                // One that is lost is opened again, and waited for.
                if !leg.is_streaming && !leg.lost {
                    self.tell(key, Input::End(Cause::NetworkFailure, EndedBy::Carrier));
                }
            }
            CallFact::Dtmf { digit } => {
                let digit = digit.expose().chars().next();
                if let Some(digit) = digit.filter(|digit| "0123456789ABCD*#".contains(*digit)) {
                    let duration_ms = DIGIT_MS;
                    self.command(worker, Command::Digit { call: key, digit, duration_ms });
                }
            }
            CallFact::Transfer { state, of } => self.carrier_hands_over(key, *state, of),
            CallFact::Ended(ended) => {
                leg.is_over = true;
                let cause = cause_of(ended.cause);
                call.peer_reason.sip = ended.sip_status;
                call.peer_reason.text.clone_from(&ended.raw);
                self.tell(key, Input::PeerEnded(cause));
            }
            CallFact::Initiated
            | CallFact::Ringing
            | CallFact::EarlyMedia
            | CallFact::Answered
            | CallFact::AnsweredBy { .. }
            | CallFact::StreamStarted
            | CallFact::StreamStopped
            | CallFact::Spoken
            | CallFact::Recorded(_)
            | CallFact::Priced(_) => {}
        }
    }
}
