//! Who says something when, for the log of a call: what the agent says, as it leaves for the peer,
//! and what of it is dropped; what the peer says where somebody listens for it.

use std::time::Duration;

use media::playout::Cleared;
use media::time::MonoTime;

use super::command::EventKind;
use super::context::Context;
use super::path::{Agent, MediaPath};
use super::turns::PAUSE;
use crate::calls::log::{Ending, Speaker};

/// Something that was said.
#[derive(Clone, Debug)]
pub struct Spoke {
    /// By whom.
    pub who: Speaker,
    /// When it began.
    pub began: MonoTime,
    /// How much of it was heard, in milliseconds.
    pub played_ms: u64,
    /// How much was not, in milliseconds.
    pub dropped_ms: u64,
    /// How it ended.
    pub ending: Ending,
    /// How long the other side had waited for it, if that is known.
    pub waited: Option<Duration>,
    /// What the agent calls it.
    pub utterance: Option<Box<str>>,
}

/// Something that the agent says.
#[derive(Clone, Copy, Debug)]
struct Stretch {
    began: MonoTime,
    /// When the last of it left.
    last: MonoTime,
    waited: Option<Duration>,
}

/// Who says something at this moment.
#[derive(Debug, Default)]
pub(super) struct Speech {
    agent: Option<Stretch>,
    /// The agent's samples that had been played before that.
    told: u64,
    /// Those that have been played.
    played: u64,
    caller: Option<MonoTime>,
    /// The call ends: what is dropped now is nobody's wish.
    ends: bool,
    /// The agent's name of what is dropped now.
    utterance: Option<Box<str>>,
}

impl Speech {
    /// The agent's account begins anew.
    const fn restart(&mut self) {
        (self.agent, self.told, self.played) = (None, 0, 0);
    }

    /// What the agent has said since it was told last, if it is not in the midst of it.
    fn finish(&mut self, now: MonoTime) -> Option<(Stretch, u64)> {
        self.agent.filter(|stretch| now.since(stretch.last) >= PAUSE)?;
        self.take(self.played)
    }

    /// The same in any case; `played` of its samples were heard.
    fn take(&mut self, played: u64) -> Option<(Stretch, u64)> {
        let samples = played.saturating_sub(self.told);
        self.told = played;
        self.agent.take().map(|stretch| (stretch, samples))
    }

    /// A frame of the agent's leaves.
    fn frame(&mut self, now: MonoTime, played: u64, waited: Option<Duration>) {
        self.played = played;
        match &mut self.agent {
            Some(stretch) => stretch.last = now,
            None => self.agent = Some(Stretch { began: now, last: now, waited }),
        }
    }
}

fn millis(samples: u64, rate_hz: u32) -> u64 {
    samples * 1_000 / u64::from(rate_hz.max(1))
}

impl MediaPath {
    /// A frame of the agent's leaves for the peer, who has waited for it, if that is known.
    pub(super) fn note_speech(&mut self, ctx: &mut Context, waited: Option<Duration>) {
        if self.muted || !matches!(self.agent, Agent::Socket(_) | Agent::None) {
            return;
        }
        self.speech_over(ctx);
        self.speech.frame(ctx.now, self.playout.played_samples(), waited);
    }

    /// Tells what the agent has said, once it says no more.
    pub(super) fn speech_over(&mut self, ctx: &mut Context) {
        if let Some((stretch, samples)) = self.speech.finish(ctx.now) {
            self.tell_speech(ctx, stretch, samples, 0, Ending::Played);
        }
    }

    /// The call ends.
    pub(super) fn end_speech(&mut self, ctx: &mut Context) {
        self.speech.ends = true;
        if let Some(began) = self.speech.caller.take() {
            self.tell_caller(ctx, began, ctx.now);
        }
    }

    /// Nothing more comes of what waits: another agent's account begins.
    pub(super) fn restart_speech(&mut self, ctx: &mut Context) {
        let (dropped_ms, played) = (self.playout.queued_ms(), self.playout.played_samples());
        self.drop_speech(ctx, dropped_ms, played, Ending::Ended);
        self.speech.restart();
    }

    /// What waits is about to be dropped, and its name with it.
    pub(super) fn name_speech(&mut self) {
        let names = self.speech.agent.is_some() || !self.playout.drained();
        self.speech.utterance = self.playout.spoken().filter(|_| names).map(Box::from);
    }

