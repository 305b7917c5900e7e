//! The rules of one agent stream: what may be said when, and what follows from it.
//!
//! [`AgentSession`] knows no socket and no dialect. The worker feeds it what a dialect has read,
//! what happens to the socket and to the call, and the time; it drains
//! [`AgentSession::poll_action`] after each. Audio does not pass through: [`AgentSession::receive`]
//! hands it back at once if it may be played.
//!
//! ```text
//! message ──► Dialect::read ──► receive ──► audio ──► converter ──► playout queue
//!                                  │ commands
//!                                  ▼
//!            Action::Send ──► Dialect::event ──► socket
//!            Action::Call ──► playout queue, call logic
//! ```
//!
//! Everything the session is told after it has closed the socket is ignored.

mod action;
mod commands;
mod faults;
mod keepalive;
mod limits;
pub mod link;

pub(crate) use commands::dtmf;

pub use action::{Action, Control, Loss, Outgoing, Quality};
pub use keepalive::Beat;
pub use limits::*;

use std::collections::VecDeque;
use std::time::Duration;

use adapters::agent::{
    AgentInput, Basis, CallState, DtmfSource, EndedBy, MarkStatus, StreamInfo, UtteranceReport,
};
use adapters::wire::WireError;
use media::playout::{Cleared, PlayoutError, PlayoutEvent};
use media::silence::Notice;
use media::time::MonoTime;

use super::wire::CloseCode;
use faults::{Faults, Refusals};
use keepalive::KeepAlive;

/// One agent stream, from the open socket to its end.
#[derive(Debug)]
pub struct AgentSession {
    info: StreamInfo,
    wants: Vec<&'static str>,
    max_queue: Duration,
    started: MonoTime,
    open: bool,
    configured: bool,
    heard_audio: bool,
    verdict_given: bool,
    keepalive: KeepAlive,
    faults: Faults,
    refusals: Refusals,
    hangup: Option<PendingHangup>,
    actions: VecDeque<Action>,
}

/// A hang-up that waits for the queue to run out.
#[derive(Debug)]
struct PendingHangup {
    cause: Option<String>,
    at_latest: MonoTime,
}

impl AgentSession {
    /// Opens the stream that `info` describes on a socket whose handshake is done: `start` is the
    /// first action. `max_queue_ms` is the limit of the playout queue.
    pub fn new(now: MonoTime, info: StreamInfo, max_queue_ms: u32) -> Self {
        let start = Action::Send(Outgoing::Start(Box::new(info.clone())));
        Self {
            info,
            wants: Vec::new(),
            max_queue: Duration::from_millis(u64::from(max_queue_ms)),
            started: now,
            open: true,
            configured: false,
            heard_audio: false,
            verdict_given: false,
            keepalive: KeepAlive::new(now),
            faults: Faults::new(now),
            refusals: Refusals::default(),
            hangup: None,
            actions: VecDeque::from([start]),
        }
    }

    /// The same on a socket that other streams share: whether anybody is there is asked of all of
    /// them together.
    #[must_use]
    pub fn shared(mut self) -> Self {
        self.keepalive = KeepAlive::NEVER;
        self
    }

    /// The next thing to do.
    pub fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// When [`Self::handle_timeout`] wants to be called next; `None` once everything is over.
    pub fn deadline(&self) -> Option<MonoTime> {
        let ping = self.open.then(|| self.keepalive.deadline());
        let hangup = self.hangup.as_ref().map(|hangup| hangup.at_latest);
        ping.into_iter().chain(hangup).min()
    }

    /// Does what is due: pings, gives up on a silent agent, ends a hang-up that has waited too
    /// long.
    pub fn handle_timeout(&mut self, now: MonoTime) {
        if self.hangup.as_ref().is_some_and(|hangup| now >= hangup.at_latest) {
            self.drained();
        }
        if !self.open {
            return;
        }
        match self.keepalive.beat(now) {
            Beat::Nothing => {}
            Beat::Ping(payload) => self.actions.push_back(Action::Ping(payload)),
            Beat::Dead => {
                self.open = false;
                self.actions.push_back(Action::Abort);
                self.lost(Loss::Silent);
            }
        }
    }

    /// What the agent was last told about the stream.
    pub const fn info(&self) -> &StreamInfo {
        &self.info
    }

    /// True until the socket has been closed by either side.
    pub const fn is_open(&self) -> bool {
        self.open
    }

    /// True if [`Self::drained`] is awaited.
    pub const fn awaits_drain(&self) -> bool {
        self.hangup.is_some()
    }

