//! Who else hears a call: listeners on what comes from the peer.
//!
//! A path without listeners pays one branch a frame. A listener runs on the path of a frame, so it
//! neither allocates nor waits; what needs either goes through a ring to another thread.

use media::codec::AudioFormat;
use media::rtp::Frame;
use media::time::MonoTime;

use super::ear::Ear;

/// A listener on a call.
pub(super) trait Tap: std::fmt::Debug + Send {
    /// The peer's audio is coded like this from now on.
    fn follow(&mut self, peer: AudioFormat);

    /// A frame came from the peer; frames come in order, gaps are visible in their numbers.
    fn heard(&mut self, now: MonoTime, frame: Frame<'_>);
}

/// The listeners of one call.
#[derive(Debug, Default)]
pub(super) struct Taps {
    taps: Vec<Box<dyn Tap>>,
    /// The one that the agent is told by.
    pub(super) ear: Option<Box<Ear>>,
}

impl Taps {
    /// Adds a listener, which stays to the end of the call.
    pub(super) fn add(&mut self, mut tap: Box<dyn Tap>, peer: AudioFormat) {
        tap.follow(peer);
        self.taps.push(tap);
    }

    /// See [`Tap::follow`].
    pub(super) fn follow(&mut self, peer: AudioFormat) {
        for tap in &mut self.taps {
            tap.follow(peer);
        }
        if let Some(ear) = &mut self.ear {
            ear.follow(peer);
        }
    }

    /// See [`Tap::heard`].
    #[inline]
    pub(super) fn heard(&mut self, now: MonoTime, frame: Frame<'_>) {
        for tap in &mut self.taps {
            tap.heard(now, frame);
        }
        if let Some(ear) = &mut self.ear {
            ear.heard(now, frame);
        }
    }
}
