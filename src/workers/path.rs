//! The media of one call: what comes from the peer goes to the agent, and the other way round.
//!
//! Towards the agent a frame passes in the moment it arrives. Towards the peer the pacer decides:
//! every ptime one packet, at deadlines that do not drift, with silence where there is nothing to
//! be said. Nothing here allocates while frames flow.

use std::time::Duration;

use adapters::agent::{CallState, DtmfSource, EndedBy, StreamFormat};
use media::bed::Bed;
use media::codec::AudioFormat;
use media::jitter::JitterSnapshot;
use media::leg::{Heard, HeardAudio};
use media::playout::{Playout, PlayoutConfig};
use media::rtp::Frame;
use media::stages::Stage;
use media::stats::LegSnapshot;
use media::time::MonoTime;

use super::bridge::{self, BridgeLeg};
use super::builtin::Builtin;
use super::command::{AgentLink, CallKey, EventKind, LegFormat, MediaReport};
use super::conference::Conference;
use super::context::{Context, HEADROOM_BYTES};
use super::deadlines::{Entries, rounded};
use super::hole::Hole;
use super::outlet::Outlet;
use super::path_aside::Aside;
use super::path_rtcp::{say_goodbye, take_report};
use super::peer::Received;
use super::peer_end::PeerEnd;
use super::play::Plays;
use super::poller;
use super::report::drop_reason;
use super::rtp_agent::RtpAgent;
use super::silence::Silence;
use super::socket_agent::SocketAgent;
use super::speech::Speech;
use super::taps::Taps;
use super::timeline::Timeline;
use crate::calls::cause::Cause;
use crate::telemetry::Kind;

/// How often a call's media are looked after: silence of the peer, quality reports.
pub const CARE_EVERY: Duration = Duration::from_secs(5);

/// Who is at the agent's end.
#[derive(Debug)]
pub(super) enum Agent {
    /// Nobody yet, or nobody any more.
    None,
    /// An agent of this process.
    Builtin(Builtin),
    /// An agent on a WebSocket.
    Socket(Box<SocketAgent>),
    /// An agent that speaks RTP.
    Rtp(Box<RtpAgent>),
    /// Another RTP peer.
    Leg(Box<BridgeLeg>),
}

