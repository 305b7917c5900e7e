//! The media socket as the carrier has it: a frame every 20 ms, a queue of what it was sent, marks
//! that come back when they are reached.

use std::collections::VecDeque;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use media::time::MonoTime;
use serde_json::{Value, json};

use super::Wish;
use crate::agent::MessageKind;
use crate::emulate::playback::Playback;
use crate::emulate::speech::Speech;
use crate::emulate::{Output, Quirks};

const TICK: Duration = Duration::from_millis(20);
/// Bytes of PCMU in a tick.
const TICK_BYTES: usize = 160;
/// Longest message that the carrier takes: 30 s.
const MESSAGE_BYTES_MAX: usize = 240_000;
/// Most of what a person has still to say: a minute.
const SPEECH_BYTES_MAX: usize = 480_000;
/// Messages a second beyond which the carrier complains.
const MESSAGES_MAX: u32 = 200;

pub(super) struct Line {
    pub(super) socket: u32,
    pub(super) stream: String,
    pub(super) url: String,
    pub(super) track: String,
    plays: bool,
    /// When it was opened, and the next tick.
    opened: Option<(MonoTime, MonoTime)>,
    sequence: u64,
    chunk: u64,
    speech: Speech,
    playback: Playback,
    held: Vec<Vec<u8>>,
    /// Second and messages in it.
    messages: (u64, u32),
}

impl std::fmt::Debug for Line {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Line").field("socket", &self.socket).finish_non_exhaustive()
    }
}

impl Line {
    pub(super) fn new(socket: u32, stream: String, wish: &Wish) -> Self {
        Self {
            socket,
            stream,
            url: wish.url.clone(),
            track: wish.track.clone(),
            plays: wish.plays,
            opened: None,
            sequence: 0,
            chunk: 0,
            speech: Speech::mu(SPEECH_BYTES_MAX),
            playback: Playback::default(),
            held: Vec::new(),
            messages: (0, 0),
        }
    }

    fn bytes(&mut self, mut message: Value) -> Vec<u8> {
        self.sequence += 1;
        message["sequence_number"] = self.sequence.to_string().into();
        message["stream_id"] = self.stream.clone().into();
        message.to_string().into_bytes()
    }

    fn say(&mut self, message: Value, outputs: &mut VecDeque<Output>) {
        let bytes = self.bytes(message);
        let (socket, kind) = (self.socket, MessageKind::Text);
        outputs.push_back(Output::Message { socket, kind, bytes });
    }

    pub(super) fn opened(
        &mut self,
        now: MonoTime,
        mut start: Value,
        quirks: &Quirks,
        outputs: &mut VecDeque<Output>,
    ) {
        self.opened = Some((now, now + TICK));
        let bytes = br#"{"event":"connected","version":"1.0.0"}"#.to_vec();
        let (socket, kind) = (self.socket, MessageKind::Text);
        outputs.push_back(Output::Message { socket, kind, bytes });
        let encoding = if quirks.alaw { "PCMA" } else { "PCMU" };
        start["media_format"] = json!({"encoding": encoding, "sample_rate": 8000, "channels": 1});
        self.say(json!({"event": "start", "start": start}), outputs);
    }

    pub(super) fn stop(&mut self, call: &str, outputs: &mut VecDeque<Output>) {
        if self.opened.is_some() {
            let stop = json!({"user_id": "u", "call_control_id": call});
            self.say(json!({"event": "stop", "stop": stop}), outputs);
        }
        outputs.push_back(Output::Close { socket: self.socket, code: 1000 });
    }

    pub(super) fn speak(&mut self, audio: &[u8]) {
        self.speech.speak(audio);
    }

    pub(super) fn press(&mut self, digit: &str, time: &str, outputs: &mut VecDeque<Output>) {
        if self.opened.is_some() {
            let dtmf = json!({"digit": digit});
            self.say(json!({"event": "dtmf", "occurred_at": time, "dtmf": dtmf}), outputs);
        }
    }

    fn error(&mut self, code: u32, title: &str, outputs: &mut VecDeque<Output>) {
        let payload = json!({"code": code, "title": title, "detail": title});
        self.say(json!({"event": "error", "payload": payload}), outputs);
    }

