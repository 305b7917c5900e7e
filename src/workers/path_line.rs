//! The half of a media path that talks with a carrier on its socket.

use std::io;

use adapters::agent::{Basis, CallState, DtmfSource};
use adapters::event::HangupCause;
use adapters::stream::{FrameSlot, StreamCommand, StreamEvent};
use media::codec::AudioFormat;
use media::leg::PassedKind;
use media::playout::PlayoutEvent;
use media::rtp::{Arrival, Continuity, Frame, HEADER_BYTES};
use media::stages::Stage;
use media::time::MonoTime;

use super::bridge::Passing;
use super::command::EventKind;
use super::context::{Context, HEADROOM_BYTES};
use super::inflow::Inflow;
use super::line::{Beat, LineEvent, LineLink, LineLoss, Marks, Place, next_message};
use super::path::{Agent, MediaPath};
use super::peer_end::PeerEnd;
use super::poller::{self, Ready};
use super::token::{Part, Token};
use crate::bridge::framing::{Class, ControlFrame, FrameError, Input, Message};
use crate::telemetry::{DropReason, Kind};

/// Length of a digit whose carrier does not tell it, in milliseconds.
const DIGIT_MS: u32 = 100;
/// The code that stands for a close frame without one (RFC 6455 7.4.1).
const NO_CODE: u16 = 1005;

/// What a message that is not audio says, apart from the message.
enum Told {
    Nothing,
    Started { stream: Option<String>, call: Option<String>, from: AudioFormat, to: AudioFormat },
    Digit(char, u32),
    Mark(Option<u64>),
    Cleared,
    Flow(bool),
    Queued(u32),
    Stopped(Option<HangupCause>),
}

impl Told {
    fn of(event: &StreamEvent<'_>) -> Self {
        match event {
            StreamEvent::Started { stream, call, from_carrier, to_carrier } => Self::Started {
                stream: stream.map(str::to_owned),
                call: call.map(str::to_owned),
                from: *from_carrier,
                to: *to_carrier,
            },
            StreamEvent::Dtmf { digit, duration_ms } => {
                Self::Digit(*digit, duration_ms.unwrap_or(DIGIT_MS))
            }
            StreamEvent::Mark(name) => Self::Mark(Marks::number(name)),
            StreamEvent::Flow(wanted) => Self::Flow(*wanted),
            StreamEvent::Queued(ms) => Self::Queued(*ms),
            StreamEvent::Stopped(cause) => Self::Stopped(*cause),
            StreamEvent::Cleared => Self::Cleared,
            StreamEvent::Nothing | StreamEvent::Audio { .. } => Self::Nothing,
        }
    }
}

impl MediaPath {
    /// The carrier's socket is here; one before it is let go.
    pub(super) fn line(&mut self, ctx: &mut Context, link: LineLink) {
        let token = Token::part(self.token, Part::Line);
        let PeerEnd::Line(line) = &mut self.peer else { return };
        line.disconnect(ctx, None);
        if let Err(error) = line.connect(ctx, link, token) {
            tracing::warn!(%error, "a carrier's socket cannot be watched");
            return ctx.tell(self.key, EventKind::Line(LineEvent::Lost(LineLoss::Broken)));
        }
        let Some(link) = &mut line.link else { return };
        let mut unread = std::mem::take(&mut link.connection.io.unread);
        let tls = link.connection.io.is_tls();
        if !unread.is_empty() {
            self.line_messages(ctx, &mut unread);
        }
        if tls {
            self.read_line(ctx);
        }
        self.actions(ctx);
    }

    /// The carrier's socket has something to do.
    #[inline]
    pub(super) fn on_line(&mut self, ctx: &mut Context, ready: Ready) {
        let Some(link) = self.peer.line().and_then(|line| line.link.as_mut()) else { return };
        if ready.writable {
            link.connection.flush();
            link.connection.watch(&ctx.poller);
        }
        if ready.readable {
            self.read_line(ctx);
        }
        self.line_at_once(ctx);
        self.check_line(ctx);
    }

