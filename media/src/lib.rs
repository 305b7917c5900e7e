//! The real-time core of Talkpath: frames, codecs, RTP, playout.
//!
//! Nothing in this crate does I/O, reads a clock or runs a thread. Bytes and `now` go in; packets,
//! events and the next deadline come out. That makes every part testable by simulation.
//!
//! The seam contract of each state machine: `handle_*(now, input)`, then drain `poll_*(now)` until
//! it yields nothing, then sleep until `deadline()`.

pub mod bed;
pub mod blocks;
pub mod buckets;
pub mod codec;
pub mod comfort;
pub mod conceal;
pub mod convert;
pub mod dtmf;
#[doc(hidden)]
pub mod fuzz;
pub mod jitter;
pub mod leg;
pub mod mix;
mod pitch;
pub mod playout;
pub mod resample;
pub mod ring;
pub mod rtcp;
pub mod rtp;
pub mod silence;
pub mod srtp;
pub mod stages;
pub mod stats;
pub mod time;
pub mod vad;
pub mod wav;
