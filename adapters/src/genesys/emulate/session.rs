//! One session as Genesys keeps it: numbered messages, 20 ms of the caller's voice at a time, a
//! queue of what the caller is to hear, and limits of what the server may send.

use std::collections::VecDeque;
use std::time::Duration;

use media::time::MonoTime;
use serde_json::{Value, json};

use crate::agent::MessageKind;
use crate::emulate::Quirks;

const TICK: Duration = Duration::from_millis(20);
/// Bytes of µ-law in a tick.
const TICK_BYTES: usize = 160;
const SILENCE: u8 = 0xff;
/// How often the connection is tried, and how soon for the first time.
const PING_EVERY: Duration = Duration::from_secs(5);
const PING_FIRST: Duration = Duration::from_secs(1);
/// How long the server may take to open the session, and to close it.
const OPEN_WAIT: Duration = Duration::from_secs(5);
const CLOSE_WAIT: Duration = Duration::from_secs(10);
/// Messages of a kind that the server may send in a second, and in one go.
const RATE: f64 = 5.0;
const BURST: f64 = 25.0;
/// Most that waits to be played, in bytes: two minutes.
const QUEUE_BYTES_MAX: usize = 960_000;
/// Most of what a person has still to say, in bytes: a minute.
const SPEECH_BYTES_MAX: usize = 480_000;

/// What a session wants done.
#[derive(Debug, PartialEq)]
pub(super) enum Does {
    Text(String),
    Audio(Vec<u8>),
    /// The session is open.
    Opened,
    /// The person hears audio.
    Heard(Vec<u8>),
    /// The session is over: the socket is closed, and why.
    Close(String),
    /// The connection is cut off.
    Cut,
    /// The server did something wrong.
    Complaint(String),
}

/// Who calls whom.
#[derive(Debug)]
pub(super) struct Parties {
    pub(super) organisation: String,
    /// None for a session that tries the connection.
    pub(super) conversation: Option<String>,
    pub(super) participant: String,
    pub(super) from: String,
    pub(super) to: String,
}

/// How many messages of a kind may come.
#[derive(Debug)]
struct Limit {
    left: f64,
    at: MonoTime,
}

impl Limit {
    const fn new(now: MonoTime) -> Self {
        Self { left: BURST, at: now }
    }

    /// Takes a message; false if it is one too many.
    fn take(&mut self, now: MonoTime) -> bool {
        self.left = (self.left + now.since(self.at).as_secs_f64() * RATE).min(BURST);
        self.at = now;
        let fits = self.left >= 1.0;
        if fits {
            self.left -= 1.0;
        }
        fits
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Connecting,
    Opening,
    Open,
    Closing,
    Over,
}

/// A session.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) id: String,
    parties: Parties,
    state: State,
    seq: u64,
    serverseq: u64,
    /// Bytes of audio that were sent.
    sent: usize,
    speech: VecDeque<u8>,
    held: Vec<Vec<u8>>,
    queue: VecDeque<u8>,
    plays: bool,
    tick: Option<MonoTime>,
    ping_at: Option<MonoTime>,
    /// The ping that is not answered.
    pinged: bool,
    give_up: Option<MonoTime>,
    cut_at: Option<MonoTime>,
    texts: Limit,
    sounds: Limit,
    /// Why it ends.
    why: String,
}

impl Session {
    pub(super) fn new(now: MonoTime, id: String, parties: Parties) -> Self {
        Self {
            id,
            parties,
            state: State::Connecting,
            seq: 0,
            serverseq: 0,
            sent: 0,
            speech: VecDeque::new(),
            held: Vec::new(),
            queue: VecDeque::new(),
            plays: false,
            tick: None,
            ping_at: None,
            pinged: false,
            give_up: None,
            cut_at: None,
            texts: Limit::new(now),
            sounds: Limit::new(now),
            why: String::new(),
        }
    }

    /// True if it is about somebody who calls.
    pub(super) const fn is_call(&self) -> bool {
        self.parties.conversation.is_some()
    }

    fn message(&mut self, kind: &str, parameters: &Value) -> Does {
        self.seq += 1;
        let position = self.sent as f64 / 8_000.0;
        Does::Text(
            json!({
                "version": "2",
                "id": self.id,
                "type": kind,
                "seq": self.seq,
                "serverseq": self.serverseq,
                "position": format!("PT{position}S"),
                "parameters": parameters,
            })
            .to_string(),
        )
    }

