//! The media socket as the carrier has it: a frame every 20 ms, a queue of what it was sent,
//! checkpoints that are told when they are reached.

use std::collections::VecDeque;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use media::time::MonoTime;
use serde_json::{Value, json};

use crate::agent::MessageKind;
use crate::emulate::playback::Playback;
use crate::emulate::speech::Speech;
use crate::emulate::{Output, Quirks};

const TICK: Duration = Duration::from_millis(20);
/// Bytes of µ-law in a tick.
const TICK_BYTES: usize = 160;
/// Most that waits to be played: 40 s.
const QUEUE_BYTES_MAX: usize = 320_000;
/// Longest payload in base64.
const PAYLOAD_CHARS_MAX: usize = 16 * 1024;
/// Most of what a person has still to say: a minute.
const SPEECH_BYTES_MAX: usize = 480_000;

/// In what the carriers' media sockets differ.
pub(crate) struct Dialect {
    /// The carrier's own number of the account.
    pub(crate) account: &'static str,
    /// The number of the first message.
    pub(crate) first: u64,
    /// True if whatever does not name its stream is dropped.
    pub(crate) names_stream: bool,
    /// True if there is a message that presses keys.
    pub(crate) presses_keys: bool,
    /// True if a message tells that sound was refused.
    pub(crate) tells_failures: bool,
    /// True if the message that a checkpoint was reached names neither stream nor number.
    pub(crate) bare_checkpoints: bool,
}

pub(super) struct Line {
    dialect: &'static Dialect,
    pub(super) socket: u32,
    pub(super) stream: String,
    pub(super) url: String,
    pub(super) events: Option<String>,
    opened: Option<(MonoTime, MonoTime)>,
    began_unix_ms: u64,
    sequence: u64,
    chunk: u64,
    speech: Speech,
    playback: Playback,
    held: Vec<Vec<u8>>,
}

impl std::fmt::Debug for Line {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Line").field("socket", &self.socket).finish_non_exhaustive()
    }
}

/// What a message of the server asks for besides sound.
pub(super) enum Asked {
    Nothing,
    Keys(String),
}

impl Line {
    /// One whose id, address, and address of events are these.
    pub(super) fn new(
        dialect: &'static Dialect,
        socket: u32,
        (stream, url, events): (String, String, Option<String>),
    ) -> Self {
        Self {
            dialect,
            socket,
            stream,
            url,
            events,
            opened: None,
            began_unix_ms: 0,
            sequence: dialect.first,
            chunk: 0,
            speech: Speech::mu(SPEECH_BYTES_MAX),
            playback: Playback::default(),
            held: Vec::new(),
        }
    }

    fn bytes(&mut self, mut message: Value) -> Vec<u8> {
        message["sequenceNumber"] = self.sequence.into();
        self.sequence += 1;
        message.to_string().into_bytes()
    }

    fn say(&mut self, mut message: Value, outputs: &mut VecDeque<Output>) {
        message["streamId"] = self.stream.clone().into();
        let bytes = self.bytes(message);
        let (socket, kind) = (self.socket, MessageKind::Text);
        outputs.push_back(Output::Message { socket, kind, bytes });
    }

    pub(super) fn opened(
        &mut self,
        now: MonoTime,
        unix_ms: u64,
        call: &str,
        outputs: &mut VecDeque<Output>,
    ) {
        self.opened = Some((now, now + TICK));
        self.began_unix_ms = unix_ms;
        let format = json!({"encoding": "audio/x-mulaw", "sampleRate": 8000});
        let start = json!({"callId": call, "streamId": self.stream, "accountId": self.dialect.account,
            "tracks": ["inbound"], "mediaFormat": format});
        let message = json!({"event": "start", "start": start, "extra_headers": "{}"});
        let bytes = self.bytes(message);
        let (socket, kind) = (self.socket, MessageKind::Text);
        outputs.push_back(Output::Message { socket, kind, bytes });
    }

    pub(super) fn speak(&mut self, audio: &[u8]) {
        self.speech.speak(audio);
    }

