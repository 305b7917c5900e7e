//! Orders of calls: to one recipient or many, now or later, within hours, and again by policy if
//! nobody was reached.
//!
//! What is decided without I/O is here; what is kept is in [`crate::store::call_orders`], and
//! [`Runner`] places what is due, on one node at a time. Each try is a call of its own, whose id is
//! written down before it is placed. The end of a try is taken note of in the transaction that
//! writes the end of its call, so that neither is known without the other. See decision 56.

pub mod hours;
pub mod policy;
pub mod rules;
mod runner;
mod told;

pub use hours::{Hours, HoursError, open_at};
pub use policy::{Next, Outcome, Policy, Rule};
pub use rules::{Rules, Template};
pub use runner::Runner;
pub use told::{CALL_ENDED, CALL_PLACED, ORDER_ENDED, tell};