/// The media of one call.
#[derive(Debug)]
pub(super) struct MediaPath {
    pub(super) key: CallKey,
    /// Identifies the call's sockets in the poller.
    pub(super) token: u64,
    pub(super) peer: PeerEnd,
    pub(super) agent: Agent,
    /// Somebody who is told what the call is about before getting it.
    pub(super) aside: Option<Box<Aside>>,
    /// Somebody who has joined both.
    pub(super) conference: Option<Box<Conference>>,
    pub(super) taps: Taps,
    pub(super) playout: Playout,
    /// Sounds that others than the agent let the peer hear.
    pub(super) plays: Plays,
    /// The format of what is in it.
    pub(super) queued: AudioFormat,
    /// Codes what leaves for the peer.
    pub(super) outlet: Outlet,
    pub(super) state: CallState,
    pub(super) muted: bool,
    /// What the peer hears while it is on hold.
    pub(super) held: Option<Box<Builtin>>,
    /// What it hears under the agent.
    pub(super) bed: Option<Box<Bed>>,
    /// What the agent says waits for the answer, though media flow already.
    pub(super) hushed: bool,
    /// When the call was answered.
    pub(super) answered_at: Option<MonoTime>,
    /// When it ends, if it does soon.
    pub(super) ends_at: Option<MonoTime>,
    /// Heard while there is no agent: silence if absent.
    pub(super) noise: Option<Box<Builtin>>,
    /// When the next packet to the peer is due.
    pub(super) next_tick: MonoTime,
    pub(super) hole: Hole,
    /// No packet has gone out yet, and the agent's first audio may say when one does.
    pub(super) phase_free: bool,
    /// It keeps the phase that it has.
    pub(super) phase_kept: bool,
    /// Media time by which packets of their own lengths are behind the clock, in ticks.
    pub(super) owed_ticks: i64,
    /// When the packet was due before which the pacer was stopped.
    pub(super) stopped_at: Option<(MonoTime, u32)>,
    pub(super) silence: Silence,
    pub(super) timeline: Timeline,
    /// When the media are looked after next.
    pub(super) care_at: MonoTime,
    /// When the log of calls is told next how they fare.
    pub(super) sample_at: MonoTime,
    /// What stands of it in the worker's heap.
    pub(super) entries: Entries,
    /// Where the echo's media time stands.
    pub(super) echo_ts: Option<u64>,
    pub(super) underruns: u64,
    /// From the answer to the agent's first audio on the wire.
    pub(super) first_audio: Option<Duration>,
    pub(super) agent_skipped: u64,
    /// Frames that a disk was too slow for.
    pub(super) recording_lost: u64,
    /// How the last leg at the agent's end fared, and datagrams from elsewhere on all of them.
    pub(super) agent_leg: Option<Box<LegSnapshot>>,
    pub(super) agent_foreign: u64,
    /// How the sound of the last agent fared that speaks RTP.
    pub(super) agent_jitter: Option<Box<JitterSnapshot>>,
    /// Digits have come as events or by signalling.
    pub(super) digits_otherwise: bool,
    /// The control plane was told that the peer is silent.
    pub(super) told_timeout: bool,
    /// It was told that the other leg is silent.
    pub(super) told_leg_silent: bool,
    /// It was told that the agent's sound is over.
    pub(super) told_over: bool,
    /// Who says something.
    pub(super) speech: Speech,
}

impl MediaPath {
    /// Media between `peer` and an agent to come.
    pub(super) fn new(now: MonoTime, key: CallKey, token: u64, peer: PeerEnd) -> Self {
        let StreamFormat { audio, ptime_ms } = peer.stream();
        let outlet = Outlet::new(audio);
        let queued = outlet.sounds();
        let playout = PlayoutConfig::new(queued, ptime_ms, queued.rate_hz);
        Self {
            key,
            token,
            silence: Silence::new(peer.format(), audio),
            peer,
            agent: Agent::None,
            aside: None,
            conference: None,
            taps: Taps::default(),
            playout: Playout::new(playout),
            plays: Plays::default(),
            queued,
            outlet,
            state: CallState::Ringing,
            muted: false,
            held: None,
            bed: None,
            hushed: false,
            answered_at: None,
            ends_at: None,
            noise: None,
            next_tick: MonoTime::MAX,
            hole: Hole::NONE,
            phase_free: true,
            phase_kept: false,
            owed_ticks: 0,
            stopped_at: None,
            timeline: Timeline::default(),
            care_at: now + CARE_EVERY,
            sample_at: MonoTime::MAX,
            entries: Entries::NONE,
            echo_ts: None,
            underruns: 0,
            first_audio: None,
            agent_skipped: 0,
            recording_lost: 0,
            agent_leg: None,
            agent_foreign: 0,
            agent_jitter: None,
            digits_otherwise: false,
            told_timeout: false,
            told_leg_silent: false,
            told_over: false,
            speech: Speech::default(),
        }
    }

    /// When [`MediaPath::handle_timeout`] is due.
    pub(super) fn deadline(&self) -> MonoTime {
        let leg = self.peer.leg_ref().and_then(|leg| leg.deadline()).unwrap_or(MonoTime::MAX);
        let care = self.care_at.min(self.look_deadline()).min(self.peer.care_deadline());
        let agent = match &self.agent {
            Agent::Socket(socket) => socket.deadline(),
            Agent::Leg(leg) => leg.deadline(),
            Agent::None | Agent::Builtin(_) | Agent::Rtp(_) => MonoTime::MAX,
        };
        let aside = self.aside.as_ref().map_or(MonoTime::MAX, |aside| aside.deadline());
        let guest = self.conference.as_ref().map_or(MonoTime::MAX, |it| it.deadline());
        let line = self.peer.line_deadline().min(guest);
        self.tick_at().min(rounded(care)).min(leg).min(agent).min(aside).min(line)
    }

