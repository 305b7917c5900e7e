//! Another agent in the place of a call's agent.

use media::time::MonoTime;

use super::{Agent, Call, RETRY_PAUSE_MIN, Second, Which};

impl Call {
    /// Another agent has taken the place of the one before: it is treated like this from now on,
    /// and is ready next.
    pub fn handed_over(&mut self, times: Second) {
        let Second { connect_timeout, grace, rings } = times;
        (self.plan.connect_timeout, self.plan.grace) = (connect_timeout, grace);
        self.plan.agent_rings = rings;
        (self.which, self.agent) = (Which::Main, Agent::Connecting);
        (self.refused, self.pause) = (None, RETRY_PAUSE_MIN);
        (self.retry_at, self.agent_by) = (MonoTime::MAX, MonoTime::MAX);
        self.back_by = MonoTime::MAX;
    }
}