    /// The socket is open: the session is to be.
    pub(super) fn connected(&mut self, now: MonoTime) -> Does {
        self.state = State::Opening;
        self.give_up = Some(now + OPEN_WAIT);
        let Parties { organisation, conversation, participant, from, to } = &self.parties;
        let nobody = "00000000-0000-0000-0000-000000000000";
        let media = |channels: &[&str]| json!({"type": "audio", "format": "PCMU", "channels": channels, "rate": 8000});
        let parameters = json!({
            "organizationId": organisation,
            "conversationId": conversation.as_deref().unwrap_or(nobody),
            "participant": {"id": participant, "ani": from, "aniName": "A Person", "dnis": to},
            "media": [media(&["external", "internal"]), media(&["external"])],
            "language": "en-US",
            "inputVariables": {"ticket": "4711"},
        });
        self.message("open", &parameters)
    }

    /// The person says this.
    pub(super) fn speak(&mut self, audio: &[u8]) {
        let room = SPEECH_BYTES_MAX.saturating_sub(self.speech.len());
        self.speech.extend(audio.iter().take(room));
    }

    /// The person presses a key.
    pub(super) fn press(&mut self, digit: char) -> Option<Does> {
        let open = self.state == State::Open;
        open.then(|| self.message("dtmf", &json!({"digit": digit.to_string()})))
    }

    /// The session is to end: asks the server to agree.
    pub(super) fn close(&mut self, now: MonoTime, reason: &str, why: String) -> Option<Does> {
        if !matches!(self.state, State::Opening | State::Open) {
            return None;
        }
        (self.state, self.why) = (State::Closing, why);
        (self.tick, self.ping_at) = (None, None);
        self.give_up = Some(now + CLOSE_WAIT);
        Some(self.message("close", &json!({"reason": reason})))
    }

    /// A mistake of the server's: tells it, and closes.
    fn fail(&mut self, now: MonoTime, code: u16, what: &str) -> Vec<Does> {
        let mut does = vec![Does::Complaint(format!("{code} {what}"))];
        if !matches!(self.state, State::Closing | State::Over) {
            does.push(self.message("error", &json!({"code": code, "message": what})));
            does.extend(self.close(now, "error", what.to_owned()));
        }
        does
    }

    /// A binary message.
    pub(super) fn binary(&mut self, now: MonoTime, bytes: &[u8]) -> Vec<Does> {
        match self.state {
            State::Open => {}
            State::Closing | State::Over => return Vec::new(),
            _ => return self.fail(now, 409, "audio before the session was opened"),
        }
        if !self.sounds.take(now) {
            return vec![Does::Complaint("429 too many binary messages".to_owned())];
        }
        if self.queue.len() + bytes.len() > QUEUE_BYTES_MAX {
            return vec![Does::Complaint("413 more audio than is kept".to_owned())];
        }
        self.queue.extend(bytes);
        Vec::new()
    }

    /// A text message.
    pub(super) fn text(&mut self, now: MonoTime, bytes: &[u8], quirks: &Quirks) -> Vec<Does> {
        let message: Value = serde_json::from_slice(bytes).unwrap_or_default();
        if !self.texts.take(now) {
            return vec![Does::Complaint("429 too many text messages".to_owned())];
        }
        let (seq, clientseq) = (message["seq"].as_u64(), message["clientseq"].as_u64());
        let formed = message["version"] == "2"
            && message["id"] == *self.id
            && message["parameters"].is_object()
            && message.get("position").is_none();
        if !formed || seq != Some(self.serverseq + 1) {
            return self.fail(now, 400, &format!("not the message that follows: {message}"));
        }
        self.serverseq += 1;
        if clientseq.is_none_or(|clientseq| clientseq > self.seq) {
            return self.fail(now, 400, "clientseq is higher than what was sent");
        }
        let parameters = &message["parameters"];
        match (message["type"].as_str().unwrap_or_default(), self.state) {
            ("opened", State::Opening) => self.opened(now, parameters, quirks),
            ("closed", State::Closing) => {
                self.state = State::Over;
                self.give_up = None;
                vec![Does::Close(self.why.clone())]
            }
            ("pong", State::Open) if self.pinged => {
                self.pinged = false;
                Vec::new()
            }
            ("pong" | "event" | "updated", State::Closing) => Vec::new(),
            ("event", State::Open) => {
                let entities = parameters["entities"].as_array();
                if !entities.is_some_and(|all| all.iter().all(|it| it["type"] == "barge_in")) {
                    return self.fail(now, 400, "entities that are unknown");
                }
                self.queue.clear();
                Vec::new()
            }
            ("disconnect", State::Opening | State::Open) => {
                let reason = parameters["reason"].as_str().unwrap_or_default();
                if !matches!(reason, "completed" | "unauthorized" | "error") {
                    return self.fail(now, 400, "no reason to disconnect");
                }
                let info = parameters["info"].as_str().unwrap_or_default();
                let why = format!("{reason} {info}").trim().to_owned();
                self.close(now, "disconnect", why).into_iter().collect()
            }
            ("disconnect", State::Closing) => Vec::new(),
            (kind, _) => self.fail(now, 409, &format!("{kind} is out of its place")),
        }
    }

