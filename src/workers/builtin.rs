//! Agents that live in a worker: echo, tone, play, record, silence.
//!
//! They speak and hear linear audio, [`FORMAT`], whatever the peer's codec: it may not be known yet
//! when they begin, and a re-INVITE may change it.

use std::sync::Arc;

use media::codec::AudioFormat;
use media::convert::Converter;
use media::rtp::Frame;
use media::time::MonoTime;

use super::tape::TapeInput;

/// What built-in agents speak and hear.
pub const FORMAT: AudioFormat = AudioFormat::l16le(8_000);
/// Samples converted at a time: 60 ms.
const CHUNK_SAMPLES: usize = 480;

/// What a built-in agent says.
#[derive(Clone, Debug)]
pub enum Source {
    /// Nothing.
    Silence,
    /// Sound in [`FORMAT`], over and over.
    Loop(Arc<[u8]>),
    /// Sound in [`FORMAT`], once.
    Once(Arc<[u8]>),
}

/// An agent without a connection.
#[derive(Debug)]
pub struct Builtin {
    source: Source,
    /// Byte of the source that comes next.
    position: usize,
    /// Sends back what it hears, packet for packet.
    echo: bool,
    /// Ends the call when its sound has been played.
    hangs_up: bool,
    /// Where what it hears is kept.
    tape: Option<TapeInput>,
    to_peer: Converter,
    from_peer: Converter,
}

impl Builtin {
    /// Sends back every packet at once, so that it adds no frame of delay.
    pub fn echo() -> Self {
        Self { echo: true, ..Self::speaker(Source::Silence, false) }
    }

    /// Says `source`; with `hangs_up` the call ends when that has been said once.
    pub fn speaker(source: Source, hangs_up: bool) -> Self {
        let to_peer = Converter::new(FORMAT, AudioFormat::PCMU);
        let from_peer = Converter::new(AudioFormat::PCMU, FORMAT);
        Self { source, position: 0, echo: false, hangs_up, tape: None, to_peer, from_peer }
    }

    /// Talks from now on with a peer that speaks `peer`.
    pub fn follow(&mut self, peer: AudioFormat) {
        if self.to_peer.to() != peer {
            self.to_peer = Converter::new(FORMAT, peer);
            self.from_peer = Converter::new(peer, FORMAT);
        }
    }

    /// Keeps what it hears.
    #[must_use]
    pub fn with_tape(self, tape: TapeInput) -> Self {
        Self { tape: Some(tape), ..self }
    }

    /// True if packets are to be sent back as they come.
    pub const fn is_echo(&self) -> bool {
        self.echo
    }

    /// True if the call ends when the sound has been played.
    pub const fn hangs_up(&self) -> bool {
        self.hangs_up
    }

    /// Takes a frame of the peer's.
    #[inline]
    pub(super) fn heard(&mut self, now: MonoTime, frame: Frame<'_>) {
        let Some(tape) = &mut self.tape else { return };
        let sample_bytes = self.from_peer.from().codec.sample_bytes();
        let mut linear = [0; CHUNK_SAMPLES * 2];
        let mut ext_ts = frame.ext_ts;
        for payload in frame.payload.chunks(CHUNK_SAMPLES * sample_bytes) {
            let length = self.from_peer.convert(payload, &mut linear);
            let payload = linear.get(..length).unwrap_or_default();
            tape.heard(now, Frame { ext_ts, payload, ..frame });
            ext_ts += (length / 2) as u64;
        }
    }

    /// Writes the next frame to `out` as the peer codes it, padded with silence; false if nothing
    /// is left to be said.
    pub fn next_frame(&mut self, out: &mut [u8]) -> bool {
        let codec = self.to_peer.to().codec;
        if matches!(self.source, Source::Silence) {
            out.fill(codec.silence());
            return true;
        }
        let mut linear = [0; CHUNK_SAMPLES * 2];
        let mut said = false;
        for out in out.chunks_mut(CHUNK_SAMPLES * codec.sample_bytes()) {
            let length = out.len() / codec.sample_bytes() * 2;
            let Some(linear) = linear.get_mut(..length) else { break };
            said |= self.next_samples(linear);
            self.to_peer.convert(linear, out);
        }
        said
    }

