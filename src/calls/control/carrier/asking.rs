//! Asks carriers how calls stand of which nothing is heard: their words may be lost.

use std::sync::Arc;
use std::time::Duration;

use adapters::agent::EndedBy;
use adapters::event::CallEvent;
use adapters::exchange::CarrierError;
use adapters::flow::FlowInput;
use media::time::MonoTime;

use super::Control;
use crate::calls::call::Input;
use crate::calls::cause::Cause;
use crate::calls::request::Request;
use crate::carrier::{Failure, Patience};
use crate::workers::command::CallKey;
use crate::workers::poller::now;

/// How long nothing may be heard of a call without audio until its carrier is asked, in
/// milliseconds.
const SILENT_MS: u64 = 20_000;

impl Control {
    /// From now on something has to be heard of a call that has no audio, or its carrier is asked.
    pub(super) fn await_news(&mut self, key: CallKey) {
        let leg = self.calls.get_mut(&key).and_then(|call| call.carrier.as_mut());
        let Some(leg) = leg else { return };
        let can = leg.account.spec.calls.status.is_some() && leg.id.is_some();
        let asks = can && !leg.is_streaming && !leg.is_over;
        let at = now() + Duration::from_millis(SILENT_MS);
        leg.ask_at = if asks { at } else { MonoTime::MAX };
        self.reschedule(key);
    }

    /// Asks the carrier of a call how it stands. False if it cannot be asked.
    pub(super) fn ask_how_it_stands(&mut self, key: CallKey) -> bool {
        let leg = self.calls.get_mut(&key).and_then(|call| call.carrier.as_mut());
        let Some(leg) = leg.filter(|leg| !leg.is_over) else { return false };
        leg.ask_at = MonoTime::MAX;
        let (Some(status), Some(id)) = (leg.account.spec.calls.status, leg.id.clone()) else {
            return false;
        };
        let account = Arc::clone(&leg.account);
        let (exchanges, handle) = (self.exchanges_of(key), self.handle.clone());
        self.io.spawn(async move {
            let result = match status(&account.config, &id) {
                Ok(op) => exchanges.run(&account, "status", op, Patience::BRIEF).await,
                Err(error) => Err(error.into()),
            };
            handle.send(Request::Standing { call: key, result }).await;
        });
        true
    }

    /// Ends a call that nobody can be heard on, for `cause` unless its carrier knows better: its
    /// word for the end may have been lost.
    pub(super) fn end_unheard(&mut self, key: CallKey, cause: Cause) {
        let leg = self.calls.get_mut(&key).and_then(|call| call.carrier.as_mut());
        let Some(leg) = leg else { return };
        leg.verdict = Some(cause);
        if !self.ask_how_it_stands(key) {
            self.judged(key);
        }
    }

    /// A carrier has said how a call stands, or has not.
    pub(in crate::calls::control) fn stands(
        &mut self,
        key: CallKey,
        result: Result<Vec<CallEvent>, Failure>,
    ) {
        match result {
            Ok(events) => {
                for event in &events {
                    let leg = self.calls.get(&key).and_then(|call| call.carrier.as_ref());
                    if leg.is_some_and(|leg| leg.id.as_ref() == Some(&event.call)) {
                        self.flow_input(key, FlowInput::Event(event));
                        self.carrier_fact(key, event);
                    }
                }
            }
            Err(failure) if failure.error == CarrierError::CallOver => self.is_gone(key),
            Err(failure) => {
                let Some(call) = self.calls.get(&key) else { return };
                tracing::info!(parent: &call.span, %failure, "the carrier does not say how it stands");
            }
        }
        self.judged(key);
    }

    /// The carrier of a call says that there is no such call any more. Audio that flows again
    /// knows better.
    fn is_gone(&mut self, key: CallKey) {
        let Some(call) = self.calls.get_mut(&key) else { return };
        let span = &call.span;
        let Some(leg) = call.carrier.as_mut().filter(|leg| !leg.is_streaming) else { return };
        tracing::info!(parent: span, "the carrier has no such call any more");
        leg.is_over = true;
        leg.verdict = None;
        let answered = call.call.answered_at().is_some();
        let cause = if answered { Cause::Normal } else { Cause::NetworkFailure };
        self.tell(key, Input::PeerEnded(cause));
    }

    /// Ends a call that was to end unless its carrier knew better.
    fn judged(&mut self, key: CallKey) {
        let taken = self.is_taken(key);
        let leg = self.calls.get_mut(&key).and_then(|call| call.carrier.as_mut());
        let Some(leg) = leg else { return };
        match leg.verdict.take().filter(|_| !leg.is_streaming && !taken) {
            Some(cause) => self.tell(key, Input::End(cause, EndedBy::Carrier)),
            None => self.await_news(key),
        }
    }
}
