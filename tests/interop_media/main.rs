//! Sound, keys and packets, and programs that we did not write.

#[path = "../support/mod.rs"]
mod support;

mod capture;
mod dtmf_out;
mod lossy;
mod pipecat;
mod sounds;
