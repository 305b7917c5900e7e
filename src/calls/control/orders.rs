//! What the API wants of a living call.

use uuid::Uuid;

use super::Control;
use crate::calls::request::{Order, RequestError};
use crate::calls::transfer::TransferError;
use crate::workers::command::{Command, Steer};

impl From<TransferError> for RequestError {
    fn from(error: TransferError) -> Self {
        match error {
            TransferError::NotAnswered => Self::State("the call is not answered"),
            TransferError::Busy => Self::State("another transfer of the call is under way"),
            TransferError::NothingToCancel => {
                Self::State("no transfer is under way that can be given up")
            }
            TransferError::Three => Self::State("three talk in the call"),
            TransferError::NothingToLeave => {
                Self::State("nobody is there who would be left with the peer")
            }
            TransferError::Full | TransferError::AgentFull => Self::Full,
            TransferError::Limit(refusal) => Self::Limit(refusal),
            TransferError::Undialled(why) => Self::Destination(why),
            _ => Self::Invalid(error.to_string()),
        }
    }
}

impl Control {
    /// Carries out an order, or begins to; the id of what goes on.
    pub(super) fn order(&mut self, call: &str, order: Order) -> Result<Option<Uuid>, RequestError> {
        let key = self.find(call).ok_or(RequestError::NoSuchCall)?;
        let call = self.calls.get(&key).filter(|call| call.ended.is_none());
        let call = call.ok_or(RequestError::NoSuchCall)?;
        let worker = call.worker;
        let steer = match order {
            Order::Transfer { kind, destination, options, headers, message } => {
                let options = options.into_iter().collect();
                let headers = headers.into_iter().collect();
                let to = (kind.as_str(), destination.as_str());
                return Ok(self.asked_to_transfer(key, to, options, headers, message)?);
            }
            Order::Dtmf { digits, duration_ms, gap_ms } => {
                return self.send_digits(key, digits, duration_ms, gap_ms).map(|()| None);
            }
            Order::Mute(on) => Steer::Mute(on),
            Order::Clear => Steer::Clear,
            Order::Hold(on) => return self.hold(key, on).map(|()| None),
            Order::Unpark(to) => return self.unpark(key, to),
            Order::Update(fields) => return self.update_at_pbx(key, fields).map(|()| None),
        };
        self.command(worker, Command::Steer { call: key, steer });
        Ok(None)
    }
}