    /// A message of the server; what it did wrong, as the carrier would say.
    pub(super) fn message(
        &mut self,
        now: MonoTime,
        kind: MessageKind,
        bytes: &[u8],
        outputs: &mut VecDeque<Output>,
    ) -> Result<(), &'static str> {
        let second = now.as_nanos() / 1_000_000_000;
        self.messages = match self.messages {
            (same, count) if same == second => (same, count + 1),
            _ => (second, 1),
        };
        if self.messages.1 > MESSAGES_MAX {
            self.error(100_005, "rate_limit_reached", outputs);
            return Err("100005: too many messages");
        }
        let message: Value = serde_json::from_slice(bytes).unwrap_or_default();
        let text = |value: &Value| value.as_str().map(str::to_owned);
        match (kind, message["event"].as_str()) {
            (MessageKind::Text, Some("media")) => {
                let payload = text(&message["media"]["payload"]).unwrap_or_default();
                let audio = STANDARD.decode(payload).unwrap_or_default();
                if !(TICK_BYTES..=MESSAGE_BYTES_MAX).contains(&audio.len()) {
                    self.error(100_004, "invalid_media", outputs);
                    return Err("100004: not 20 ms to 30 s of audio");
                }
                if !self.plays {
                    return Err("audio on a stream that was not asked to be played");
                }
                self.playback.push(audio);
            }
            (MessageKind::Text, Some("mark")) => match text(&message["mark"]["name"]) {
                Some(name) => self.playback.mark(name),
                None => {
                    self.error(100_003, "malformed_frame", outputs);
                    return Err("100003: a mark without name");
                }
            },
            (MessageKind::Text, Some("clear")) => {
                for name in self.playback.clear() {
                    self.say(json!({"event": "mark", "mark": {"name": name}}), outputs);
                }
            }
            _ => {
                self.error(100_003, "malformed_frame", outputs);
                return Err("100003: not a message that the carrier knows");
            }
        }
        Ok(())
    }

    /// Does what is due; true if the connection was cut off.
    pub(super) fn tick(
        &mut self,
        now: MonoTime,
        call: &str,
        quirks: &Quirks,
        outputs: &mut VecDeque<Output>,
    ) -> bool {
        let Some((opened, mut next)) = self.opened else { return false };
        let cut = quirks.cut_after_ms.map(|ms| opened + Duration::from_millis(ms.into()));
        if cut.is_some_and(|at| at <= now) {
            outputs.push_back(Output::Cut { socket: self.socket });
            return true;
        }
        while next <= now {
            let ms = next.since(opened).as_millis();
            self.hear(ms, quirks, outputs);
            self.playback.play(next, TICK_BYTES, call, quirks, outputs);
            next += TICK;
        }
        self.opened = Some((opened, next));
        while let Some(name) = self.playback.told(now) {
            self.say(json!({"event": "mark", "mark": {"name": name}}), outputs);
        }
        false
    }

    /// One tick of what the person says.
    fn hear(&mut self, ms: u128, quirks: &Quirks, outputs: &mut VecDeque<Output>) {
        let want = quirks.frame_bytes.map_or(TICK_BYTES, |bytes| bytes as usize).max(1);
        let mut left = TICK_BYTES;
        while left > 0 {
            let count = want.min(left);
            left -= count;
            let audio = self.speech.take_coded(count, quirks);
            self.chunk += 1;
            let media = json!({"track": "inbound", "chunk": self.chunk.to_string(),
                "timestamp": ms.to_string(), "payload": STANDARD.encode(&audio)});
            let bytes = self.bytes(json!({"event": "media", "media": media}));
            self.held.push(bytes);
        }
        if self.held.len() >= quirks.burst_frames.max(1) as usize {
            let (socket, kind) = (self.socket, MessageKind::Text);
            for bytes in self.held.drain(..) {
                outputs.push_back(Output::Message { socket, kind, bytes });
            }
        }
    }

    pub(super) fn deadline(&self) -> Option<MonoTime> {
        self.opened.map(|(_, next)| next)
    }
}