    /// Does all that is due.
    pub(super) fn handle_timeout(&mut self, ctx: &mut Context) {
        if self.tick_at() <= ctx.together.until(ctx.now) {
            self.ticks(ctx);
        }
        if self.peer.leg_ref().and_then(|leg| leg.deadline()).is_some_and(|at| at <= ctx.now) {
            self.late_frames(ctx);
            self.digits(ctx);
        }
        if let Some(peer) = self.peer.rtp() {
            peer.handle_timeout(ctx.now);
        }
        self.send_report(ctx);
        self.look(ctx);
        if self.care_at <= ctx.now {
            self.care(ctx);
        }
        self.look_at_mailbox(ctx);
        self.leg_timeout(ctx);
        if self.aside.is_some() {
            self.aside_timeout(ctx);
        }
        if self.conference.is_some() {
            self.guest_timeout(ctx);
        }
        self.line_timeout(ctx);
        self.socket_timeout(ctx);
    }

    /// Takes what offer and answer settled.
    pub(super) fn settle(&mut self, ctx: &mut Context, format: LegFormat) {
        let old = self.peer.stream();
        let PeerEnd::Rtp(peer) = &mut self.peer else { return };
        self.silence.settled(ctx.now, peer.format(), &format);
        peer.settle(ctx.now, format);
        self.settled(ctx, old);
    }

    /// Lets everything follow the peer's format, which was `old`.
    pub(super) fn settled(&mut self, ctx: &mut Context, old: StreamFormat) {
        if self.peer.stream() != old {
            // The peer's media time may count in another clock from here on.
            self.echo_ts = None;
            self.follow_peer();
            self.reformat(ctx);
            self.follow_conference(ctx);
        }
        self.tune_ear();
        self.tune_outlet();
        self.restart_ticks(ctx.now);
        self.watch_for_silence(ctx);
        self.take_parked(ctx);
    }

    /// Puts an agent at the other end; the one before, if any, is let go.
    pub(super) fn attach(&mut self, ctx: &mut Context, link: AgentLink) {
        if matches!(link, AgentLink::Leg(_)) {
            self.hand_over(ctx);
        }
        let mailbox = self.mailbox_that_stays(&link);
        let before = self.detach(ctx);
        let format = self.peer.stream();
        let attached = match link {
            AgentLink::Builtin(builtin) => {
                Ok(self.attach_builtin(builtin, before.as_ref(), mailbox))
            }
            AgentLink::Rtp(link) => RtpAgent::new(ctx, self.token, link, format, &self.outlet)
                .map(|agent| Agent::Rtp(Box::new(agent))),
            AgentLink::Leg(link) => self.attach_leg(ctx, *link).map(Agent::Leg),
            AgentLink::Socket(link) => {
                SocketAgent::new(ctx, self.token, *link, format, &self.outlet)
                    .map(|agent| Agent::Socket(Box::new(agent)))
            }
        };
        let agent = attached.unwrap_or_else(|error| {
            tracing::warn!(%error, "the agent's socket cannot be watched");
            ctx.tell(self.key, EventKind::AgentLost(crate::agent::session::Loss::Closed(None)));
            Agent::None
        });
        self.attached(ctx, agent);
    }

    /// Another agent is at the other end.
    pub(super) fn attached(&mut self, ctx: &mut Context, agent: Agent) {
        self.agent = agent;
        self.noise = None;
        self.hole.starved_at = None;
        self.told_over = false;
        self.told_leg_silent = false;
        self.restart_speech(ctx);
        self.restart_playout(ctx);
        self.restart_ticks(ctx.now);
        self.catch_up(ctx);
        self.tune_ear();
        self.tune_outlet();
        self.follow_conference(ctx);
        self.socket_attached(ctx);
    }

