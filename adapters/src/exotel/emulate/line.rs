//! The media socket as the carrier has it: a tenth of a second each time, a queue of what it was
//! sent, marks that come back when they are reached.

use std::collections::VecDeque;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use media::time::MonoTime;
use serde_json::{Value, json};

use super::SESSION_MAX;
use crate::agent::MessageKind;
use crate::emulate::playback::Playback;
use crate::emulate::speech::Speech;
use crate::emulate::{Output, Quirks};

const TICK: Duration = Duration::from_millis(20);
/// Ticks whose audio is sent together.
const TICKS_TOGETHER: u32 = 5;
/// What messages to it are multiples of, in bytes.
const GRAIN_BYTES: usize = 320;
/// The shortest and the longest, in bytes.
const SHORTEST_BYTES: usize = 3_200;
const LONGEST_BYTES: usize = 100_000;
/// Most that waits to be played: 40 s at 8 kHz.
const QUEUE_BYTES_MAX: usize = 640_000;
/// Most of what a person has still to say: a minute at 8 kHz.
const SPEECH_BYTES_MAX: usize = 960_000;

pub(super) struct Line {
    pub(super) socket: u32,
    stream: String,
    rate_hz: usize,
    opened: Option<(MonoTime, MonoTime)>,
    sequence: u64,
    chunk: u64,
    ticks: u32,
    speech: Speech,
    /// What the person has said since the last message.
    gathered: Vec<u8>,
    playback: Playback,
    held: Vec<Vec<u8>>,
}

impl Line {
    /// One to an address, which may name a rate.
    pub(super) fn new(socket: u32, stream: String, url: &str) -> Self {
        let rate = url.split_once("sample-rate=").map(|(_, rest)| rest.split('&').next());
        let rate_hz = rate.flatten().and_then(|rate| rate.parse().ok()).unwrap_or(8_000);
        Self {
            socket,
            stream,
            rate_hz,
            opened: None,
            sequence: 0,
            chunk: 0,
            ticks: 0,
            speech: Speech::linear(SPEECH_BYTES_MAX),
            gathered: Vec::new(),
            playback: Playback::default(),
            held: Vec::new(),
        }
    }

    /// Bytes of a tick.
    const fn tick_bytes(&self) -> usize {
        self.rate_hz / 50 * 2
    }

    fn bytes(&mut self, mut message: Value) -> Vec<u8> {
        self.sequence += 1;
        // On one page numbers are bare, on the others they are strings.
        let number = self.sequence;
        message["sequence_number"] =
            if number.is_multiple_of(2) { number.into() } else { number.to_string().into() };
        message["stream_sid"] = self.stream.clone().into();
        message.to_string().into_bytes()
    }

    fn say(&mut self, message: Value, outputs: &mut VecDeque<Output>) {
        let bytes = self.bytes(message);
        outputs.push_back(Output::Message { socket: self.socket, kind: MessageKind::Text, bytes });
    }

    pub(super) fn opened(
        &mut self,
        now: MonoTime,
        [call, account, from, to]: [&str; 4],
        outputs: &mut VecDeque<Output>,
    ) {
        self.opened = Some((now, now + TICK));
        let bytes = br#"{"event":"connected"}"#.to_vec();
        outputs.push_back(Output::Message { socket: self.socket, kind: MessageKind::Text, bytes });
        let rate = self.rate_hz.to_string();
        let format = json!({"encoding": "audio/x-raw", "sample_rate": rate, "bit_rate": "16"});
        let start = json!({"stream_sid": self.stream, "call_sid": call, "account_sid": account,
            "from": from, "to": to, "custom_parameters": {}, "media_format": format});
        self.say(json!({"event": "start", "start": start}), outputs);
    }

    pub(super) fn stop(
        &mut self,
        call: &str,
        account: &str,
        reason: &str,
        outputs: &mut VecDeque<Output>,
    ) {
        if self.opened.is_some() {
            self.send_gathered(outputs);
            let stop = json!({"call_sid": call, "account_sid": account, "reason": reason});
            self.say(json!({"event": "stop", "stop": stop}), outputs);
        }
    }

    pub(super) fn speak(&mut self, audio: &[u8]) {
        self.speech.speak(audio);
    }

