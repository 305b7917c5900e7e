//! Sounds that others than the agent let the peer hear, in the agent's place: each behind what the
//! agent had said when it was asked for, and in front of what it says afterwards.

use std::collections::VecDeque;
use std::sync::Arc;

use adapters::agent::CallState;
use media::codec::AudioFormat;
use media::convert::Converter;
use media::playout::Playout;
use uuid::Uuid;

use super::command::EventKind;
use super::context::Context;
use super::path::{Agent, MediaPath};

/// Sounds of one call that may wait.
pub const PLAYS_MAX: usize = 16;
/// What they may hold together, in bytes: twice ten minutes at 16 kHz.
pub const PLAYS_BYTES_MAX: usize = 40 * 1024 * 1024;

/// A sound to be played.
#[derive(Debug)]
pub struct PlaySound {
    /// Names it.
    pub id: Uuid,
    /// It, coded.
    pub sound: Arc<[u8]>,
    /// How it is coded: as sounds wait for the peer.
    pub format: AudioFormat,
}

/// What became of a sound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlayState {
    /// It begins to be heard.
    Started,
    /// All of it was heard.
    Played,
    /// The rest of it was dropped.
    Cleared,
}

impl PlayState {
    /// The stable word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Started => "started",
            Self::Played => "played",
            Self::Cleared => "cleared",
        }
    }
}

/// What happened to a sound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlayNotice {
    /// Which.
    pub id: Uuid,
    /// What.
    pub state: PlayState,
    /// How much of it has been heard, in milliseconds.
    pub played_ms: u64,
}

/// Sounds of a call, in order.
#[derive(Debug, Default)]
pub(super) struct Plays {
    waiting: VecDeque<Play>,
    notices: VecDeque<PlayNotice>,
}

#[derive(Debug)]
struct Play {
    sound: PlaySound,
    /// Byte that comes next.
    position: usize,
    begun: bool,
    /// From its format to the one that the peer has come to hear meanwhile.
    converter: Option<(Converter, Vec<u8>)>,
}

impl Play {
    fn notice(&self, state: PlayState) -> PlayNotice {
        let AudioFormat { codec, rate_hz } = self.sound.format;
        let samples = self.position / codec.sample_bytes().max(1);
        let played_ms = samples as u64 * 1000 / u64::from(rate_hz.max(1));
        PlayNotice { id: self.sound.id, state, played_ms }
    }

    /// Writes the next frame, as the peer's sounds are in `wanted`; false once nothing is left.
    fn next_frame(&mut self, out: &mut [u8], wanted: AudioFormat) -> bool {
        let silence = wanted.codec.silence();
        let rest = self.sound.sound.get(self.position..).unwrap_or_default();
        if self.sound.format == wanted {
            let length = rest.len().min(out.len());
            let (said, pad) = out.split_at_mut(length);
            said.copy_from_slice(rest.get(..length).unwrap_or_default());
            pad.fill(silence);
            self.position += length;
            return self.position < self.sound.sound.len();
        }
        // The peer changed its codec in the middle of it.
        let from = self.sound.format;
        let frame_bytes = out.len() / wanted.codec.sample_bytes().max(1) * from.rate_hz as usize
            / (wanted.rate_hz as usize).max(1)
            * from.codec.sample_bytes();
        if self.converter.as_ref().is_none_or(|(converter, _)| converter.to() != wanted) {
            let converter = Converter::new(from, wanted);
            let room = converter.max_output(frame_bytes).max(out.len());
            self.converter = Some((converter, vec![0; room]));
        }
        let piece = rest.get(..frame_bytes.min(rest.len())).unwrap_or_default();
        let made = match &mut self.converter {
            Some((converter, room)) if converter.max_output(piece.len()) <= room.len() => {
                let length = converter.convert(piece, room);
                room.get(..length.min(out.len())).unwrap_or_default()
            }
            _ => &[],
        };
        // What the filters hold back at first stands in front.
        let (pad, said) = out.split_at_mut(out.len() - made.len());
        pad.fill(silence);
        said.copy_from_slice(made);
        self.position += piece.len();
        self.position < self.sound.sound.len()
    }
}

impl Plays {
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    fn end(&mut self, state: PlayState) {
        if let Some(play) = self.waiting.pop_front() {
            self.notices.push_back(play.notice(state));
        }
    }

    fn clear(&mut self) {
        while !self.waiting.is_empty() {
            self.end(PlayState::Cleared);
        }
    }

