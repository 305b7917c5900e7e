//! Header fields that agents and the API add to messages within a call.

use super::Control;
use crate::sip::core::custom::{self, CustomError};
use crate::workers::command::{CallKey, Command};

impl Control {
    /// Whether fields may be added to a message to the peer of a call: all that do not steer it, or
    /// what its trunk lets out.
    pub(super) fn may_add(
        &self,
        key: CallKey,
        headers: &[(String, String)],
    ) -> Result<(), CustomError> {
        let trunk = self.calls.get(&key).and_then(|call| call.trunk.as_deref());
        let fields = headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        custom::check(fields, trunk.map(|trunk| trunk.outbound.headers_out.as_slice()))
    }

    /// The agent answers and wants these fields in the answer. Those that may not be there do not
    /// hold the answer up: the agent is told, and the call answered without any.
    pub(super) fn answer_headers(&mut self, key: CallKey, headers: Vec<(String, String)>) {
        let allowed = self.may_add(key, &headers);
        let Some(call) = self.calls.get_mut(&key) else { return };
        match allowed {
            Ok(()) => call.answer_headers = headers,
            Err(error) => {
                tracing::info!(parent: &call.span, %error, "the agent's headers are left out");
                let (worker, why) =
                    (call.worker, "headers: the trunk does not let all of them out");
                self.command(worker, Command::Refused { call: key, why });
            }
        }
    }
}
