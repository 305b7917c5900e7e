//! What a line gets, and when: as much ahead of being heard as its buffer is deep, and nothing
//! while there is nothing to be heard, unless it has to be sent something at all times.

use std::time::Duration;

use adapters::agent::{CallState, StreamFormat};
use media::codec::AudioFormat;
use media::stages::Stage;
use media::time::MonoTime;

use super::command::EventKind;
use super::context::Context;
use super::pace::Said;
use super::path::{Agent, MediaPath};
use super::taps;

/// Frames that leave in one go at most; a buffer deeper than that is filled in several.
const FRAMES_PER_TURN_MAX: usize = 64;

/// What became of a frame that could leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    /// It left.
    Sent,
    /// There is nothing to be heard.
    Quiet,
}

impl MediaPath {
    /// Frames that may leave for the carrier.
    pub(super) fn line_ticks(&mut self, ctx: &mut Context) {
        let format = self.peer.stream();
        ctx.metrics.lateness.record(ctx.now.since(self.next_tick));
        self.stamp_due(ctx, self.next_tick);
        self.next_tick = ctx.now;
        for _ in 0..FRAMES_PER_TURN_MAX {
            let Some(line) = self.peer.line_ref() else { return };
            if line.room_at(self.is_live()) > ctx.together.until(ctx.now) {
                self.next_tick = self.line_due_at(ctx.now);
                break;
            }
            // What the agent says waits for the answer; who has to be sent something hears silence.
            let waits = self.state == CallState::Ringing;
            if waits || self.line_frame(ctx, format) == Turn::Quiet {
                if self.peer.is_steady() {
                    self.line_silence(ctx, format);
                    continue;
                }
                self.next_tick = self.quiet_until(ctx.now, format.ptime_ms);
                break;
            }
        }
        self.stamped(ctx);
        self.made_out(ctx);
        self.tell_plays(ctx);
        self.after_playout(ctx);
    }

    /// Sends what may leave at once, and does not wait for the next round: the call is awake.
    #[inline]
    pub(super) fn line_at_once(&mut self, ctx: &mut Context) {
        let Some(line) = self.peer.line_ref().filter(|_| self.conference.is_none()) else {
            return;
        };
        let waits = self.next_tick < MonoTime::MAX && self.queues() && !self.playout.drained();
        let room_at = line.room_at(self.is_live());
        if self.next_tick <= ctx.now || (waits && room_at <= ctx.now) {
            self.line_ticks(ctx);
        }
    }

    /// True if what the agent says is there ahead of time, and waits in a queue.
    const fn queues(&self) -> bool {
        matches!(self.agent, Agent::Socket(_))
    }

    /// True if what the agent says comes over a network, and is taken by the clock.
    pub(super) const fn is_live(&self) -> bool {
        matches!(self.agent, Agent::Rtp(_) | Agent::Leg(_))
    }

    /// When the next frame leaves at the latest.
    fn line_due_at(&self, now: MonoTime) -> MonoTime {
        let Some(line) = self.peer.line_ref() else { return MonoTime::MAX };
        let room_at = line.room_at(self.is_live());
        if room_at > now && self.queues() { line.ahead.due_at() } else { room_at.max(now) }
    }

    /// When a line on which there is nothing to be heard is looked at next.
    fn quiet_until(&self, now: MonoTime, ptime_ms: u32) -> MonoTime {
        let Some(line) = self.peer.line_ref() else { return MonoTime::MAX };
        let waits = !self.playout.drained() || !self.plays.is_empty();
        if self.is_live() || waits || self.taps.mailbox.is_some() {
            return now + Duration::from_millis(u64::from(ptime_ms));
        }
        // Whether the caller will hear a pause is known when the carrier has none left.
        let runs_dry = self.playout.in_utterance() && !line.ahead.is_empty(now);
        if runs_dry { line.ahead.empty_at() } else { MonoTime::MAX }
    }

    /// The agent has said something: a line that was quiet is looked at at once.
    pub(super) fn wake_line(&mut self, now: MonoTime) {
        if self.conference.is_some() {
            // The clock of all is awake.
        } else if self.next_tick < MonoTime::MAX {
            self.next_tick = self.next_tick.min(self.line_due_at(now));
        } else {
            self.restart_ticks(now);
        }
    }

