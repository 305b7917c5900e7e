//! The half of a media path that talks with an agent on a socket.

use std::io;

use adapters::agent::{Basis, CallState};
use media::convert::Converter;
use media::playout::{PlayoutConfig, PlayoutEvent};
use media::time::MonoTime;

use super::builtin::Builtin;
use super::command::EventKind;
use super::context::Context;
use super::path::{Agent, MediaPath};
use super::peer_end::PeerEnd;
use super::poller::{self, Ready};
use super::socket_agent::SocketAgent;
use super::take_message::take_message;
use crate::agent::session::{Action, Control};
use crate::bridge::framing::{Class, ControlFrame, FrameError, Input, Message};
use crate::telemetry::DropReason;

impl MediaPath {
    /// The agent's socket has something to do.
    #[inline]
    pub(super) fn on_agent(&mut self, ctx: &mut Context, ready: Ready) {
        match &mut self.agent {
            Agent::Rtp(agent) => {
                self.timeline.agent_comes(&mut ctx.stamps, || agent.waits());
                agent.on_packet(ctx);
                self.audio_came(ctx);
            }
            Agent::Socket(socket) => {
                if ready.writable
                    && let Some(connection) = socket.wire.own()
                {
                    connection.flush();
                    connection.watch(&ctx.poller);
                }
                if ready.readable {
                    self.read_socket(ctx);
                }
                self.line_at_once(ctx);
                self.actions(ctx);
            }
            Agent::Leg(_) => {
                self.on_leg_rtp(ctx);
                // From the wake-up to the last byte written: what this server adds.
                ctx.metrics.added.record(poller::now().since(ctx.now));
            }
            Agent::None | Agent::Builtin(_) => {}
        }
    }

