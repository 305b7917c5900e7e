//! What somebody hears who listens in.

use media::ring::Consumer;
use media::time::MonoTime;

/// What somebody hears who listens in.
#[derive(Debug)]
pub struct Listening {
    /// What the call's worker leaves; abandoned once the call is over.
    pub frames: Consumer,
    /// Samples a second.
    pub rate_hz: u32,
    /// When it began: frames are numbered from here.
    pub began: MonoTime,
}
