//! What the peer gets, and when: the pacer of a media path.

use std::time::Duration;

use media::blocks::BlockPool;
use media::leg::LegConfig;
use media::playout::Popped;
use media::rtp::HEADER_BYTES;
use media::stages::Stage;
use media::time::MonoTime;

use adapters::agent::CallState;

use super::ambient;
use super::builtin::Builtin;
use super::command::EventKind;
use super::context::Context;
use super::inflow::Sounded;
use super::path::{Agent, MediaPath};
use super::peer_end::PeerEnd;
use super::taps;
use crate::telemetry::{DropReason, Kind};

/// Ticks that are made up for after the worker was held up; with more, time is skipped instead, so
/// that the peer's buffer is not flooded.
pub(super) const CATCH_UP_TICKS_MAX: u32 = 5;
/// How long the first packet to the peer waits for an agent that has said nothing yet. Its first
/// audio then sets the pacer's phase, instead of waiting for a phase that the answer set by chance.
pub(super) const FIRST_AUDIO_WAIT: Duration = Duration::from_millis(40);
/// By how much the pacer follows the agent's first audio: what its later audio may be late by
/// without leaving a hole that would cost a whole frame.
pub(super) const PHASE_MARGIN: Duration = Duration::from_millis(3);

/// What one packet says.
#[derive(Debug, Default)]
pub(super) struct Said {
    /// Bytes of payload.
    pub(super) bytes: usize,
    /// It is the agent's own audio.
    pub(super) played: bool,
    /// It begins a talkspurt.
    pub(super) talkspurt: bool,
    /// A built-in agent has said all it had to say.
    pub(super) over: bool,
    /// There is nothing to be heard: a line need not be sent it.
    pub(super) quiet: bool,
    /// The source is heard as it speaks, and has nothing ready ahead of time.
    pub(super) live: bool,
}

impl MediaPath {
    /// True if a packet to the peer is due at `at`.
    pub(super) fn ticks_at(&self, at: MonoTime) -> bool {
        self.tick_at() == at
    }

    /// When the next packet to the peer leaves.
    pub(super) fn tick_at(&self) -> MonoTime {
        self.hole.leaves_at(self.next_tick)
    }

    /// Whether the packet that is due lacks audio that may come yet.
    fn lacks_audio(&self) -> bool {
        matches!(self.agent, Agent::Socket(_))
            && self.playout.drained()
            && self.playout.in_utterance()
            && self.hole.starved_at.is_none()
            && self.held.is_none()
            && !self.hushed
            && self.plays.is_empty()
            && !self.peer.says_digits()
    }

    /// Packets that are due to the peer.
    pub(super) fn ticks(&mut self, ctx: &mut Context) {
        let waited = self.hole.close();
        if self.conference.is_some() {
            return self.conference_ticks(ctx);
        }
        if self.peer.is_line() {
            return self.line_ticks(ctx);
        }
        let Some(format) = self.peer.format().map(|format| format.media) else {
            self.next_tick = MonoTime::MAX;
            return;
        };
        let ptime = Duration::from_millis(u64::from(format.ptime_ms));
        if waited.is_none() && !std::mem::replace(&mut self.phase_kept, true) {
            let later = ctx.phases.place(ctx.now, self.next_tick);
            if later > Duration::ZERO {
                self.next_tick += later;
                return;
            }
        }
        if waited.is_none() && self.lacks_audio() && self.hole.opens(self.next_tick, ptime, ctx.now)
        {
            return;
        }
        self.phase_free = false;
        ctx.phases.count(self.next_tick);
        // What waited for the agent is not late by us.
        let due = waited.unwrap_or(self.next_tick);
        ctx.metrics.lateness.record(ctx.now.since(due));
        self.stamp_due(ctx, due);
        for _ in 0..CATCH_UP_TICKS_MAX {
            self.tick(ctx, &format);
            self.next_tick += ptime;
            if self.next_tick > ctx.now {
                break;
            }
        }
        if self.next_tick <= ctx.now {
            let behind = ctx.now.since(self.next_tick).as_nanos() / ptime.as_nanos() + 1;
            let behind = u32::try_from(behind).unwrap_or(u32::MAX);
            self.next_tick += ptime.saturating_mul(behind);
            let ticks = format.audio.ticks(format.ptime_ms);
            if let Some(leg) = self.peer.leg() {
                leg.hold(ticks.saturating_mul(behind));
            }
            ctx.metrics.late.add(u64::from(behind));
        }
        self.stamped(ctx);
        self.made_out(ctx);
        self.tell_plays(ctx);
        self.after_playout(ctx);
        if self.passes() {
            // Digits were sent, and no more are to be.
            self.restart_ticks(ctx.now);
        }
    }

