//! The carriers Talkpath speaks to, as data and pure functions: bytes in, bytes and events out.

pub mod agent;
pub mod dialect;
pub mod wire;