    /// Writes the next frame of the sound that is heard; behind the last of it the queue goes on.
    pub(super) fn say(&mut self, queue: &mut Playout, out: &mut [u8], wanted: AudioFormat) {
        if self.next_frame(out, wanted) {
            queue.go_on();
        }
    }

    /// Writes the next frame of the sound that is heard; true if it was the last.
    fn next_frame(&mut self, out: &mut [u8], wanted: AudioFormat) -> bool {
        let Some(play) = self.waiting.front_mut() else { return false };
        if !std::mem::replace(&mut play.begun, true) {
            self.notices.push_back(play.notice(PlayState::Started));
        }
        let over = !play.next_frame(out, wanted);
        if over {
            self.end(PlayState::Played);
        }
        over
    }
}

impl MediaPath {
    /// Lets the peer hear a sound once all is said that waits before it.
    pub(super) fn play(&mut self, ctx: &mut Context, sound: PlaySound) {
        let play = Play { sound, position: 0, begun: false, converter: None };
        let held: usize = self.plays.waiting.iter().map(|play| play.sound.sound.len()).sum();
        let full = self.plays.waiting.len() >= PLAYS_MAX
            || held.saturating_add(play.sound.sound.len()) > PLAYS_BYTES_MAX;
        if full || self.state != CallState::Answered || play.sound.sound.is_empty() {
            return ctx.tell(self.key, EventKind::Play(play.notice(PlayState::Cleared)));
        }
        if matches!(self.agent, Agent::Socket(_) | Agent::None) {
            self.playout.stop_here();
        }
        self.plays.waiting.push_back(play);
        // What is passed on, or sent back, has no clock by which a sound leaves.
        self.restart_ticks(ctx.now);
    }

    /// Whether a sound is heard in the place of the agent.
    pub(super) fn plays_now(&self) -> bool {
        let front = self.plays.waiting.front();
        front.is_some_and(|play| play.begun || self.playout.may_break())
    }

    /// Drops the sounds that wait, and that which is heard.
    pub(super) fn clear_plays(&mut self, ctx: &mut Context) {
        self.plays.clear();
        self.tell_plays(ctx);
        self.restart_ticks(ctx.now);
    }

    /// Tells what became of sounds.
    pub(super) fn tell_plays(&mut self, ctx: &mut Context) {
        while let Some(notice) = self.plays.notices.pop_front() {
            ctx.tell(self.key, EventKind::Play(notice));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn play(sound: Vec<u8>, format: AudioFormat) -> Plays {
        let sound = PlaySound { id: Uuid::from_u128(1), sound: sound.into(), format };
        let play = Play { sound, position: 0, begun: false, converter: None };
        Plays { waiting: VecDeque::from([play]), notices: VecDeque::new() }
    }

    /// A sound comes out byte by byte, padded at its end, and tells when it begins and when it is
    /// over.
    #[test]
    fn a_sound_is_played() {
        let mut plays = play((1..=250).collect(), AudioFormat::PCMU);
        let mut frame = [0; 160];
        assert!(!plays.next_frame(&mut frame, AudioFormat::PCMU));
        assert!((1..=160).eq(frame));
        assert!(plays.next_frame(&mut frame, AudioFormat::PCMU), "the last");
        assert!((161..=250).eq(frame[..90].iter().copied()));
        assert_eq!(frame[90..], [0xff; 70]);
        assert!(plays.is_empty());
        let told = |state, played_ms| PlayNotice { id: Uuid::from_u128(1), state, played_ms };
        let expected = [told(PlayState::Started, 0), told(PlayState::Played, 31)];
        assert!(plays.notices.iter().eq(&expected));
    }

    /// A peer that changes its codec hears the rest in the new one, at the same speed.
    #[test]
    fn a_sound_follows_the_codec() {
        let mut plays = play(vec![0xff; 800], AudioFormat::PCMU);
        let (mut frame, mut wide) = ([0; 160], [0xaa; 640]);
        assert!(!plays.next_frame(&mut frame, AudioFormat::PCMU));
        let linear = AudioFormat::l16le(16_000);
        for n in 1..5 {
            assert_eq!(plays.next_frame(&mut wide, linear), n == 4);
            assert_eq!(wide, [0; 640], "silence stays silence");
        }
        assert_eq!(plays.notices.back().unwrap().played_ms, 100);
    }
}