    /// The agent is gone; the peer hears what is queued, then `noise`.
    pub(super) fn comfort(&mut self, ctx: &mut Context, noise: Builtin) {
        self.detach(ctx);
        self.noise = Some(Box::new(noise));
        self.restart_ticks(ctx.now);
    }

    /// Media flow before the answer.
    pub(super) fn early(&mut self, ctx: &mut Context, speaks: bool) {
        self.hushed = !speaks;
        self.state(ctx, CallState::Early);
    }

    /// The call's state changed.
    pub(super) fn state(&mut self, ctx: &mut Context, state: CallState) {
        self.state = state;
        self.hushed &= state == CallState::Early;
        if state == CallState::Answered {
            self.answered_at.get_or_insert(ctx.now);
            self.silence.answered(ctx.now);
            self.answer_line(ctx);
            if let Some(head) = self.taps.recording() {
                head.begin(ctx.now);
            }
        }
        self.watch_for_silence(ctx);
        // Silence counts from the answer, not from the INVITE.
        self.peer.count_silence_from(ctx.now);
        self.restart_ticks(ctx.now);
        if let Agent::Socket(socket) = &mut self.agent {
            socket.state(state);
        }
        self.take_parked(ctx);
        // A greeting that waits leaves now, not with the next round.
        if self.tick_at() <= ctx.now {
            self.ticks(ctx);
        }
        self.actions(ctx);
    }

    /// A digit came by signalling.
    pub(super) fn digit(&mut self, ctx: &mut Context, digit: char, duration_ms: u32) {
        self.digits_come_otherwise();
        match &mut self.agent {
            Agent::Socket(socket) => socket.session.dtmf(digit, duration_ms, DtmfSource::Info),
            Agent::Leg(_) => self.digit_to_leg(ctx, digit, duration_ms),
            Agent::Builtin(_) => self.key_to_mailbox(digit),
            Agent::None | Agent::Rtp(_) => {}
        }
        self.actions(ctx);
    }

    /// Ends the media; what is left is the report.
    pub(super) fn close(&mut self, ctx: &mut Context, cause: Cause, by: EndedBy) -> MediaReport {
        self.clear_plays(ctx);
        self.end_speech(ctx);
        if !self.is_heard(ctx.now) {
            self.clear(ctx);
        }
        self.restart_speech(ctx);
        let answered = self.answered_at.map(|at| ctx.now.since(at)).unwrap_or_default();
        if let Agent::Socket(socket) = &mut self.agent {
            socket.stop(cause, by, answered);
        }
        self.actions(ctx);
        self.stop_recording(ctx);
        self.drop_aside(ctx);
        self.drop_guest(ctx);
        self.detach(ctx);
        self.playout.release(&mut ctx.blocks);
        match &mut self.peer {
            PeerEnd::Rtp(peer) => {
                if self.state == CallState::Answered {
                    say_goodbye(peer, ctx);
                }
                ctx.poller.remove(peer.rtp());
                ctx.poller.remove(peer.rtcp());
            }
            PeerEnd::Line(line) => line.end(ctx),
        }
        self.report(ctx.now)
    }

    /// One datagram from the peer.
    #[inline]
    pub(super) fn on_rtp(&mut self, ctx: &mut Context) {
        let PeerEnd::Rtp(peer) = &mut self.peer else { return };
        let Some(buffer) = ctx.packet.get_mut(HEADROOM_BYTES..) else { return };
        let turned = self.timeline.from_peer.next().then(poller::now);
        let received = peer.receive(ctx.now, buffer);
        if let Some(turned) = turned {
            ctx.stamp_received(peer.rtp(), turned);
        }
        self.take(ctx, received);
        self.stamped(ctx);
    }