    /// The carrier's share of a ptime in which three talk, if there is anything to be heard, or it
    /// has to be sent something.
    pub(super) fn conference_to_line(&mut self, ctx: &mut Context) {
        let format = self.peer.stream();
        if self.line_frame(ctx, format) == Turn::Quiet && self.peer.is_steady() {
            self.line_silence(ctx, format);
        }
    }

    /// One frame for the carrier, if there is anything to be heard.
    fn line_frame(&mut self, ctx: &mut Context, format: StreamFormat) -> Turn {
        let StreamFormat { audio, ptime_ms } = format;
        let Some(payload) = ctx.packet.get_mut(..audio.bytes(ptime_ms)) else { return Turn::Quiet };
        let linear_bytes = self.outlet.sounds().bytes(ptime_ms);
        let Some(linear) = ctx.linear.get_mut(..linear_bytes) else { return Turn::Quiet };
        let plays = self.plays_now();
        let digits = self.say_digits(linear, payload);
        let said = match digits {
            Some(bytes) => Said { bytes, ..Said::default() },
            None if self.conference.is_some() => self.say_mix(linear, payload),
            None => self.say(ctx.now, &mut ctx.blocks, linear, payload),
        };
        let Some(line) = self.peer.line() else { return Turn::Quiet };
        if said.over {
            line.over = true;
            line.farewell(ctx);
        }
        if said.quiet || said.bytes == 0 {
            if line.ahead.is_empty(ctx.now) {
                self.note_underrun(ctx, false);
            }
            return Turn::Quiet;
        }
        let lead = line.lead();
        if said.live && said.talkspurt && !lead.is_zero() && line.ahead.is_empty(ctx.now) {
            // Nothing of it is ready ahead of time: what makes up for a network's tremble is a
            // pause before it.
            line.ahead.give(ctx.now, lead, false);
        }
        self.give(ctx, audio, said.bytes, said.played && !plays);
        if digits.is_none() && !plays {
            self.note_underrun(ctx, said.played);
        }
        Turn::Sent
    }

    /// A frame of silence for a carrier that has to be sent something.
    fn line_silence(&mut self, ctx: &mut Context, format: StreamFormat) {
        let StreamFormat { audio, ptime_ms } = format;
        let length = audio.bytes(ptime_ms);
        let Some(line) = self.peer.line() else { return };
        let Some(payload) = ctx.packet.get_mut(..length) else { return };
        payload.fill(audio.codec.silence());
        line.ahead.pass(ctx.now, Duration::from_millis(u64::from(ptime_ms)));
        line.send(ctx, length);
    }

    /// Sends the frame in the first `length` bytes of the packet buffer.
    fn give(&mut self, ctx: &mut Context, audio: AudioFormat, length: usize, played: bool) {
        let Some(line) = self.peer.line() else { return };
        let payload = ctx.packet.get(..length).unwrap_or_default();
        let lasts = lasting(audio, u64::from(audio.payload_ticks(payload)));
        let due = line.ahead.give(ctx.now, lasts, played);
        let ts = u128::from(due.as_nanos()) * u128::from(audio.clock_hz()) + 500_000_000;
        let ts = (ts / 1_000_000_000) as u32;
        self.taps.said(taps::Said { due, ts, payload });
        line.send_audio(ctx, length, due);
        ctx.lap(Stage::KernelSend);
    }

    /// Ends a call whose built-in agent has said all, once that has been heard.
    pub(super) fn line_over(&mut self, ctx: &mut Context) {
        let over = self.peer.line().is_some_and(|line| line.over && line.is_heard(ctx.now));
        if over {
            ctx.tell_once(self.key, EventKind::Played, &mut self.told_over);
        }
    }
}

/// How long so many ticks last.
fn lasting(audio: AudioFormat, ticks: u64) -> Duration {
    Duration::from_nanos(ticks * 1_000_000_000 / u64::from(audio.clock_hz().max(1)))
}