    /// What one ptime sends to the peer: a packet; of an agent's own packets of other lengths as
    /// many as keep media time with the clock.
    fn tick(&mut self, ctx: &mut Context, format: &LegConfig) {
        let PeerEnd::Rtp(peer) = &mut self.peer else { return };
        let Some(leg) = peer.leg() else { return };
        if let Some(event) = ctx.packet.first_chunk_mut().and_then(|out| leg.write_event(out)) {
            if event > 0 {
                let _ = peer.send(&mut ctx.packet, event);
            }
            return;
        }
        if self.passes() {
            return;
        }
        if !format.audio.codec.is_packets() {
            self.packet(ctx, format);
            return;
        }
        self.owed_ticks += i64::from(format.audio.ticks(format.ptime_ms));
        while self.owed_ticks > 0 {
            self.owed_ticks -= i64::from(self.packet(ctx, format).max(1));
        }
    }

    /// One packet to the peer; how long it lasts, in ticks.
    pub(super) fn packet(&mut self, ctx: &mut Context, format: &LegConfig) -> u32 {
        let ptime_ticks = format.audio.ticks(format.ptime_ms);
        let bytes = format.audio.bytes(format.ptime_ms);
        let Some(out) = ctx.packet.get_mut(..HEADER_BYTES + bytes) else { return ptime_ticks };
        let Some((header, payload)) = out.split_first_chunk_mut::<HEADER_BYTES>() else {
            return ptime_ticks;
        };
        let linear_bytes = self.outlet.sounds().bytes(format.ptime_ms);
        let Some(linear) = ctx.linear.get_mut(..linear_bytes) else { return ptime_ticks };
        let plays = self.plays_now();
        let digits = self.say_digits(linear, payload);
        let said = match digits {
            Some(bytes) => Said { bytes, ..Said::default() },
            None if self.conference.is_some() => self.say_mix(linear, payload),
            None => self.say(ctx.now, &mut ctx.blocks, linear, payload),
        };
        let PeerEnd::Rtp(peer) = &mut self.peer else { return ptime_ticks };
        let Some(leg) = peer.leg() else { return ptime_ticks };
        if said.talkspurt {
            leg.mark();
        }
        let payload = payload.get(..said.bytes).unwrap_or_default();
        let ticks = match payload {
            // Nobody speaks, and the peer wants no packets that say so.
            [] => {
                leg.pause(ptime_ticks);
                return ptime_ticks;
            }
            payload => format.audio.payload_ticks(payload),
        };
        self.taps.said(taps::Said { due: self.next_tick, ts: leg.sender().ts(), payload });
        leg.write_audio(ctx.now, header, payload);
        match peer.send(&mut ctx.packet, HEADER_BYTES + said.bytes) {
            Ok(sent) => ctx.metrics.sent(Kind::Rtp, sent),
            Err(_) => ctx.metrics.dropped(DropReason::SocketFull),
        }
        ctx.lap(Stage::KernelSend);
        if said.over {
            ctx.tell_once(self.key, EventKind::Played, &mut self.told_over);
        }
        // Digits take the place of audio: what waits is not late.
        if digits.is_none() && !plays {
            self.note_underrun(ctx, said.played);
        }
        ticks
    }