    pub(super) fn press(&mut self, digit: char, outputs: &mut VecDeque<Output>) {
        if self.opened.is_some() {
            let dtmf = json!({"digit": digit.to_string(), "duration": "100"});
            self.say(json!({"event": "dtmf", "dtmf": dtmf}), outputs);
        }
    }

    /// A message of the server; what it did wrong, as it would be heard.
    pub(super) fn message(&mut self, kind: MessageKind, bytes: &[u8]) -> Result<(), &'static str> {
        let message: Value = serde_json::from_slice(bytes).unwrap_or_default();
        if kind != MessageKind::Text || message["stream_sid"] != *self.stream {
            return Err("a message that does not name its stream is dropped");
        }
        match message["event"].as_str() {
            Some("media") => {
                let payload = message["media"]["payload"].as_str().unwrap_or_default();
                let audio = STANDARD.decode(payload).unwrap_or_default();
                let length = audio.len();
                if self.playback.waiting_bytes() + length > QUEUE_BYTES_MAX {
                    return Err("more than is kept");
                }
                self.playback.push(audio);
                match length {
                    0..SHORTEST_BYTES => Err("a message so short is heard with gaps"),
                    LONGEST_BYTES.. => Err("a message so long comes too late"),
                    length if !length.is_multiple_of(GRAIN_BYTES) => {
                        Err("a message that is no multiple of 320 bytes is heard with gaps")
                    }
                    _ => Ok(()),
                }
            }
            Some("mark") => {
                let name = message["mark"]["name"].as_str().unwrap_or_default().to_owned();
                self.playback.mark(name);
                Ok(())
            }
            Some("clear") => {
                // Marks that wait come back at once: what they follow will not be played.
                let at = self.opened.map_or(MonoTime::ZERO, |(_, next)| next);
                for name in self.playback.clear() {
                    self.playback.tell(at, name);
                }
                Ok(())
            }
            _ => Err("not a message that the carrier knows"),
        }
    }

    /// Does what is due; true if the connection was cut off, or the session has lasted too long.
    pub(super) fn tick(
        &mut self,
        now: MonoTime,
        call: &str,
        quirks: &Quirks,
        outputs: &mut VecDeque<Output>,
    ) -> bool {
        let Some((opened, mut next)) = self.opened else { return false };
        let cut = quirks.cut_after_ms.map(|ms| opened + Duration::from_millis(ms.into()));
        if cut.is_some_and(|at| at <= now) || opened + SESSION_MAX <= now {
            outputs.push_back(Output::Cut { socket: self.socket });
            return true;
        }
        while next <= now {
            self.hear(quirks, outputs);
            self.playback.play(next, self.tick_bytes(), call, quirks, outputs);
            next += TICK;
        }
        self.opened = Some((opened, next));
        while let Some(name) = self.playback.told(now) {
            self.say(json!({"event": "mark", "mark": {"name": name}}), outputs);
        }
        false
    }

    fn hear(&mut self, quirks: &Quirks, outputs: &mut VecDeque<Output>) {
        let bytes = self.tick_bytes();
        self.gathered.append(&mut self.speech.take(bytes));
        self.ticks += 1;
        let usual = bytes * TICKS_TOGETHER as usize;
        let want = quirks.frame_bytes.map_or(usual, |bytes| bytes as usize).max(2) & !1;
        while self.gathered.len() >= want {
            let rest = self.gathered.split_off(want);
            let audio = std::mem::replace(&mut self.gathered, rest);
            let message = self.media(&audio);
            self.held.push(message);
        }
        self.send_held(outputs, quirks.burst_frames.max(1) as usize);
    }

    fn media(&mut self, audio: &[u8]) -> Vec<u8> {
        self.chunk += 1;
        let (chunk, ms) = (self.chunk.to_string(), u64::from(self.ticks) * 20);
        let media = json!({"chunk": chunk, "timestamp": ms.to_string(),
            "payload": STANDARD.encode(audio)});
        self.bytes(json!({"event": "media", "media": media}))
    }

    fn send_gathered(&mut self, outputs: &mut VecDeque<Output>) {
        if !self.gathered.is_empty() {
            let audio = std::mem::take(&mut self.gathered);
            let message = self.media(&audio);
            self.held.push(message);
        }
        self.send_held(outputs, 1);
    }

    fn send_held(&mut self, outputs: &mut VecDeque<Output>, least: usize) {
        if self.held.len() >= least {
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
