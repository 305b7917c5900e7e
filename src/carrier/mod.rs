//! What is asked of carriers over HTTP: the one place that performs an operation of an adapter, so
//! that time-outs, repetition, rates and tracing are the same for every carrier.

mod account;
mod connect;
mod cost;
mod exchanges;
mod leftovers;
mod pace;
#[cfg(test)]
mod tests;
mod watch;

pub use account::Account;
pub use connect::Reachable;
pub use cost::Pricing;
pub use exchanges::{Exchanges, Failure, ORIGINATE, Patience};
pub use leftovers::Leftovers;
