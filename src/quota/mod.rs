//! How many calls there may be, and where calls may go. No I/O, no clock.
//!
//! A call takes a [`Permit`] of everything that it counts for: the server, its organisation, line,
//! number, agent. It holds the permit for as long as it lives, and dropping it gives everything
//! back, so that nothing can leak whatever way a call ends. [`Quota::take`] takes all or nothing; a
//! [`Refusal`] names the limit.
//!
//! [`credit`] is the money that organisations may spend, [`rates`] what calls cost.
//!
//! [`destination`] tells where calls are not placed: to emergency services, to premium numbers, and
//! wherever a list of allowed destinations does not lead.

pub mod amount;
mod bucket;
pub mod budget;
pub mod credit;
pub mod destination;
mod limits;
pub mod load;
#[cfg(test)]
mod load_tests;
mod permit;
pub mod rates;
mod table;
#[cfg(test)]
mod tests;

pub use bucket::Bucket;
pub use limits::{Bound, Kind, Limit, Limits, Refusal, Subject, Way, Ways};
pub use permit::Permit;
pub use table::{Gone, Quota};