    /// Writes the next samples to `out`, padded with silence; false if none are left.
    fn next_samples(&mut self, out: &mut [u8]) -> bool {
        let (sound, repeats) = match &self.source {
            Source::Loop(sound) if !sound.is_empty() => (sound, true),
            Source::Loop(_) | Source::Silence => {
                out.fill(0);
                return true;
            }
            Source::Once(sound) => (sound, false),
        };
        let mut filled = 0;
        while filled < out.len() {
            let rest = sound.get(self.position..).unwrap_or_default();
            let length = copy(rest, out.get_mut(filled..).unwrap_or_default());
            filled += length;
            self.position += length;
            if self.position >= sound.len() {
                if !repeats {
                    break;
                }
                self.position = 0;
            }
        }
        out.get_mut(filled..).unwrap_or_default().fill(0);
        filled > 0
    }
}

/// Copies as much of `from` as fits and returns how much that is.
fn copy(from: &[u8], to: &mut [u8]) -> usize {
    let length = from.len().min(to.len());
    if let (Some(from), Some(to)) = (from.get(..length), to.get_mut(..length)) {
        to.copy_from_slice(from);
    }
    length
}

#[cfg(test)]
mod tests {
    use media::codec::g711::Law;

    use super::*;

    /// An agent that says `sound` to a peer that takes it as it is.
    fn linear(source: Source) -> Builtin {
        let mut agent = Builtin::speaker(source, true);
        agent.follow(FORMAT);
        agent
    }

    /// A loop whose length is no multiple of a frame has no seam.
    #[test]
    fn a_loop_has_no_seam() {
        let sound = [1, 2, 3, 4, 5, 6];
        let mut agent = linear(Source::Loop(sound.into()));
        let mut heard = Vec::new();
        for _ in 0..5 {
            let mut frame = [0; 8];
            assert!(agent.next_frame(&mut frame));
            heard.extend(frame);
        }
        assert!(heard.iter().zip(sound.iter().cycle()).all(|(a, b)| a == b));
    }

    /// A file is padded in its last frame, then over.
    #[test]
    fn a_file_ends() {
        let mut agent = linear(Source::Once([1, 2, 3, 4, 5, 6].into()));
        let mut frame = [0; 4];
        assert!(agent.next_frame(&mut frame));
        assert_eq!(frame, [1, 2, 3, 4]);
        assert!(agent.next_frame(&mut frame));
        assert_eq!(frame, [5, 6, 0, 0]);
        assert!(!agent.next_frame(&mut frame));
        assert_eq!(frame, [0; 4]);
    }

    /// An empty loop is silence, not an endless one.
    #[test]
    fn an_empty_loop_is_silent() {
        let mut agent = linear(Source::Loop([].into()));
        let mut frame = [1; 2];
        assert!(agent.next_frame(&mut frame));
        assert_eq!(frame, [0, 0]);
    }

    /// The same sound goes on in another codec when the peer changes to it, in frames of any length.
    #[test]
    fn a_sound_follows_the_codec() {
        let samples: Vec<i16> = (0..1_000).map(|n| n * 31 - 15_000).collect();
        let sound: Vec<u8> = samples.iter().flat_map(|sample| sample.to_le_bytes()).collect();
        let mut agent = Builtin::speaker(Source::Once(sound.into()), true);
        let mut frame = [0; 400];
        for (format, law, from) in
            [(AudioFormat::PCMU, Law::Mu, 0), (AudioFormat::PCMA, Law::A, 400)]
        {
            agent.follow(format);
            assert!(agent.next_frame(&mut frame));
            let expected = samples[from..from + 400].iter().map(|sample| law.code(*sample));
            assert!(frame.iter().copied().eq(expected), "{format:?}");
        }
        let mut long = [0; 700];
        assert!(agent.next_frame(&mut long));
        assert_eq!(long[..200], samples[800..].iter().map(|s| Law::A.code(*s)).collect::<Vec<_>>());
        assert!(long[200..].iter().all(|code| *code == 0xd5));
        assert!(!agent.next_frame(&mut long));
    }
}
