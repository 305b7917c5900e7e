//! Floors: the least that the same traffic can cost on this machine. Each runs in a process of
//! its own, as the server does, and is loaded by the same generator.

pub(crate) mod child;
mod clock;
mod legs;
mod pair;
#[cfg(feature = "uring")]
mod ring;
pub(crate) mod serve;
mod shared;
