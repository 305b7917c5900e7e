//! Calls that wait for one of many, without I/O: who is where, who is next, who takes it.
//!
//! [`Queues`] is one machine for all queues of a server, since a member may be in several of them:
//! what one gives it the others see. It is told who comes, who leaves, and what became of an offer;
//! offers, and calls that no longer wait, come out ([`Effect`]). A call keeps its place while it is
//! offered, so that it loses nothing if nobody answers. See decision 66.

mod machine;
mod plan;
mod standing;
#[cfg(test)]
mod tests;

pub use machine::{CALLER_PAUSE, Effect, Gone, Leaving, Overflow, Queues};
pub use plan::{MemberId, Plan, QueueId, plans};
pub use standing::{Counts, MemberStanding, QueueStanding, WaiterStanding};