    /// Takes what the socket has: one read, for the poller tells if there is more.
    fn read_line(&mut self, ctx: &mut Context) {
        loop {
            let Some(link) = self.peer.line().and_then(|line| line.link.as_mut()) else { return };
            let mut input = std::mem::take(&mut ctx.input);
            if self.timeline.from_peer.next() {
                ctx.stamps.begin(poller::now());
            }
            let again = match link.connection.io.read(&mut input) {
                Ok(0) => {
                    let loss = link.closed();
                    self.lose_line(ctx, loss);
                    false
                }
                Ok(length) => {
                    let again = link.connection.io.is_tls();
                    link.heard(ctx.now);
                    self.line_messages(ctx, input.get_mut(..length).unwrap_or_default());
                    again
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => false,
                Err(error) => {
                    let reset = error.kind() == io::ErrorKind::ConnectionReset;
                    let loss = if reset { link.closed() } else { LineLoss::Broken };
                    self.lose_line(ctx, loss);
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
    fn line_messages(&mut self, ctx: &mut Context, bytes: &mut [u8]) {
        let mut input = Input::new(bytes);
        loop {
            let line = self.peer.line();
            let Some(link) = line.and_then(|line| line.link.as_deref_mut()) else { return };
            let reader = &mut link.connection.reader;
            let message = match next_message(&mut link.cutter, reader, &mut input) {
                Ok(None) => return,
                Ok(Some(message)) => message,
                Err(FrameError::TooBig { .. }) => return self.lose_line(ctx, LineLoss::TooBig),
                Err(_) => {
                    ctx.metrics.dropped(DropReason::Malformed);
                    return self.lose_line(ctx, LineLoss::Malformed);
                }
            };
            let (kind, message) = match message {
                Message::Data(kind, message) => (kind, message),
                Message::Ping(payload) => {
                    let mask = link.connection.masked.then(|| ctx.masks.next_key());
                    let pong = ControlFrame::pong(payload, mask);
                    link.connection.write(Class::Control, pong.as_bytes());
                    link.connection.watch(&ctx.poller);
                    continue;
                }
                Message::Pong(_) => continue,
                Message::Close { code, .. } => {
                    let code = code.unwrap_or(NO_CODE);
                    return self.lose_line(ctx, LineLoss::Closed(code));
                }
            };
            let bytes = message.len();
            let mut room = std::mem::take(&mut ctx.slot);
            let mut slot = FrameSlot::new(&mut room);
            match link.dialect.decode(ctx.now, kind, message, &mut slot) {
                Ok(StreamEvent::Audio { ts, seq }) => {
                    let audio = slot.filled().len();
                    link.understood();
                    ctx.metrics.received(Kind::LineAudio, bytes);
                    self.line_audio(ctx, room.get(..audio).unwrap_or_default(), seq, ts);
                }
                Ok(event) => {
                    let told = Told::of(&event);
                    link.understood();
                    ctx.metrics.received(Kind::LineControl, bytes);
                    link.tell(ctx, |dialect, message| dialect.reply(message));
                    self.line_told(ctx, told);
                }
                Err(_) => {
                    ctx.metrics.dropped(DropReason::Malformed);
                    if link.tell(ctx, |dialect, message| dialect.reply(message)) {
                        self.line_told(ctx, Told::Stopped(Some(HangupCause::Failed)));
                    } else if link.fault() {
                        self.lose_line(ctx, LineLoss::Malformed);
                    }
                }
            }
            ctx.slot = room;
        }
    }

    /// A frame of the carrier's audio.
    #[inline]
    fn line_audio(&mut self, ctx: &mut Context, audio: &[u8], seq: Option<u64>, ts: Option<u64>) {
        let Some(line) = self.peer.line() else { return };
        // Taken out, so that the line can be asked about what it has made.
        let mut decoder = line.decoder.take();
        let payload = match &mut decoder {
            Some(decoder) => decoder.convert(audio),
            None => audio,
        };
        if !line.stream().audio.is_whole(payload) {
            line.decoder = decoder;
            return ctx.metrics.dropped(DropReason::Malformed);
        }
        let place = line.place(ctx.now, (seq, ts), payload);
        self.silence.heard_frame(ctx.now, payload, place.marker);
        ctx.lap(Stage::Decode);
        if self.held.is_none() {
            self.line_frame_in(ctx, payload, place);
            self.made_out(ctx);
        }
        if let Some(line) = self.peer.line() {
            line.decoder = decoder;
        }
    }

    /// A frame in the call's format, for whoever listens.
    #[inline]
    fn line_frame_in(&mut self, ctx: &mut Context, payload: &[u8], place: Place) {
        let Place { ext_seq, ext_ts, marker, .. } = place;
        let frame = Frame { ext_seq, ext_ts, marker, payload };
        ctx.frame_sink().give(&mut self.agent, &mut self.taps, frame);
        if matches!(self.agent, Agent::Socket(_) | Agent::Rtp(_)) {
            ctx.lap(Stage::AgentOut);
        }
        self.stamped(ctx);
        match &self.agent {
            _ if self.conference.is_some() => self.line_to_conference(ctx, payload, place),
            Agent::Builtin(builtin) if builtin.is_echo() => {
                let pushed = self.playout.push(ctx.now, &mut ctx.blocks, payload);
                if pushed.full {
                    ctx.metrics.dropped(DropReason::QueueFull);
                }
                self.playout.flush();
                self.heard_agent(ctx.now);
            }
            Agent::Leg(_) => self.line_to_leg(ctx, payload, place),
            _ => {}
        }
    }

    /// Lets a frame wait for the clock of those who talk.
    fn line_to_conference(&mut self, ctx: &mut Context, payload: &[u8], place: Place) {
        let Some(line) = self.peer.line() else { return };
        let stream = line.stream();
        line.pieces += place.lost;
        let mut ext_ts = place.ext_ts;
        for piece in payload.chunks(stream.audio.bytes(stream.ptime_ms).max(1)) {
            let Some(line) = self.peer.line() else { return };
            line.pieces += 1;
            let (ext_seq, continuity) = (line.pieces, Continuity::Same);
            let arrival = Arrival { ext_seq, ext_ts, gap: 0, continuity };
            if let Some(conference) = &mut self.conference {
                conference.hear_line(ctx.now, &mut ctx.blocks, arrival, piece);
            }
            ext_ts += u64::from(stream.audio.payload_ticks(piece));
        }
    }

    /// Passes a frame on to the leg at the agent's end, in pieces as long as packets.
    fn line_to_leg(&mut self, ctx: &mut Context, payload: &[u8], place: Place) {
        let Some(line) = self.peer.line() else { return };
        let stream = line.stream();
        line.pieces += place.lost;
        let mut ext_ts = place.ext_ts;
        let mut gap = u32::try_from(place.lost).unwrap_or(u32::MAX);
        for piece in payload.chunks(stream.audio.bytes(stream.ptime_ms).max(1)) {
            let Some(line) = self.peer.line() else { return };
            line.pieces += 1;
            let (ext_seq, start) = (line.pieces, HEADROOM_BYTES + HEADER_BYTES);
            let Some(room) = ctx.packet.get_mut(start..start + piece.len()) else { return };
            room.copy_from_slice(piece);
            let arrival = Arrival { ext_seq, ext_ts, gap, continuity: Continuity::Same };
            let marker = place.marker && ext_ts == place.ext_ts;
            let (start, len) = (HEADER_BYTES, piece.len());
            let kind = PassedKind::Audio;
            self.pass_to_leg(ctx, Passing { kind, start, len, arrival, marker });
            ext_ts += u64::from(stream.audio.payload_ticks(piece));
            gap = 0;
        }
    }

    /// A message that is not audio.
    #[cold]
    fn line_told(&mut self, ctx: &mut Context, told: Told) {
        match told {
            Told::Nothing => {}
            Told::Started { stream, call, from, to } => {
                self.line_started(ctx, stream, call, (from, to));
            }
            Told::Digit(digit, duration_ms) => self.line_digit(ctx, digit, duration_ms),
            Told::Mark(Some(number)) => {
                self.tell_heard(ctx, Some(number));
                self.after_playout(ctx);
                self.line_over(ctx);
            }
            Told::Mark(None) => {}
            Told::Cleared => self.line_cleared(ctx.now),
            Told::Queued(ms) => {
                if let Some(line) = self.peer.line() {
                    line.queued(ctx.now, ms);
                }
            }
            Told::Flow(wanted) => {
                if let Some(line) = self.peer.line() {
                    line.stopped = !wanted;
                }
                self.restart_ticks(ctx.now);
            }
            Told::Stopped(cause) => {
                ctx.tell(self.key, EventKind::Line(LineEvent::Stopped(cause)));
            }
        }
    }

    /// The carrier has dropped what it had: what waits for that may leave.
    fn line_cleared(&mut self, now: MonoTime) {
        if self.peer.line().is_some_and(|line| line.clearing.take().is_some()) {
            self.restart_ticks(now);
        }
    }

    /// The carrier's stream is ready.
    fn line_started(
        &mut self,
        ctx: &mut Context,
        stream: Option<String>,
        call: Option<String>,
        (from, to): (AudioFormat, AudioFormat),
    ) {
        let Some(line) = self.peer.line() else { return };
        let Some(link) = &line.link else { return };
        let other = link.call.as_ref().zip(call.as_ref()).is_some_and(|(ours, its)| ours != its);
        if other {
            return self.lose_line(ctx, LineLoss::WrongCall);
        }
        let again = link.started;
        let old = line.stream();
        line.start(from, to);
        let format = line.stream();
        self.silence.line_started(ctx.now, to);
        self.settled(ctx, old);
        if self.state == CallState::Answered {
            self.answer_line(ctx);
        }
        if !again || format != old {
            ctx.tell(self.key, EventKind::Line(LineEvent::Started { stream, call, format }));
        }
    }

    /// Tells a carrier that waits for it that the call is answered.
    pub(super) fn answer_line(&mut self, ctx: &mut Context) {
        if let Some(line) = self.peer.line() {
            line.answer(ctx);
        }
    }

    /// A key was pressed at the far end.
    fn line_digit(&mut self, ctx: &mut Context, digit: char, duration_ms: u32) {
        self.silence.heard_key(ctx.now);
        self.digits_come_otherwise();
        match &mut self.agent {
            Agent::Socket(socket) => socket.session.dtmf(digit, duration_ms, DtmfSource::Carrier),
            Agent::Leg(_) => self.digit_to_leg(ctx, digit, duration_ms),
            Agent::Builtin(_) => self.key_to_mailbox(digit),
            Agent::None | Agent::Rtp(_) => {}
        }
        self.actions(ctx);
    }

    /// Tells the agent of marks whose audio has been heard: up to the number that the carrier told,
    /// and those that have waited for long enough.
    fn tell_heard(&mut self, ctx: &Context, back: Option<u64>) {
        let PeerEnd::Line(line) = &mut self.peer else { return };
        while let Some((mark, basis)) = line.marks.due(ctx.now, back) {
            if let (Some(mark), Agent::Socket(socket)) = (mark, &mut self.agent) {
                socket.session.playout_event(PlayoutEvent::Mark(mark), basis);
            }
        }
    }

    /// Drops what is queued, here and at the carrier, and tells the agent what was heard.
    pub(super) fn clear_line(&mut self, ctx: &mut Context) {
        self.name_speech();
        let PeerEnd::Line(line) = &mut self.peer else { return };
        let unheard = line.clear(ctx);
        let playout = &mut self.playout;
        let cleared = playout.clear_behind(ctx.now, &mut ctx.blocks, unheard.unwrap_or_default());
        self.cut_speech(ctx, &cleared);
        let PeerEnd::Line(line) = &mut self.peer else { return };
        let Agent::Socket(socket) = &mut self.agent else {
            line.marks.clear().for_each(drop);
            return self.restart_ticks(ctx.now);
        };
        // Of a carrier that plays on, marks still come.
        if unheard.is_some() {
            for mut mark in line.marks.clear() {
                mark.cleared = mark.samples > cleared.samples;
                mark.samples = mark.samples.min(cleared.samples);
                mark.played_ms = mark.played_ms.min(cleared.played_ms);
                socket.session.playout_event(PlayoutEvent::Mark(mark), Basis::Estimate);
            }
        }
        while let Some(event) = self.playout.poll_event() {
            socket.session.playout_event(event, Basis::Estimate);
        }
        // The agent's encoder goes on, so its decoder must.
        socket.from_agent.cut();
        socket.session.cleared(cleared, Basis::Estimate);
        self.restart_ticks(ctx.now);
    }

    /// Sends digits that are due as messages.
    pub(super) fn press_keys(&mut self, ctx: &mut Context) {
        let Some(line) = self.peer.line() else { return };
        while let Some(digit) = line.keys.poll(ctx.now) {
            line.say(ctx, StreamCommand::Dtmf(digit));
        }
    }

    /// Does what is due of a line.
    pub(super) fn line_timeout(&mut self, ctx: &mut Context) {
        let Some(line) = self.peer.line() else { return };
        if line.deadline() > ctx.now {
            return;
        }
        let beat = line.link.as_mut().map_or(Beat::Nothing, |link| link.beat(ctx.now));
        match beat {
            Beat::Nothing => {}
            Beat::Ping => line.ping(ctx),
            Beat::Dead(loss) => self.lose_line(ctx, loss),
        }
        if let Some(line) = self.peer.line() {
            line.send_due(ctx);
        }
        self.press_keys(ctx);
        self.tell_heard(ctx, None);
        self.after_playout(ctx);
        self.line_over(ctx);
        let mut waited = false;
        if let Some(line) = self.peer.line() {
            line.awaits_end &= !line.is_heard(ctx.now);
            waited = line.clearing.is_some_and(|until| until <= ctx.now);
        }
        if waited {
            self.line_cleared(ctx.now);
        }
        self.check_line(ctx);
    }

    /// Notices that the connection broke while something was written.
    fn check_line(&mut self, ctx: &mut Context) {
        let link = self.peer.line_ref().and_then(|line| line.link.as_ref());
        if let Some(loss) = link.filter(|link| link.connection.closed).map(|link| link.closed()) {
            self.lose_line(ctx, loss);
        }
    }

    /// The socket is no more; what the agent says waits for another one.
    #[cold]
    fn lose_line(&mut self, ctx: &mut Context, loss: LineLoss) {
        let Some(line) = self.peer.line() else { return };
        line.disconnect(ctx, loss.close_code());
        self.restart_ticks(ctx.now);
        ctx.tell(self.key, EventKind::Line(LineEvent::Lost(loss)));
    }

    /// Lets the sound of a leg at the agent's end, coded as `from`, wait for the line's clock.
    pub(super) fn flow_in(&mut self, ctx: &mut Context, from: AudioFormat) {
        let sounds = self.outlet.sounds();
        let Some(line) = self.peer.line() else { return };
        if line.inflow.as_ref().is_some_and(|inflow| inflow.takes(from)) {
            return;
        }
        line.flow_out(&mut ctx.blocks);
        line.inflow = Some(Box::new(Inflow::new(from, sounds)));
    }
}