    /// What came before the peer was known, now that it is and media flow.
    pub(super) fn take_parked(&mut self, ctx: &mut Context) {
        while self.state != CallState::Ringing {
            let PeerEnd::Rtp(peer) = &mut self.peer else { return };
            let Some(buffer) = ctx.packet.get_mut(HEADROOM_BYTES..) else { return };
            let Some(received) = peer.receive_parked(ctx.now, buffer) else { return };
            self.take(ctx, received);
        }
    }

    /// What lies in the packet buffer.
    #[inline]
    fn take(&mut self, ctx: &mut Context, received: Received) {
        let PeerEnd::Rtp(peer) = &mut self.peer else { return };
        let length = match received {
            Received::Rtp(length) => length,
            other => {
                self.silence.unreadable(ctx.now, other);
                return take_report(peer, ctx, other, HEADROOM_BYTES);
            }
        };
        ctx.metrics.received(Kind::Rtp, length);
        let Some(leg) = peer.leg() else { return };
        let datagram = ctx.packet.get(HEADROOM_BYTES..HEADROOM_BYTES + length);
        let datagram = datagram.unwrap_or_default();
        let heard = leg.receive(ctx.now, datagram);
        self.silence.heard(ctx.now, datagram, &heard);
        let passing = match self.agent {
            Agent::Leg(_) if self.conference.is_none() => bridge::passing(heard, datagram),
            _ => None,
        };
        if let Some(conference) = &mut self.conference {
            conference.hear_peer(ctx.now, &mut ctx.blocks, heard, datagram);
        }
        match heard {
            Heard::Audio(heard) => {
                ctx.lap(Stage::Decode);
                self.audio_in(ctx, heard);
                self.made_out(ctx);
            }
            Heard::Comfort(heard) => self.pass_over(ctx, heard.arrival.ext_seq),
            Heard::Event(arrival) => {
                self.pass_over(ctx, arrival.ext_seq);
                self.digits_come_otherwise();
                self.digits(ctx);
            }
            Heard::Nothing(arrival, reason) => {
                self.pass_over(ctx, arrival.ext_seq);
                self.skip_to_leg(arrival);
                ctx.metrics.dropped(drop_reason(reason));
            }
            Heard::Ignored(reason) => ctx.metrics.dropped(drop_reason(reason)),
        }
        if let Some(passing) = passing {
            self.pass_to_leg(ctx, passing);
            ctx.lap(Stage::KernelSend);
        }
    }

    /// Audio from the peer, where it lies in the packet buffer.
    #[inline]
    fn audio_in(&mut self, ctx: &mut Context, heard: HeardAudio) {
        if self.held.is_some() {
            return self.pass_over(ctx, heard.arrival.ext_seq);
        }
        if let Agent::Builtin(builtin) = &self.agent
            && builtin.is_echo()
            && self.conference.is_none()
        {
            return self.reflect(ctx, heard);
        }
        let Self { agent, peer, taps, .. } = self;
        let Some(leg) = peer.leg() else { return };
        let start = HEADROOM_BYTES + heard.start;
        let arrival = heard.arrival;
        // Taken out, so that the sink may borrow the rest of the context; both moves are pointers.
        let packet = std::mem::take(&mut ctx.packet);
        let payload = packet.get(start..start + heard.len).unwrap_or_default();
        let frame = Frame {
            ext_seq: arrival.ext_seq,
            ext_ts: arrival.ext_ts,
            marker: heard.marker,
            payload,
        };
        let mut sink = ctx.frame_sink();
        if leg.passes(arrival.ext_seq) {
            sink.give(agent, taps, frame);
            if matches!(agent, Agent::Socket(_) | Agent::Rtp(_)) {
                ctx.lap(Stage::AgentOut);
            }
        } else {
            self.out_of_order(ctx, frame);
        }
        ctx.packet = packet;
    }
}
