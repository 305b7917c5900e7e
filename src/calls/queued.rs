//! A call's part in a queue.

use serde::Serialize;
use uuid::Uuid;

use super::queue::QueueId;

/// A call's part in a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Queued {
    /// Which.
    pub(super) queue: QueueId,
    /// How far it is there.
    pub(super) phase: Phase,
}

/// How far a call is in a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// It will wait there once it is answered.
    Coming,
    /// It waits.
    Waiting,
    /// It waits, and the transfer that it has under way rings a member.
    Offered,
    /// A member has it.
    Served,
    /// It waits no longer, and the transfer that it has under way takes it to whoever takes those.
    Overflowing,
}

/// A queue as the API shows it.
#[derive(Clone, Debug, Serialize)]
pub struct QueueView {
    /// Its name.
    pub name: String,
    /// "`longest_idle`" or "`in_order`".
    pub strategy: &'static str,
    /// Calls that may wait at once.
    pub max_waiting: u32,
    /// How long a call may wait, in seconds.
    pub max_wait_s: u64,
    /// Calls that wait.
    pub waiting: usize,
    /// How long the one waits that has waited longest, in milliseconds.
    pub longest_wait_ms: u64,
    /// Calls that members took since the server started.
    pub served: u64,
    /// Calls whose callers hung up while they waited.
    pub abandoned: u64,
    /// Calls that did not wait, or waited too long.
    pub overflowed: u64,
    /// Its members, in their order.
    pub members: Vec<MemberView>,
    /// Calls that wait, the next first.
    pub calls: Vec<WaitingView>,
}

/// A member of a queue as the API shows it.
#[derive(Clone, Debug, Serialize)]
pub struct MemberView {
    /// Name of the agent; of a telephone, that which the queue gives it.
    pub agent: String,
    /// Calls that it has or is rung for.
    pub calls: usize,
    /// Those that the queue lets it have at once.
    pub max_calls: usize,
    /// How long it is passed over, as it did not answer, in milliseconds.
    pub rests_ms: u64,
}

/// A call that waits, as the API shows it.
#[derive(Clone, Debug, Serialize)]
pub struct WaitingView {
    /// The call.
    pub id: Uuid,
    /// The calling address.
    pub from: String,
    /// Its place in the order: the first is 1.
    pub position: usize,
    /// How long it has waited, in milliseconds.
    pub waited_ms: u64,
    /// The member that is rung for it.
    pub offered_to: Option<String>,
}