    /// Writes what the peer hears next to `payload`, by way of `linear` if it has to be coded.
    #[inline]
    #[expect(
        clippy::too_many_lines,
        reason = "one choice of who speaks, whose arms borrow different parts of the path"
    )]
    pub(super) fn say(
        &mut self,
        now: MonoTime,
        blocks: &mut BlockPool,
        linear: &mut [u8],
        payload: &mut [u8],
    ) -> Said {
        let sounds = self.outlet.sounds();
        let (silence, plays) = (sounds.codec.silence(), self.plays_now());
        let untouched = self.queued != sounds;
        let (frame, mut coded) = match self.outlet.encoder() {
            Some(encoder) => (linear, Some((encoder, payload))),
            None => (payload, None),
        };
        let mut said = Said::default();
        match (&mut self.held, &mut self.agent) {
            (Some(sound), _) => {
                said.quiet = sound.is_silent();
                sound.next_frame(frame, silence);
            }
            (None, _) if self.hushed => {
                said.quiet = true;
                frame.fill(silence);
            }
            (None, agent) if plays => {
                pass_over(agent, now, blocks, frame);
                self.plays.say(&mut self.playout, frame, sounds);
                self.silence.said(frame, sounds);
                said.played = true;
            }
            // What an echo on a line says waits like that of an agent elsewhere.
            (None, Agent::Builtin(builtin)) if !builtin.is_echo() => {
                let more = builtin.next_frame(frame, silence);
                self.silence.played(frame, sounds);
                said.over = !more && builtin.hangs_up();
                said.quiet = !more || builtin.is_silent();
            }
            (None, Agent::Rtp(_) | Agent::Leg(_)) => {
                let sounded = match (&mut self.agent, self.peer.inflow()) {
                    (Agent::Rtp(agent), _) => agent.pull(now, blocks, frame),
                    (_, Some(inflow)) => inflow.pull(now, blocks, frame),
                    (_, None) => Sounded::Nothing,
                };
                said.live = true;
                match sounded {
                    Sounded::Frame { talkspurt, played } => {
                        said.played = played;
                        said.talkspurt = talkspurt;
                        if played {
                            self.silence.said(frame, sounds);
                            first_heard(&mut self.first_audio, self.answered_at, now);
                        }
                    }
                    Sounded::Nothing => said.quiet = background(&mut self.noise, frame, silence),
                }
            }
            (None, Agent::None | Agent::Socket(_) | Agent::Builtin(_)) => {
                let into = match &mut coded {
                    Some((_, payload)) if untouched => &mut **payload,
                    _ => &mut *frame,
                };
                let (bytes, talkspurt) = match self.playout.pop(now, blocks, into) {
                    Popped::Frame { talkspurt_start, .. } => (into.len(), talkspurt_start),
                    Popped::Packet { bytes, talkspurt_start } => (bytes, talkspurt_start),
                    Popped::Empty => (0, false),
                };
                if bytes == 0 {
                    said.quiet = background(&mut self.noise, frame, silence);
                } else {
                    let audio = if untouched { self.queued } else { sounds };
                    self.silence.said(into.get(..bytes).unwrap_or_default(), audio);
                    first_heard(&mut self.first_audio, self.answered_at, now);
                    said = Said { bytes, played: true, talkspurt, ..Said::default() };
                    if untouched && !self.muted {
                        return said;
                    }
                }
            }
        }
        if self.muted && self.held.is_none() && !plays {
            frame.fill(silence);
        }
        if let Some(bed) = &mut self.bed
            && self.held.is_none()
            && !self.hushed
        {
            ambient::mix(bed, sounds, frame, said.played && (plays || !self.muted));
            said.quiet = false;
        }
        said.bytes = match coded {
            Some((encoder, payload)) => encoder.convert(frame, payload),
            None => frame.len(),
        };
        said
    }

    /// Keeps account of pauses in mid-utterance.
    pub(super) fn note_underrun(&mut self, ctx: &mut Context, played: bool) {
        if played {
            self.note_turn(ctx);
        }
        match (played, self.hole.starved_at) {
            (false, None) if self.playout.in_utterance() => {
                self.hole.starved_at = Some(ctx.now);
                self.underruns += 1;
                ctx.metrics.underruns.inc();
            }
            (true, Some(_)) => self.end_underrun(ctx.now),
            _ => {}
        }
    }

    /// A pause in mid-utterance that is under way is over: the agent goes on, or has dropped what
    /// was to follow.
    pub(super) fn end_underrun(&mut self, now: MonoTime) {
        let Some(since) = self.hole.starved_at.take() else { return };
        let ms = u64::try_from(now.since(since).as_millis()).unwrap_or(u64::MAX);
        if let Agent::Socket(socket) = &mut self.agent {
            socket.session.underrun(ms);
        }
    }

    /// Whether packets are passed on, or sent back, as they come: they need no clock of ours.
    fn passes(&self) -> bool {
        if self.peer.is_line() || self.conference.is_some() {
            return false;
        }
        let passes = match &self.agent {
            Agent::Builtin(builtin) => builtin.is_echo(),
            Agent::Leg(_) => true,
            Agent::None | Agent::Socket(_) | Agent::Rtp(_) => false,
        };
        // Digits of ours have a clock of their own.
        passes && self.held.is_none() && !self.peer.says_digits() && self.plays.is_empty()
    }

    /// Starts or stops the pacer, as state and direction demand.
    pub(super) fn restart_ticks(&mut self, now: MonoTime) {
        // Three have one clock, whether the peer hears anything or not.
        let sends = self.peer.sends() || self.conference.is_some();
        let flows = self.state != CallState::Ringing || self.peer.is_steady();
        let speaks = flows && sends && !self.passes();
        if !speaks {
            if self.next_tick < MonoTime::MAX {
                let ts = self.peer.leg_ref().map_or(0, |leg| leg.sender().ts());
                self.stopped_at = Some((self.next_tick, ts));
            }
            self.next_tick = MonoTime::MAX;
        } else if self.next_tick == MonoTime::MAX {
            self.count_pause(now);
            let waits = self.phase_free
                && !self.peer.is_line()
                && self.playout.drained()
                && !self.hushed
                && matches!(self.agent, Agent::Socket(_) | Agent::Rtp(_));
            self.phase_free = waits;
            self.phase_kept = false;
            self.next_tick = if waits { now + FIRST_AUDIO_WAIT } else { now };
        }
    }

    /// Media time goes on while nothing is sent (RFC 3550 5.1).
    fn count_pause(&mut self, now: MonoTime) {
        let Some((since, then)) = self.stopped_at.take() else { return };
        let Some(leg) = self.peer.leg() else { return };
        let clock_hz = u128::from(leg.config().audio.clock_hz());
        let ticks = now.since(since).as_nanos() * clock_hz / 1_000_000_000;
        // What was passed on meanwhile has moved media time already.
        let moved = leg.sender().ts().wrapping_sub(then);
        leg.pause(u32::try_from(ticks).unwrap_or(u32::MAX).saturating_sub(moved));
    }

    /// The agent has sent audio: the first of it sets the pacer's phase.
    #[inline]
    pub(super) fn heard_agent(&mut self, now: MonoTime) {
        let speaks = match &self.agent {
            Agent::Rtp(agent) => agent.spoke(),
            _ => !self.playout.drained(),
        };
        if speaks && self.peer.is_line() {
            return self.wake_line(now);
        }
        if speaks {
            self.hole.heard(now);
        }
        if self.phase_free && self.next_tick < MonoTime::MAX && speaks {
            self.phase_free = false;
            self.next_tick = self.next_tick.min(now + PHASE_MARGIN);
        }
    }
}

/// Lets what an agent says be lost that speaks RTP: it has a clock of its own.
pub(super) fn pass_over(
    agent: &mut Agent,
    now: MonoTime,
    blocks: &mut BlockPool,
    frame: &mut [u8],
) {
    if let Agent::Rtp(agent) = agent {
        agent.pull(now, blocks, frame);
    }
}

/// Notes when the agent's first audio left, counted from the answer.
fn first_heard(first: &mut Option<Duration>, answered_at: Option<MonoTime>, now: MonoTime) {
    first.get_or_insert_with(|| now.since(answered_at.unwrap_or(now)));
}

/// What is heard while nobody says anything; true if that is nothing.
fn background(noise: &mut Option<Box<Builtin>>, frame: &mut [u8], silence: u8) -> bool {
    match noise {
        Some(noise) => {
            noise.next_frame(frame, silence);
            noise.is_silent()
        }
        None => {
            frame.fill(silence);
            true
        }
    }
}