    /// Takes what the socket has: one read, for the poller tells if there is more.
    fn read_socket(&mut self, ctx: &mut Context) {
        loop {
            let Agent::Socket(socket) = &mut self.agent else { return };
            let Some(connection) = socket.wire.own().filter(|it| !it.closed) else { return };
            let mut input = std::mem::take(&mut ctx.input);
            self.timeline.agent_comes(&mut ctx.stamps, || self.playout.waits());
            let again = match connection.io.read(&mut input) {
                Ok(0) => {
                    self.socket_ended(ctx, None);
                    false
                }
                Ok(length) => {
                    let again = connection.io.is_tls();
                    self.messages(ctx, input.get_mut(..length).unwrap_or_default());
                    again
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => false,
                Err(_) => {
                    self.socket_ended(ctx, None);
                    false
                }
            };
            ctx.input = input;
            // What brought no audio has no time line.
            self.stamped(ctx);
            if !again {
                return;
            }
        }
    }

    /// Every message in `bytes`, in order, each with what follows from it before the next.
    fn messages(&mut self, ctx: &mut Context, bytes: &mut [u8]) {
        let mut input = Input::new(bytes);
        loop {
            let Agent::Socket(socket) = &mut self.agent else { return };
            let SocketAgent { wire, dialect, session, from_agent, .. } = &mut **socket;
            let Some(connection) = wire.own() else { return };
            let message = match connection.reader.next(&mut input) {
                Ok(None) => return,
                Ok(Some(message)) => message,
                Err(error) => return self.bad_frame(ctx, error),
            };
            match message {
                Message::Data(kind, message) => {
                    let parts = (&mut **dialect, session, from_agent);
                    if take_message(ctx, &mut self.playout, parts, (kind, message)) {
                        self.audio_came(ctx);
                        continue;
                    }
                }
                Message::Ping(payload) => {
                    let mask = connection.masked.then(|| ctx.masks.next_key());
                    let pong = ControlFrame::pong(payload, mask);
                    connection.write(Class::Control, pong.as_bytes());
                    connection.watch(&ctx.poller);
                }
                Message::Pong(payload) => {
                    session.pong(ctx.now, payload);
                    if let Some(round_trip) = session.round_trip() {
                        ctx.metrics.agent_round_trip.record(round_trip);
                    }
                }
                Message::Close { code, .. } => {
                    self.socket_ended(ctx, Some(code.unwrap_or(NO_CODE)));
                    return;
                }
            }
            self.actions(ctx);
        }
    }

    /// The agent sent what is no WebSocket frame: nothing after it can be understood.
    fn bad_frame(&mut self, ctx: &mut Context, error: FrameError) {
        let Agent::Socket(socket) = &mut self.agent else { return };
        ctx.metrics.dropped(DropReason::Malformed);
        if matches!(error, FrameError::TooBig { .. }) {
            socket.session.too_big();
            self.actions(ctx);
        }
        let Agent::Socket(socket) = &mut self.agent else { return };
        socket.close(ctx, error.close_code(), "");
        socket.wire.drop_it(ctx);
        socket.session.socket_closed(ctx.now, None);
    }

    /// The agent closed the socket with `code`, or it broke.
    fn socket_ended(&mut self, ctx: &mut Context, code: Option<u16>) {
        let Agent::Socket(socket) = &mut self.agent else { return };
        if let Some(code) = code {
            // RFC 6455 5.5.1: a close is answered with the same code.
            socket.close(ctx, code, "");
        }
        socket.session.socket_closed(ctx.now, code);
        socket.wire.drop_it(ctx);
        self.drain(ctx);
    }

    /// An agent on a socket was attached: say hello, and read what it said already.
    pub(super) fn socket_attached(&mut self, ctx: &mut Context) {
        self.actions(ctx);
        let Agent::Socket(socket) = &mut self.agent else { return };
        let Some(connection) = socket.wire.own() else { return };
        let (mut unread, tls) = (std::mem::take(&mut connection.io.unread), connection.io.is_tls());
        if !unread.is_empty() {
            self.messages(ctx, &mut unread);
        }
        if tls {
            self.read_socket(ctx);
        }
        self.actions(ctx);
    }

    /// Does what is due of the session.
    pub(super) fn socket_timeout(&mut self, ctx: &mut Context) {
        let Agent::Socket(socket) = &mut self.agent else { return };
        if socket.deadline() <= ctx.now {
            socket.session.handle_timeout(ctx.now);
            self.actions(ctx);
        }
    }

    /// Marks and hang-ups that came due with what was just played.
    pub(super) fn after_playout(&mut self, ctx: &mut Context) {
        if !matches!(self.agent, Agent::Socket(_)) {
            return;
        }
        self.report_marks(ctx);
        self.drain(ctx);
        self.actions(ctx);
    }

    /// True once everything said to the peer has been heard, as far as can be told.
    pub(super) fn is_heard(&self, now: MonoTime) -> bool {
        self.playout.drained() && self.peer.line_ref().is_none_or(|line| line.is_heard(now))
    }

    /// Tells an agent that hangs up once all has been heard that it has.
    pub(super) fn drain(&mut self, ctx: &mut Context) {
        let Agent::Socket(socket) = &mut self.agent else { return };
        if !socket.session.awaits_drain() || !self.playout.drained() {
            return;
        }
        if let Some(line) = self.peer.line() {
            line.farewell(ctx);
            if !line.is_heard(ctx.now) {
                return;
            }
        }
        socket.session.drained();
    }

    /// Tells of the marks whose audio has left; those on a line are told when it has been heard.
    fn report_marks(&mut self, ctx: &mut Context) {
        let Agent::Socket(socket) = &mut self.agent else { return };
        while let Some(PlayoutEvent::Mark(mark)) = self.playout.poll_event() {
            let told = match &mut self.peer {
                PeerEnd::Line(line) => {
                    line.mark(ctx, Some(mark)).map(|mark| (mark, Basis::Estimate))
                }
                PeerEnd::Rtp(_) => Some((mark, Basis::Wire)),
            };
            if let Some((mark, basis)) = told {
                socket.session.playout_event(PlayoutEvent::Mark(mark), basis);
            }
        }
    }

    /// Carries out what the session wants done.
    pub(super) fn actions(&mut self, ctx: &mut Context) {
        loop {
            let Agent::Socket(socket) = &mut self.agent else { return };
            let Some(action) = socket.session.poll_action() else { break };
            match action {
                Action::Send(outgoing) => socket.tell(ctx, &outgoing),
                Action::Ping(payload) => socket.wire.ping(ctx, &payload),
                Action::Close(code) => socket.close(ctx, code.code(), code.reason()),
                Action::Abort => socket.wire.drop_it(ctx),
                Action::Call(control) => self.control(ctx, control),
            }
        }
        // Noticed while writing: the connection is gone.
        let Agent::Socket(socket) = &mut self.agent else { return };
        if socket.wire.is_closed() && socket.session.is_open() {
            socket.wire.drop_it(ctx);
            socket.session.socket_closed(ctx.now, None);
            self.actions(ctx);
        }
    }

    /// Carries out what the session wants of the call.
    fn control(&mut self, ctx: &mut Context, control: Control) {
        let Agent::Socket(socket) = &mut self.agent else { return };
        let event = match control {
            Control::Configured { to_agent, from_agent, .. } => {
                let given = self.given();
                if let Agent::Socket(socket) = &mut self.agent {
                    socket.reformat(given, &self.outlet, to_agent, from_agent);
                }
                self.tune_ear();
                self.tune_outlet();
                return self.reformat(ctx);
            }
            Control::Clear => return self.clear(ctx),
            Control::Utterance { id } => {
                if let Err(error) = self.playout.utterance(id) {
                    socket.session.playout_error(ctx.now, error);
                }
                return;
            }
            Control::Mark { name } => {
                if let Err(error) = self.playout.mark(name) {
                    socket.session.playout_error(ctx.now, error);
                }
                return self.report_marks(ctx);
            }
            Control::Flush => {
                self.playout.flush();
                return self.drain(ctx);
            }
            Control::Dtmf { digits, duration_ms, gap_ms } => {
                return self.send_digits(ctx, digits, duration_ms, gap_ms);
            }
            Control::Mute(muted) => {
                self.muted = muted;
                return;
            }
            Control::Transfer { kind, destination, options, headers } => {
                EventKind::AgentTransfer { kind, destination, options, headers }
            }
            Control::Hold(_) if self.state != CallState::Answered => {
                socket.session.failed("the call is not answered".to_owned());
                return;
            }
            Control::Hold(on) => EventKind::AgentHold(on),
            Control::Record(order) => EventKind::AgentRecord(order),
            Control::Update(fields) => EventKind::AgentUpdate(fields),
            Control::Answer { headers } => EventKind::AgentAnswer { headers },
            Control::Reject { cause } => EventKind::AgentReject { cause },
            Control::Hangup { cause } => EventKind::AgentHungUp { cause },
            Control::Lost(loss) => EventKind::AgentLost(loss),
        };
        ctx.tell(self.key, event);
    }

    /// Lets the agent's converters follow the peer's format; what the agent was told still holds.
    pub(super) fn follow_peer(&mut self) {
        let (peer, given) = (self.peer.stream(), self.given());
        self.outlet.follow(peer.audio);
        match &mut self.agent {
            Agent::Socket(socket) => {
                let info = socket.session.info();
                let (to, from) = (info.to_agent, info.from_agent);
                socket.reformat(given, &self.outlet, to, from);
            }
            Agent::Rtp(agent) => agent.reformat(given, &self.outlet),
            Agent::Leg(leg) => leg.follow(peer.audio),
            Agent::Builtin(_) | Agent::None => {}
        }
        self.taps.follow(peer.audio);
    }

    /// Codes Opus for the peer as it wants it, and no wider than what there is to be said.
    pub(super) fn tune_outlet(&mut self) {
        let Some(mut settings) = self.peer.format().map(|format| format.media.opus) else { return };
        let is_mixed = self.is_mixed();
        match &mut self.agent {
            Agent::Leg(leg) => leg.from_leg.tune(&settings),
            Agent::Socket(socket) if !is_mixed => {
                settings.max_rate_hz = settings.max_rate_hz.min(socket.audio().rate_hz);
            }
            Agent::Rtp(agent) if !is_mixed => {
                settings.max_rate_hz = settings.max_rate_hz.min(agent.audio().rate_hz);
            }
            Agent::Socket(_) | Agent::Rtp(_) | Agent::Builtin(_) | Agent::None => {}
        }
        self.outlet.tune(&settings);
    }

    /// The playout queue of a new stream: empty, its account at zero, without marks of another's.
    pub(super) fn restart_playout(&mut self, ctx: &mut Context) {
        let config = self.playout_config().unwrap_or(*self.playout.config());
        self.playout.restart(&mut ctx.blocks, config);
        if let Some(line) = self.peer.line() {
            line.change_speaker();
        }
    }

    fn playout_config(&mut self) -> Option<PlayoutConfig> {
        let (from, max_queue_ms) = match &self.agent {
            Agent::Socket(socket) => (socket.audio(), socket.max_queue_ms),
            Agent::Builtin(builtin) if builtin.is_echo() && self.peer.is_line() => {
                (self.peer.stream().audio, ECHO_QUEUE_MS)
            }
            Agent::None | Agent::Builtin(_) | Agent::Rtp(_) | Agent::Leg(_) => return None,
        };
        self.queued = self.outlet.queued(from);
        let ptime_ms = self.peer.stream().ptime_ms;
        let mut config = PlayoutConfig::new(self.queued, ptime_ms, from.rate_hz);
        config.max_queue_ms = max_queue_ms;
        Some(config)
    }

    /// Lets the playout queue follow the formats of peer and agent. What waits in it is recoded:
    /// what an agent has said is not lost to another codec of the peer.
    pub(super) fn reformat(&mut self, ctx: &mut Context) {
        let before = self.queued;
        let Some(config) = self.playout_config() else {
            // The last words of an agent that is gone, in a format that holds no longer.
            self.playout.clear(ctx.now, &mut ctx.blocks);
            return;
        };
        // Samples of the same size in another order or law must not be taken for each other.
        let other = before != self.queued && !self.playout.drained();
        if other || self.playout.reconfigure(config).is_err() {
            let mut converter = Converter::new(before, self.queued);
            let Context { now, blocks, convert, .. } = ctx;
            self.playout.recode(*now, blocks, config, &mut converter, convert);
        }
    }

    /// Drops what is queued and tells the agent what was heard and what was not.
    pub(super) fn clear(&mut self, ctx: &mut Context) {
        self.clear_plays(ctx);
        // What is silent from here on is so on purpose.
        self.end_underrun(ctx.now);
        if self.peer.is_line() {
            return self.clear_line(ctx);
        }
        self.name_speech();
        let cleared = self.playout.clear(ctx.now, &mut ctx.blocks);
        self.cut_speech(ctx, &cleared);
        self.report_marks(ctx);
        if let Agent::Socket(socket) = &mut self.agent {
            // The agent's encoder goes on, so its decoder must.
            socket.from_agent.cut();
            socket.session.cleared(cleared, Basis::Wire);
        }
    }

    /// Lets the agent go: its socket is closed if it is still open. A built-in one is given back.
    pub(super) fn detach(&mut self, ctx: &mut Context) -> Option<Builtin> {
        self.close_mailbox(ctx);
        let agent = std::mem::replace(&mut self.agent, Agent::None);
        match agent {
            Agent::Socket(mut socket) => {
                if socket.session.is_open() {
                    socket.session.replaced();
                    while let Some(action) = socket.session.poll_action() {
                        if let Action::Close(code) = action {
                            socket.close(ctx, code.code(), code.reason());
                        }
                    }
                }
                self.agent_skipped += socket.wire.release(ctx);
            }
            Agent::Rtp(mut agent) => {
                ctx.poller.remove(&agent.socket);
                let sound = agent.release(ctx.now, &mut ctx.blocks);
                self.agent_jitter = Some(Box::new(sound));
            }
            Agent::Leg(mut leg) => {
                self.detach_leg(ctx, &mut leg);
                if let Some(line) = self.peer.line() {
                    line.flow_out(&mut ctx.blocks);
                }
            }
            Agent::Builtin(builtin) => return Some(builtin),
            Agent::None => {}
        }
        None
    }
}

/// Sound that an echo on a line may hold, in milliseconds.
const ECHO_QUEUE_MS: u32 = 200;
/// The code that stands for a close frame without one (RFC 6455 7.4.1).
const NO_CODE: u16 = 1005;
