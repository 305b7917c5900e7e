//! The timers of RFC 3261 (table 4) and RFC 6026 as data.

use std::time::Duration;

/// The base values of RFC 3261 17.1.1.1 and what follows from them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timers {
    /// Estimate of the round trip: 500 ms.
    pub t1: Duration,
    /// Longest interval between retransmissions of a request other than INVITE and of a response
    /// to INVITE: 4 s.
    pub t2: Duration,
    /// How long a message can stay in the network: 5 s.
    pub t4: Duration,
}

impl Timers {
    /// The values of RFC 3261.
    pub const RFC3261: Self = Self {
        t1: Duration::from_millis(500),
        t2: Duration::from_millis(4000),
        t4: Duration::from_millis(5000),
    };

    /// 64 × T1: timers B, F, H, J, L, M.
    pub const fn limit(&self) -> Duration {
        self.t1.saturating_mul(64)
    }

    /// How long a client INVITE transaction absorbs retransmitted failures (timer D): at least 32 s
    /// on unreliable transports, nothing on reliable ones.
    pub const fn d(&self, reliable: bool) -> Duration {
        if reliable { Duration::ZERO } else { self.limit() }
    }

    /// How long a server INVITE transaction absorbs retransmitted ACKs (timer I).
    pub const fn i(&self, reliable: bool) -> Duration {
        if reliable { Duration::ZERO } else { self.t4 }
    }

    /// How long a server transaction absorbs retransmitted requests (timer J).
    pub const fn j(&self, reliable: bool) -> Duration {
        if reliable { Duration::ZERO } else { self.limit() }
    }

    /// How long a client transaction absorbs retransmitted responses (timer K).
    pub const fn k(&self, reliable: bool) -> Duration {
        if reliable { Duration::ZERO } else { self.t4 }
    }
}

impl Default for Timers {
    fn default() -> Self {
        Self::RFC3261
    }
}
