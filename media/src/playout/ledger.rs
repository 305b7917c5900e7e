//! From samples on the wire to the agent's own.

/// Converts counts of samples on the wire to counts at the agent's rate, exactly.
#[derive(Debug)]
pub(super) struct Ledger {
    wire_rate_hz: u32,
    agent_rate_hz: u32,
    /// Samples at the agent's rate before `base_position`: what earlier formats amounted to.
    base_samples: u64,
    /// Samples on the wire at which these rates began to hold.
    base_position: u64,
}

impl Ledger {
    pub(super) fn new(wire_rate_hz: u32, agent_rate_hz: u32) -> Self {
        Self { wire_rate_hz, agent_rate_hz, base_samples: 0, base_position: 0 }
    }

    /// The agent's samples in the first `played` samples on the wire, rounded down.
    pub(super) fn samples(&self, played: u64) -> u64 {
        self.base_samples
            + scale(played - self.base_position, self.agent_rate_hz, self.wire_rate_hz)
    }

    /// Milliseconds in `samples` of the agent's, rounded down.
    pub(super) fn played_ms(&self, samples: u64) -> u64 {
        scale(samples, 1000, self.agent_rate_hz)
    }

    /// Lets other rates hold from `played` samples on the wire on.
    pub(super) fn rebase(&mut self, played: u64, wire_rate_hz: u32, agent_rate_hz: u32) {
        let base_samples = self.at_rate(self.samples(played), agent_rate_hz);
        *self = Self { wire_rate_hz, agent_rate_hz, base_samples, base_position: played };
    }

    /// As many samples at `agent_rate_hz` as last as long as `samples` of the agent's, rounded
    /// down.
    pub(super) fn at_rate(&self, samples: u64, agent_rate_hz: u32) -> u64 {
        scale(samples, agent_rate_hz, self.agent_rate_hz)
    }
}

/// `count * to / from`, rounded down.
pub(super) fn scale(count: u64, to: u32, from: u32) -> u64 {
    let product = u128::from(count) * u128::from(to) / u128::from(from);
    u64::try_from(product).unwrap_or(u64::MAX)
}
