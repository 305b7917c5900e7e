//! The agent-facing stream.

#[doc(hidden)]
pub mod fuzz;
pub mod session;
pub mod wire;
