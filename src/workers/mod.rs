//! Media threads: each owns its sockets, its calls and its clock.

pub mod poller;