    /// What waited was dropped.
    pub(super) fn cut_speech(&mut self, ctx: &mut Context, cleared: &Cleared) {
        let ending = if self.speech.ends { Ending::Ended } else { Ending::Cleared };
        self.drop_speech(ctx, cleared.dropped_ms, cleared.samples, ending);
    }

    fn drop_speech(&mut self, ctx: &mut Context, dropped_ms: u64, played: u64, ending: Ending) {
        let now = ctx.now;
        let ending = if dropped_ms > 0 { ending } else { Ending::Played };
        let unheard = (dropped_ms > 0).then_some(Stretch { began: now, last: now, waited: None });
        let told = self.speech.take(played).or_else(|| unheard.map(|stretch| (stretch, 0)));
        if let Some((stretch, samples)) = told {
            self.tell_speech(ctx, stretch, samples, dropped_ms, ending);
        }
        self.speech.utterance = None;
    }

    fn tell_speech(
        &mut self,
        ctx: &mut Context,
        stretch: Stretch,
        samples: u64,
        dropped_ms: u64,
        ending: Ending,
    ) {
        let spoke = Spoke {
            who: Speaker::Agent,
            began: stretch.began,
            played_ms: millis(samples, self.playout.config().agent_rate_hz),
            dropped_ms,
            ending,
            waited: stretch.waited,
            utterance: self
                .speech
                .utterance
                .take()
                .or_else(|| self.playout.spoken().map(Box::from)),
        };
        ctx.tell_later(self.key, EventKind::Spoke(spoke));
    }

    /// The caller began to speak at `at`, or ended then.
    pub(super) fn caller_spoke(&mut self, ctx: &mut Context, at: MonoTime, began: bool) {
        let before = match began {
            true => self.speech.caller.replace(at),
            false => self.speech.caller.take(),
        };
        if let Some(since) = before {
            self.tell_caller(ctx, since, at);
        }
    }

    fn tell_caller(&self, ctx: &mut Context, began: MonoTime, ended: MonoTime) {
        let spoke = Spoke {
            who: Speaker::Caller,
            began,
            played_ms: u64::try_from(ended.since(began).as_millis()).unwrap_or(u64::MAX),
            dropped_ms: 0,
            ending: Ending::Played,
            waited: None,
            utterance: None,
        };
        ctx.tell_later(self.key, EventKind::Spoke(spoke));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(ms: u64) -> MonoTime {
        MonoTime::from_nanos(ms * 1_000_000)
    }

    /// Frames of 160 samples from one time to another.
    fn talks(speech: &mut Speech, from: u64, to: u64) {
        for now in (from..to).step_by(20) {
            assert!(speech.finish(at(now)).is_none(), "it is in the midst of it");
            let played = speech.played + 160;
            speech.frame(at(now), played, None);
        }
    }

    /// What is said without a pause is one stretch, with just the samples of its own; a short pause
    /// is none.
    #[test]
    fn stretches_are_told_apart() {
        let mut speech = Speech::default();
        talks(&mut speech, 0, 1_000);
        talks(&mut speech, 1_200, 2_000);
        assert!(speech.finish(at(2_200)).is_none());
        let (stretch, samples) = speech.finish(at(2_400)).unwrap();
        assert_eq!((stretch.began, samples), (at(0), 90 * 160));
        assert!(speech.finish(at(9_000)).is_none(), "it is told once");
        talks(&mut speech, 9_000, 9_100);
        let (stretch, samples) = speech.finish(at(9_500)).unwrap();
        assert_eq!((stretch.began, samples), (at(9_000), 5 * 160));
    }

    /// What is cut off counts as far as it was heard, also where the carrier dropped some of what
    /// had left already.
    #[test]
    fn a_cut_counts_what_was_heard() {
        let mut speech = Speech::default();
        talks(&mut speech, 0, 1_000);
        let (stretch, samples) = speech.take(45 * 160).unwrap();
        assert_eq!((stretch.began, millis(samples, 8_000)), (at(0), 900));
        assert!(speech.take(45 * 160).is_none());
        speech.played = 45 * 160;
        talks(&mut speech, 2_000, 2_100);
        assert_eq!(speech.finish(at(2_500)).map(|(_, samples)| samples), Some(5 * 160));
        speech.restart();
        talks(&mut speech, 3_000, 3_020);
        assert_eq!(speech.finish(at(4_000)).map(|(_, samples)| samples), Some(160));
    }
}
