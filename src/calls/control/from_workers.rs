//! What the workers tell of the media of calls, as facts of these calls.

use adapters::agent::EndedBy;

use super::Control;
use crate::calls::call::Input;
use crate::calls::cause::Cause;
use crate::calls::transfer;
use crate::sip::endpoint::udp::BATCH_MAX;
use crate::workers::command::{Event, EventKind};

impl Control {
    /// Takes what the workers told, a batch at a time.
    pub(super) fn worker_events(&mut self, first: Event) {
        let mut next = Some(first);
        for _ in 0..BATCH_MAX {
            let Some(event) = next else { return };
            self.worker_event(event);
            next = self.worker_events.try_recv().ok();
        }
        if let Some(event) = next {
            self.worker_event(event);
        }
    }

    fn worker_event(&mut self, event: Event) {
        let input = match event.kind {
            EventKind::AgentAnswer { headers } => {
                self.answer_headers(event.call, headers);
                Input::AgentAnswer
            }
            EventKind::AgentReject { cause } => {
                Input::AgentReject(Cause::from_agent(cause.as_deref()))
            }
            EventKind::AgentHungUp { .. } => Input::AgentHangup,
            EventKind::AgentLost(loss) => {
                if self.is_handed_over(event.call) {
                    // It was on its way when the leg that it called took its place.
                    return;
                }
                if let Some(call) = self.calls.get(&event.call) {
                    tracing::warn!(parent: &call.span, ?loss, "agent lost");
                }
                self.log_agent_lost(event.call);
                Input::AgentLost
            }
            EventKind::LinkOver(link) => return self.link_over(link),
            EventKind::GuestSilent => {
                let cause = Cause::MediaTimeout;
                self.part(event.call, cause, cause.as_str());
                return;
            }
            EventKind::LegSilent if self.leave_conversation(event.call).is_ok() => return,
            EventKind::LegSilent if self.is_handed_over(event.call) => {
                Input::End(Cause::MediaTimeout, EndedBy::Network)
            }
            EventKind::LegSilent => {
                self.log_agent_lost(event.call);
                Input::AgentLost
            }
            EventKind::Played => {
                let playing = self.calls.get(&event.call).is_some_and(|call| call.playing_message);
                if playing { Input::MessagePlayed } else { Input::AgentHangup }
            }
            EventKind::AgentTransfer { kind, destination, options, headers } => {
                let to = (kind.as_str(), destination.as_str());
                return self.agent_transfers(event.call, to, options, headers);
            }
            EventKind::AgentDigits { digits, duration_ms, gap_ms } => {
                return self.agent_digits(event.call, digits, duration_ms, gap_ms);
            }
            EventKind::AgentHold(on) => {
                // A call that is not answered was told so by its worker.
                return drop(self.hold(event.call, on));
            }
            EventKind::Digit { to_agent, digit, duration_ms } => {
                return self.digit_across(event.call, to_agent, digit, duration_ms);
            }
            EventKind::Line(line) => return self.line_event(event.call, line),
            EventKind::Play(notice) => return self.play_moved(event.call, notice),
            EventKind::AsideDigit(digit) => {
                return self.digit_aside(event.call, digit);
            }
            EventKind::AsideTold => {
                return self.transfer_input(event.call, transfer::Input::Whispered);
            }
            EventKind::MediaTimeout => Input::End(Cause::MediaTimeout, EndedBy::Network),
            EventKind::AgentUpdate(fields) => return self.agent_updates(event.call, fields),
            EventKind::AgentRecord(order) => return self.agent_records(event.call, order),
            EventKind::Silence(notice) => return self.silence(event.call, notice),
            EventKind::Quality(quality) => return self.log_sample(event.call, quality),
            EventKind::Spoke(spoke) => return self.log_speech(event.call, spoke),
            EventKind::Message(taken) => return self.message_taken(event.call, taken),
            EventKind::Closed(report) => return self.closed(event.call, &report),
        };
        if let Some(input) = self.unless_taken(event.call, input) {
            self.tell(event.call, input);
        }
    }
}