    pub(super) fn press(&mut self, digit: char, unix_ms: u64, outputs: &mut VecDeque<Output>) {
        if self.opened.is_some() {
            let time = unix_ms.to_string();
            let dtmf = json!({"track": "inbound", "digit": digit.to_string(), "timestamp": time});
            self.say(json!({"event": "dtmf", "dtmf": dtmf, "extra_headers": "{}"}), outputs);
        }
    }

    fn refuse(
        &mut self,
        reason: &'static str,
        outputs: &mut VecDeque<Output>,
    ) -> Result<Asked, &'static str> {
        if self.dialect.tells_failures {
            self.say(json!({"event": "playFailed", "reason": reason}), outputs);
        }
        Err(reason)
    }

    /// A message of the server; what it did wrong, as the carrier would say.
    pub(super) fn message(
        &mut self,
        kind: MessageKind,
        bytes: &[u8],
        outputs: &mut VecDeque<Output>,
    ) -> Result<Asked, &'static str> {
        let message: Value = serde_json::from_slice(bytes).unwrap_or_default();
        let (media, named) = (&message["media"], message["streamId"] == *self.stream);
        if kind != MessageKind::Text || (self.dialect.names_stream && !named) {
            return Err("a message that does not name its stream is dropped");
        }
        match message["event"].as_str() {
            Some("playAudio") => {
                let mulaw = media["contentType"] == "audio/x-mulaw" && media["sampleRate"] == 8000;
                if !mulaw {
                    return self.refuse("invalid_content_type", outputs);
                }
                let payload = media["payload"].as_str().unwrap_or_default();
                let audio = STANDARD.decode(payload).unwrap_or_default();
                if audio.is_empty() || payload.len() > PAYLOAD_CHARS_MAX {
                    return self.refuse("invalid_payload", outputs);
                }
                if self.playback.waiting_bytes() + audio.len() > QUEUE_BYTES_MAX {
                    return self.refuse("buffer_overflow", outputs);
                }
                self.playback.push(audio);
                Ok(Asked::Nothing)
            }
            Some("checkpoint") if named => {
                let name = message["name"].as_str().unwrap_or_default().to_owned();
                self.playback.mark(name);
                Ok(Asked::Nothing)
            }
            Some("clearAudio") if named => {
                // Checkpoints that wait are gone with the audio.
                self.playback.clear();
                self.say(json!({"event": "clearedAudio"}), outputs);
                Ok(Asked::Nothing)
            }
            Some("sendDTMF") if self.dialect.presses_keys => match message["dtmf"].as_str() {
                Some(digits) => Ok(Asked::Keys(digits.to_owned())),
                None => Err("no digits"),
            },
            _ => Err("not a message that the carrier knows"),
        }
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
            let since = u64::try_from(next.since(opened).as_millis()).unwrap_or(u64::MAX);
            self.hear(self.began_unix_ms.saturating_add(since), quirks, outputs);
            self.playback.play(next, TICK_BYTES, call, quirks, outputs);
            next += TICK;
        }
        self.opened = Some((opened, next));
        while let Some(name) = self.playback.told(now) {
            let told = json!({"event": "playedStream", "name": name});
            if self.dialect.bare_checkpoints {
                let (socket, kind) = (self.socket, MessageKind::Text);
                let bytes = told.to_string().into_bytes();
                outputs.push_back(Output::Message { socket, kind, bytes });
            } else {
                self.say(told, outputs);
            }
        }
        false
    }

    fn hear(&mut self, unix_ms: u64, quirks: &Quirks, outputs: &mut VecDeque<Output>) {
        let want = quirks.frame_bytes.map_or(TICK_BYTES, |bytes| bytes as usize).max(1);
        let mut left = TICK_BYTES;
        while left > 0 {
            let count = want.min(left);
            left -= count;
            let audio = self.speech.take_coded(count, quirks);
            self.chunk += 1;
            let media = json!({"track": "inbound", "timestamp": unix_ms.to_string(),
                "chunk": self.chunk, "payload": STANDARD.encode(&audio)});
            let stream = self.stream.clone();
            let message = json!({"event": "media", "streamId": stream, "media": media,
                "extra_headers": "{}"});
            let bytes = self.bytes(message);
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