    /// How long the agent took to answer the last ping it answered.
    pub const fn round_trip(&self) -> Option<Duration> {
        self.keepalive.round_trip()
    }

    /// True if the agent has asked for these events in `wants` and can have them.
    pub fn wants(&self, feature: &str) -> bool {
        self.wants.contains(&feature)
    }

    /// Takes what a dialect made of a message. Returns audio if it is to be played.
    pub fn receive<'m>(
        &mut self,
        now: MonoTime,
        input: Result<AgentInput<'m>, WireError>,
    ) -> Option<&'m [u8]> {
        if !self.open {
            return None;
        }
        match input {
            Ok(AgentInput::Audio(audio)) => {
                self.heard_audio |= !audio.is_empty();
                // What is sent behind a hang-up is not part of what it waits for.
                return self.hangup.is_none().then_some(audio);
            }
            Ok(AgentInput::Command(command)) => self.command(now, command),
            Ok(AgentInput::Nothing) => {}
            Err(error) => self.wire_error(now, &error),
        }
        None
    }

    /// The agent sent a message longer than the protocol allows.
    pub fn too_big(&mut self) {
        self.refuse(error_code::TOO_BIG, "a message over 64 KiB".to_owned(), CloseCode::TooBig);
    }

    /// A WebSocket pong came.
    pub fn pong(&mut self, now: MonoTime, payload: &[u8]) {
        self.keepalive.pong(now, payload);
    }

    /// The agent closed the socket with `code`, or (`None`) the connection broke.
    ///
    /// An agent that closes with 1000 hangs up after playout; any other end is a loss.
    pub fn socket_closed(&mut self, now: MonoTime, code: Option<u16>) {
        if !std::mem::take(&mut self.open) {
            return;
        }
        if code == Some(CloseCode::CallEnded.code()) {
            self.hang_up_after_playout(now, None);
        } else {
            self.lost(Loss::Closed(code));
        }
    }

    /// The playout queue has run out while [`Self::awaits_drain`].
    pub fn drained(&mut self) {
        if let Some(hangup) = self.hangup.take() {
            self.call(Control::Hangup { cause: hangup.cause });
        }
    }

    /// The queue refused `bytes` of audio. The agent is told at most once in
    /// [`QUEUE_FULL_TOLD_EVERY`].
    pub fn refused(&mut self, now: MonoTime, bytes: usize) {
        if let Some(bytes) = self.refusals.add(now, bytes) {
            let queue_ms = self.max_queue.as_millis();
            let message =
                format!("{bytes} bytes of audio refused: {queue_ms} ms are queued already");
            self.error(error_code::QUEUE_FULL, message, false);
        }
    }

    /// The queue refused a mark or an utterance.
    pub fn playout_error(&mut self, now: MonoTime, error: PlayoutError) {
        let code = match error {
            PlayoutError::BadName => error_code::BAD_FIELD,
            PlayoutError::TooManyMarks => error_code::TOO_MANY_MARKS,
            PlayoutError::TooManyUtterances => error_code::TOO_MANY_UTTERANCES,
        };
        self.fault(now, code, error.to_string());
    }

    /// Something happened in the playout queue.
    pub fn playout_event(&mut self, event: PlayoutEvent, basis: Basis) {
        let PlayoutEvent::Mark(mark) = event;
        let status = if mark.cleared { MarkStatus::Cleared } else { MarkStatus::Played };
        let (name, samples, played_ms) = (mark.name, mark.samples, mark.played_ms);
        self.send(Outgoing::Mark { name, status, samples, played_ms, basis });
    }

    /// A clear was carried out and the marks it ended have been fed in.
    pub fn cleared(&mut self, cleared: Cleared, basis: Basis) {
        let report = |one: media::playout::UtterancePlayed| UtteranceReport {
            id: one.id,
            samples: one.samples,
            complete: one.complete,
        };
        self.send(Outgoing::Cleared {
            dropped_ms: cleared.dropped_ms,
            samples: cleared.samples,
            basis,
            utterances: cleared.utterances.into_iter().map(report).collect(),
        });
    }

    /// The call's state changed; the agent is told of changes only.
    pub fn state(&mut self, state: CallState) {
        if self.info.state != state {
            self.info.state = state;
            self.send(Outgoing::State(state));
        }
    }

    /// The caller pressed a key.
    pub fn dtmf(&mut self, digit: char, duration_ms: u32, source: DtmfSource) {
        self.send(Outgoing::Dtmf { digit, duration_ms, source });
    }

    /// A transfer moved on.
    pub fn transfer(&mut self, state: &'static str, cause: Option<String>) {
        self.send(Outgoing::Transfer { state, cause });
    }

    /// The call's recording changed.
    pub fn recording(&mut self, state: &'static str) {
        self.send(Outgoing::Record { state });
    }

    /// The caller began or stopped to speak; told if wanted.
    pub fn speech(&mut self, now: MonoTime, started: bool) {
        if self.wants(feature::SPEECH) {
            let at_ms = u64::try_from(now.since(self.started).as_millis()).unwrap_or(u64::MAX);
            self.send(Outgoing::Speech { started, at_ms });
        }
    }

    /// The agent had nothing to play in mid-utterance; told if wanted.
    pub fn underrun(&mut self, ms: u64) {
        if self.wants(feature::UNDERRUN) {
            self.send(Outgoing::Underrun { ms });
        }
    }

    /// The call ends soon, as it reaches a limit.
    pub fn expiring(&mut self, left_ms: u64) {
        self.send(Outgoing::Expiring { left_ms });
    }

    /// A direction carries no sound any more, or does again; told if wanted.
    pub fn silence(&mut self, notice: Notice) {
        if self.wants(feature::SILENCE) {
            self.send(Outgoing::Silence(notice));
        }
    }

    /// How the media fare; told if wanted.
    pub fn quality(&mut self, quality: Quality) {
        if self.wants(feature::QUALITY) {
            self.send(Outgoing::Quality(quality));
        }
    }

    /// An earlier request could not be carried out.
    pub fn failed(&mut self, message: String) {
        self.error(error_code::FAILED, message, false);
    }

    /// The call is over: `stop`, and the socket closes with `code`
    /// ([`CloseCode::CallEnded`] or [`CloseCode::Draining`]).
    pub fn stop(&mut self, cause: String, by: EndedBy, duration_ms: u64, code: CloseCode) {
        self.hangup = None;
        self.send(Outgoing::Stop { cause, by, duration_ms });
        self.close(code);
    }

    /// A newer socket of the same call takes over.
    pub fn replaced(&mut self) {
        self.hangup = None;
        self.close(CloseCode::Replaced);
    }

    fn wire_error(&mut self, now: MonoTime, error: &WireError) {
        let message = error.to_string();
        match error {
            WireError::BadJson(_) => self.refuse(error.code(), message, CloseCode::NotJson),
            // Only `configure` names codecs.
            WireError::UnknownCodec(_) => {
                self.refuse(error.code(), message, CloseCode::ConfigureRefused);
            }
            WireError::BadField { field, .. } if field.starts_with("configure.") => {
                self.refuse(error.code(), message, CloseCode::ConfigureRefused);
            }
            WireError::BadField { .. } | WireError::BadFrame(_) => {
                self.fault(now, error.code(), message);
            }
        }
    }

    /// Tells the agent what was wrong, and closes if that happens too often.
    fn fault(&mut self, now: MonoTime, code: &'static str, message: String) {
        if self.faults.add(now) {
            self.refuse(code, message, CloseCode::Nonsense);
        } else {
            self.error(code, message, false);
        }
    }

    /// Tells the agent what was wrong and closes because of it.
    fn refuse(&mut self, code: &'static str, message: String, close: CloseCode) {
        if self.open {
            self.error(code, message, true);
            self.close(close);
            self.lost(Loss::Refused(close));
        }
    }

    fn error(&mut self, code: &'static str, message: String, fatal: bool) {
        self.send(Outgoing::Error { code, message, fatal });
    }

    fn send(&mut self, event: Outgoing) {
        if self.open {
            self.actions.push_back(Action::Send(event));
        }
    }

    fn call(&mut self, control: Control) {
        self.actions.push_back(Action::Call(control));
    }

    fn close(&mut self, code: CloseCode) {
        if std::mem::take(&mut self.open) {
            self.actions.push_back(Action::Close(code));
        }
    }

    /// An agent that has hung up is not missed.
    fn lost(&mut self, loss: Loss) {
        if self.hangup.is_none() {
            self.call(Control::Lost(loss));
        }
    }

    fn hang_up_after_playout(&mut self, now: MonoTime, cause: Option<String>) {
        if self.hangup.is_none() {
            let at_latest = now + self.max_queue + HANGUP_MARGIN;
            self.hangup = Some(PendingHangup { cause, at_latest });
            self.call(Control::Flush);
        }
    }
}

#[cfg(test)]
mod tests;
