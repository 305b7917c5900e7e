//! The media generator: paced, verifiable audio on many streams, and what came back of it.

pub(crate) mod account;
pub(crate) mod engine;
mod first;
pub(crate) mod flame;
pub(crate) mod heard;
pub(crate) mod line;
pub(crate) mod meter;
pub(crate) mod neighbour;
pub(crate) mod stamps;
mod stream;
