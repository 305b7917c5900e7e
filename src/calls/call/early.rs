//! What a caller hears before the answer.

use adapters::agent::CallState;

use super::{Agent, Call, Effect, Peer};

impl Call {
    /// The agent's telephone rings: the caller hears that, unless it hears more already.
    pub(super) fn agent_rings(&mut self, effects: &mut Vec<Effect>) {
        let connecting = self.agent == Agent::Connecting;
        if connecting && self.inbound_pending() && !self.early && !self.rung {
            self.rung = true;
            effects.push(Effect::Ring);
        }
    }

    /// Media flow from here, though the call is not answered.
    pub(super) fn begin_early(&mut self, effects: &mut Vec<Effect>) {
        if self.peer == Peer::Pending && !std::mem::replace(&mut self.early, true) {
            effects.push(Effect::State(CallState::Early));
        }
    }
}
