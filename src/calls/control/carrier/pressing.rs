//! Keys that a carrier presses for us.

use std::sync::Arc;

use adapters::op::SendDigits;

use super::Control;
use crate::calls::request::{Request, RequestError};
use crate::carrier::{Failure, Patience};
use crate::workers::command::{CallKey, Command};

impl Control {
    /// Lets the carrier of a call press keys, behind those that wait. How long each is pressed is
    /// the carrier's business.
    pub(in crate::calls::control) fn press_at_carrier(
        &mut self,
        key: CallKey,
        digits: &str,
    ) -> Result<(), RequestError> {
        let leg = self.calls.get_mut(&key).and_then(|call| call.carrier.as_mut());
        let leg = leg.filter(|leg| !leg.is_over && leg.account.spec.calls.dtmf.is_some());
        let leg = leg.ok_or(RequestError::State("this call takes no digits"))?;
        if leg.id.is_none() {
            return Err(RequestError::State("the carrier has not told its id of the call"));
        }
        if !leg.keys.queue(digits) {
            return Err(RequestError::State("too many digits wait"));
        }
        self.press_next(key);
        Ok(())
    }

    fn press_next(&mut self, key: CallKey) {
        let leg = self.calls.get_mut(&key).and_then(|call| call.carrier.as_mut());
        let Some(leg) = leg else { return };
        let (Some(dtmf), Some(call)) = (leg.account.spec.calls.dtmf, leg.id.clone()) else {
            return;
        };
        let Some(digits) = leg.keys.next() else { return };
        let account = Arc::clone(&leg.account);
        let (exchanges, handle) = (self.exchanges_of(key), self.handle.clone());
        self.io.spawn(async move {
            let result = match dtmf(&account.config, &SendDigits { call, digits }) {
                Ok(op) => exchanges.run(&account, "dtmf", op, Patience::SHORT).await,
                Err(error) => Err(error.into()),
            };
            handle.send(Request::Pressed { call: key, result }).await;
        });
    }

    /// The carrier was asked to press keys.
    pub(in crate::calls::control) fn keys_pressed(
        &mut self,
        key: CallKey,
        result: Result<(), Failure>,
    ) {
        let Some(call) = self.calls.get_mut(&key) else { return };
        let (span, worker) = (&call.span, call.worker);
        let Some(leg) = call.carrier.as_mut() else { return };
        leg.keys.answered(result.is_ok());
        if let Err(failure) = result {
            tracing::warn!(parent: span, %failure, "the carrier did not press keys");
            let why = "the carrier did not press the keys";
            self.command(worker, Command::Refused { call: key, why });
        }
        self.press_next(key);
    }
}
