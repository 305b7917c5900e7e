//! How queues stand at a moment, for whoever looks.

use std::time::Duration;

use uuid::Uuid;

use super::MemberId;

/// What became of a queue's calls since the server started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Members took them.
    pub served: u64,
    /// They hung up while they waited.
    pub abandoned: u64,
    /// There was no place for them, or they had waited for too long.
    pub overflowed: u64,
}

/// How a queue stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueStanding {
    /// Who waits, the next first.
    pub waiting: Vec<WaiterStanding>,
    /// Its members, in their order.
    pub members: Vec<MemberStanding>,
    /// What became of its calls.
    pub counts: Counts,
}

impl QueueStanding {
    /// How long the one waits that has waited longest.
    pub fn longest(&self) -> Option<Duration> {
        self.waiting.iter().map(|waiter| waiter.waited).max()
    }
}

/// A call that waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WaiterStanding {
    /// The call.
    pub call: Uuid,
    /// How long it has waited.
    pub waited: Duration,
    /// The member that is rung for it.
    pub offered: Option<MemberId>,
}

/// A member, as one queue sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemberStanding {
    /// Which.
    pub member: MemberId,
    /// Calls that it has or is rung for, from whatever queue.
    pub calls: usize,
    /// Those that this queue lets it have at once.
    pub max_calls: usize,
    /// How long it is passed over yet.
    pub rests: Duration,
}
