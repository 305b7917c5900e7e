//! What is asked of carriers over HTTP: the one place that performs an operation of an adapter, so
//! that time-outs, repetition, rates and tracing are the same for every carrier.

mod account;
mod connect;
mod cost;
mod events;
mod exchanges;
mod lease;
mod leftovers;
mod pace;
mod reverse;
mod socket;
#[cfg(test)]
mod tests;
mod watch;

pub use account::Account;
pub use connect::Reachable;
pub use cost::Pricing;
pub use events::EventSockets;
pub use exchanges::{Exchanges, Failure, ORIGINATE, Patience};
pub use leftovers::Leftovers;
pub use reverse::Tunnels;
