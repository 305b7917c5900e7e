//! What the server makes out of what a peer says, for the agent: digits sent as tones, and speech.
//!
//! Only calls whose agent can use either have an ear. It hears the peer at 8 kHz, where telephone
//! tones and most of speech are, whatever the peer's codec.

use std::time::Duration;

use media::codec::{AudioFormat, l16};
use media::convert::Converter;
use media::dtmf::Pressed;
use media::dtmf::inband::{Inband, RATE_HZ};
use media::rtp::Frame;
use media::time::MonoTime;
use media::vad::{SpeechChange, Vad};

use super::turns::Turns;

/// What is listened to.
const FORMAT: AudioFormat = AudioFormat::l16le(RATE_HZ);
/// Milliseconds that are converted at a time.
const PIECE_MS: u32 = 20;
/// Room for what comes of them, or of a packet that cannot be cut: 120 ms.
const PIECE_SAMPLES: usize = 960;
/// A peer that sends nothing for so long says nothing.
const IDLE: Duration = Duration::from_millis(400);
/// Of a longer gap only so much is heard as silence by the digits' receiver.
const GAP_MAX_MS: u64 = 200;

/// Listens to one peer.
#[derive(Debug)]
pub(super) struct Ear {
    peer: AudioFormat,
    converter: Converter,
    /// Media time at which the next frame begins, in the peer's clock.
    expected_ts: Option<u64>,
    /// When a frame came last.
    heard_at: Option<MonoTime>,
    digits: Option<Inband>,
    speech: Option<Vad>,
    pressed: Option<Pressed>,
    /// What changed, and how long ago, in milliseconds.
    changed: Option<(SpeechChange, u64)>,
    /// How long the peer waits for answers.
    pub(super) turns: Turns,
}

impl Ear {
    /// An ear for a peer whose audio is `peer`.
    pub(super) fn new(peer: AudioFormat) -> Self {
        Self {
            peer,
            converter: Converter::new(peer, FORMAT),
            expected_ts: None,
            heard_at: None,
            digits: None,
            speech: None,
            pressed: None,
            changed: None,
            turns: Turns::default(),
        }
    }

    /// Listens for digits and speech from now on, or no longer.
    pub(super) fn tune(&mut self, digits: bool, speech: bool) {
        if digits != self.digits.is_some() {
            self.digits = digits.then(Inband::new);
        }
        if speech != self.speech.is_some() {
            self.speech = speech.then(|| Vad::new(RATE_HZ));
        }
    }

    /// The peer's audio is coded like this from now on.
    pub(super) fn follow(&mut self, peer: AudioFormat) {
        if peer != self.peer {
            self.peer = peer;
            self.converter = Converter::new(peer, FORMAT);
            self.expected_ts = None;
        }
    }

    /// A frame came.
    pub(super) fn heard(&mut self, now: MonoTime, frame: Frame<'_>) {
        self.heard_at = Some(now);
        let gap = self.expected_ts.map_or(0, |expected| frame.ext_ts.saturating_sub(expected));
        self.expected_ts = Some(frame.ext_ts + u64::from(self.peer.payload_ticks(frame.payload)));
        if gap > 0 {
            self.missed(gap * 1000 / u64::from(self.peer.clock_hz().max(1)));
        }
        let piece_bytes = match self.peer.codec.is_packets() {
            true => frame.payload.len(),
            false => self.peer.bytes(PIECE_MS),
        };
        for piece in frame.payload.chunks(piece_bytes.max(1)) {
            let (mut bytes, mut samples) = ([0; 2 * PIECE_SAMPLES], [0; PIECE_SAMPLES]);
            let length = self.converter.convert(piece, &mut bytes);
            let count = l16::from_le(bytes.get(..length).unwrap_or_default(), &mut samples);
            let samples = samples.get(..count).unwrap_or_default();
            if let Some(digits) = &mut self.digits {
                digits.push(samples);
                self.pressed = digits.poll().or(self.pressed);
            }
            if let Some(speech) = &mut self.speech {
                speech.push(samples);
            }
        }
        self.note_change();
    }

    /// Looks whether so little comes that it is silence.
    pub(super) fn idle(&mut self, now: MonoTime) {
        if self.heard_at.is_some_and(|at| now.since(at) >= IDLE) {
            self.heard_at = Some(now);
            self.missed(u64::try_from(IDLE.as_millis()).unwrap_or(u64::MAX));
        }
    }

    /// Nothing came for so long.
    fn missed(&mut self, ms: u64) {
        if let Some(digits) = &mut self.digits {
            let silence = [0; FORMAT.samples(PIECE_MS)];
            for _ in 0..ms.min(GAP_MAX_MS).div_ceil(u64::from(PIECE_MS)) {
                digits.push(&silence);
                self.pressed = digits.poll().or(self.pressed);
            }
        }
        if let Some(speech) = &mut self.speech {
            speech.skip(ms);
        }
        self.note_change();
    }

    fn note_change(&mut self) {
        if let Some(speech) = &mut self.speech
            && let Some(change) = speech.poll()
        {
            self.changed = Some((change, speech.clock_ms().saturating_sub(change.at_ms)));
        }
    }

    /// A digit that has ended.
    pub(super) const fn poll_digit(&mut self) -> Option<Pressed> {
        self.pressed.take()
    }

    /// Speech that began or ended, and how many milliseconds ago.
    pub(super) const fn poll_speech(&mut self) -> Option<(SpeechChange, u64)> {
        self.changed.take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A tone of the key 5 for `ms`, as a peer says it in `format`.
    fn five(format: AudioFormat, ms: u32) -> Vec<u8> {
        let rate = f64::from(format.rate_hz);
        let tone = |n: usize, hz: f64| (n as f64 * hz / rate * std::f64::consts::TAU).sin();
        let linear: Vec<u8> = (0..format.samples(ms))
            .map(|n| (6000.0 * (tone(n, 770.0) + tone(n, 1336.0))) as i16)
            .flat_map(i16::to_le_bytes)
            .collect();
        let mut converter = Converter::new(format.linear(), format);
        let mut out = vec![0; converter.max_output(linear.len())];
        let length = converter.convert(&linear, &mut out);
        out.truncate(length);
        out
    }

    /// A key is heard in every codec of a peer, after a change of codec too; one that was cut off
    /// by a gap in the stream ends there.
    #[test]
    fn a_key_in_every_codec() {
        let mut ear = Ear::new(AudioFormat::PCMU);
        ear.tune(true, true);
        for format in [
            AudioFormat::PCMU,
            AudioFormat::PCMA,
            AudioFormat::G722,
            AudioFormat::l16be(16_000),
            AudioFormat::l16be(48_000),
        ] {
            ear.follow(format);
            let (mut ext_seq, mut ext_ts) = (0, 0);
            let sound = five(format, 100);
            for payload in sound.chunks(format.bytes(20)) {
                ear.heard(MonoTime::ZERO, Frame { ext_seq, ext_ts, marker: false, payload });
                ext_seq += 1;
                ext_ts += u64::from(format.ticks(20));
            }
            assert!(ear.poll_digit().is_none(), "the key is still down");
            // 100 ms later the stream goes on.
            ext_ts += u64::from(format.ticks(100));
            let silence = vec![format.codec.silence(); format.bytes(20)];
            ear.heard(MonoTime::ZERO, Frame { ext_seq, ext_ts, marker: false, payload: &silence });
            let pressed = ear.poll_digit().expect("a digit");
            assert_eq!(pressed.digit.as_char(), '5', "{format:?}");
            assert!((94..=106).contains(&pressed.duration_ms), "{format:?}: {pressed:?}");
        }
    }
}
