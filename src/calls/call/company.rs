//! A call in which somebody else talks with the peer besides the agent.

use super::{Call, Effect};

impl Call {
    /// Somebody has joined peer and agent, or is gone again.
    pub const fn accompany(&mut self, company: bool) {
        self.company = company;
    }

    /// The agent leaves: the call is none of its own any more, and goes on.
    pub(super) fn leave(&self, effects: &mut Vec<Effect>) {
        effects.push(Effect::Leave);
    }
}
