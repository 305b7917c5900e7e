//! What the meter asks of Linux: clocks, pinning, sockets with kernel receive stamps, `/proc`.
//!
//! All `unsafe` of this crate is in this folder.

pub(crate) mod clock;
pub(crate) mod net;
pub(crate) mod poll;
pub(crate) mod proc;
pub(crate) mod sched;
pub(crate) mod timer;