    fn opened(&mut self, now: MonoTime, parameters: &Value, quirks: &Quirks) -> Vec<Does> {
        let chosen = json!([
            {"type": "audio", "format": "PCMU", "channels": ["external"], "rate": 8000}
        ]);
        if parameters["media"] != chosen {
            return self.fail(now, 415, "other media than the best that was offered");
        }
        self.state = State::Open;
        self.give_up = None;
        if !self.is_call() {
            return self.close(now, "end", "tried".to_owned()).into_iter().collect();
        }
        self.tick = Some(now + TICK);
        self.ping_at = Some(now + PING_FIRST);
        let cut = quirks.cut_after_ms.map(|ms| Duration::from_millis(ms.into()));
        self.cut_at = cut.map(|after| now + after);
        vec![Does::Opened]
    }

    /// When to come back.
    pub(super) fn deadline(&self) -> Option<MonoTime> {
        [self.tick, self.ping_at, self.give_up, self.cut_at].into_iter().flatten().min()
    }

    /// Time passed.
    pub(super) fn timeout(&mut self, now: MonoTime, quirks: &Quirks) -> Vec<Does> {
        if self.cut_at.is_some_and(|at| at <= now) {
            (self.cut_at, self.tick, self.ping_at) = (None, None, None);
            self.state = State::Over;
            return vec![Does::Cut];
        }
        if self.give_up.is_some_and(|at| at <= now) {
            self.give_up = None;
            if self.state == State::Closing {
                self.state = State::Over;
                let what = Does::Complaint("408 the session was not closed in time".to_owned());
                return vec![what, Does::Close("408".to_owned())];
            }
            return self.fail(now, 408, "the session was not opened in time");
        }
        let mut does = Vec::new();
        if self.ping_at.is_some_and(|at| at <= now) {
            if self.pinged {
                return self.fail(now, 408, "a ping was not answered");
            }
            self.pinged = true;
            self.ping_at = Some(now + PING_EVERY);
            does.push(self.message("ping", &json!({})));
        }
        while let Some(tick) = self.tick.filter(|tick| *tick <= now) {
            self.tick = Some(tick + TICK);
            self.listen(quirks, &mut does);
            self.play(&mut does);
        }
        does
    }

    /// Sends 20 ms of what the person says, or of silence.
    fn listen(&mut self, quirks: &Quirks, does: &mut Vec<Does>) {
        let bytes = quirks.frame_bytes.map_or(TICK_BYTES, |bytes| bytes as usize);
        let said = bytes.min(self.speech.len());
        let mut frame: Vec<u8> = self.speech.drain(..said).collect();
        frame.resize(bytes, SILENCE);
        self.sent += bytes;
        self.held.push(frame);
        if self.held.len() >= quirks.burst_frames.max(1) as usize {
            does.extend(self.held.drain(..).map(Does::Audio));
        }
    }

    /// Plays 20 ms of what the server has sent.
    fn play(&mut self, does: &mut Vec<Does>) {
        let count = TICK_BYTES.min(self.queue.len());
        if (count > 0) != self.plays {
            self.plays = count > 0;
            let kind = if self.plays { "playback_started" } else { "playback_completed" };
            let told = self.message(kind, &json!({}));
            does.push(told);
        }
        if count > 0 {
            does.push(Does::Heard(self.queue.drain(..count).collect()));
        }
    }

    /// A message's kind and bytes, if it is one.
    pub(super) fn sent(does: Does) -> Result<(MessageKind, Vec<u8>), Does> {
        match does {
            Does::Text(text) => Ok((MessageKind::Text, text.into_bytes())),
            Does::Audio(audio) => Ok((MessageKind::Binary, audio)),
            other => Err(other),
        }
    }
}
