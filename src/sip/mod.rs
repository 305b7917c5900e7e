//! SIP: a core without I/O and the sockets around it.

pub mod core;
pub mod endpoint;
