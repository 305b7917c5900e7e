//! How what is said to a peer gets into its codec.
//!
//! Samples of G.711 and linear audio stand for themselves: they wait in the peer's codec, are cut,
//! dropped and padded there, and leave with a copy. A codec with a memory (G.722) allows none of
//! that: a word cut off in mid-queue would leave the peer's decoder in a state that our encoder is
//! not in, and a click would be heard. So for such a peer everything waits as linear audio at the
//! codec's rate, and is coded in one go when it leaves, silence and noise included. The exception
//! is an agent that speaks the peer's codec itself: its frames pass untouched, unless something is
//! mixed under them.

use media::codec::AudioFormat;
use media::codec::opus::Settings;
use media::convert::Converter;

/// From what waits to what is sent.
#[derive(Debug)]
pub(super) struct Outlet {
    wire: AudioFormat,
    /// Codes what leaves; absent if what waits is in the peer's codec.
    encoder: Option<Converter>,
    /// Something is mixed under what the agent says.
    mixes: bool,
}

impl Outlet {
    /// Towards a peer that hears `wire`.
    pub(super) fn new(wire: AudioFormat) -> Self {
        let waiting = wire.waiting();
        let encoder = (waiting != wire).then(|| Converter::new(waiting, wire));
        Self { wire, encoder, mixes: false }
    }

    /// Something is mixed under what the agent says, or no longer. True if that changes how it
    /// waits.
    pub(super) fn mix(&mut self, mixes: bool) -> bool {
        std::mem::replace(&mut self.mixes, mixes) != mixes && self.encoder.is_some()
    }

    /// Codes as the peer wants it from now on.
    pub(super) fn tune(&mut self, settings: &Settings) {
        if let Some(encoder) = &mut self.encoder {
            encoder.tune(settings);
        }
    }

    /// The peer hears `wire` from now on.
    pub(super) fn follow(&mut self, wire: AudioFormat) {
        if wire != self.wire {
            *self = Self { mixes: self.mixes, ..Self::new(wire) };
        }
    }

    /// The format of sounds and silence on their way to the peer.
    pub(super) const fn sounds(&self) -> AudioFormat {
        match &self.encoder {
            Some(encoder) => encoder.from(),
            None => self.wire,
        }
    }

    /// The format in which the audio of an agent waits that speaks `agent`.
    pub(super) fn queued(&self, agent: AudioFormat) -> AudioFormat {
        let untouched = agent == self.wire && !self.mixes;
        if untouched { self.wire } else { self.sounds() }
    }

    /// What codes a frame of sound as it leaves, if that is needed.
    pub(super) const fn encoder(&mut self) -> Option<&mut Converter> {
        self.encoder.as_mut()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What can be cut waits as it leaves; G.722 waits as linear audio, but for an agent that
    /// speaks it.
    #[test]
    fn what_waits_in_which_format() {
        let wide = AudioFormat::l16le(16_000);
        for wire in [AudioFormat::PCMU, AudioFormat::PCMA, AudioFormat::l16be(16_000)] {
            let mut outlet = Outlet::new(wire);
            assert_eq!((outlet.sounds(), outlet.queued(wide)), (wire, wire));
            assert!(outlet.encoder().is_none());
        }
        let mut outlet = Outlet::new(AudioFormat::PCMU);
        outlet.follow(AudioFormat::G722);
        assert_eq!((outlet.sounds(), outlet.queued(AudioFormat::PCMU)), (wide, wide));
        assert_eq!(outlet.queued(AudioFormat::G722), AudioFormat::G722);
        assert!(outlet.encoder().is_some());
        assert!(outlet.mix(true), "frames must be opened for what is mixed under them");
        assert_eq!(outlet.queued(AudioFormat::G722), wide);
        outlet.follow(AudioFormat::PCMU);
        assert!(!outlet.mix(false), "G.711 waits as it is in any case");
    }
}
