//! Which agent takes a call: addresses, the time and a lot in, a decision out. No I/O, no clock.
//!
//! A call has come by a line (a trunk, or a configuration with its trunks) of an organisation. The
//! called address may be a number of that line. Then the routes are looked at: those with the least
//! [`priority`](Route::priority) first; among them those of the number, those of the line (of its
//! trunk first), those of the whole organisation; among them the most specific [`Pattern`]; among
//! them the order in which they were made. The first whose [`Conditions`] hold takes the call; if
//! it has a weight, a lot is drawn among its equals that have one. A number's own agent stands
//! behind the number's routes.
//!
//! [`Table::decide`] answers that for a call, [`Table::explain`] tells why.

mod called;
mod conditions;
mod decide;
mod explain;
mod pattern;
mod schedule;
mod table;
#[cfg(test)]
mod tests;

pub use called::Called;
pub use conditions::{Callers, Conditions, Miss};
pub use decide::{Decision, Inquiry, Unrouted};
pub use explain::{Explanation, Step, Verdict};
pub use pattern::Pattern;
pub use schedule::{Schedule, ScheduleError, Window};
pub use table::{Builder, Number, PRIORITY, Route, Scope, Table};
