//! The agent-facing stream.

pub mod dial;
#[doc(hidden)]
pub mod fuzz;
pub mod session;
pub mod socket;
pub mod wire;
