//! The media socket as the carrier has it: a frame every 20 ms, a queue of what it was sent, marks
//! that are told when they are reached.

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
/// Most that waits to be played: a minute.
const QUEUE_BYTES_MAX: usize = 480_000;

pub(super) struct Line {
    pub(super) socket: u32,
    pub(super) session: String,
    pub(super) callback: Option<String>,
    stream: String,
    /// True if messages come without their numbers, as they may.
    bare: bool,
    opened: Option<(MonoTime, MonoTime)>,
    sequence: u64,
    chunk: u64,
    sent_bytes: u64,
    owed_bytes: usize,
    speech: Speech,
    playback: Playback,
    held: Vec<String>,
}

impl Line {
    pub(super) fn new(
        socket: u32,
        session: &str,
        stream: String,
        callback: Option<String>,
    ) -> Self {
        Self {
            socket,
            session: session.to_owned(),
            callback,
            stream,
            bare: socket.is_multiple_of(2),
            opened: None,
            sequence: 0,
            chunk: 0,
            sent_bytes: 0,
            owed_bytes: 0,
            speech: Speech::mu(QUEUE_BYTES_MAX),
            playback: Playback::default(),
            held: Vec::new(),
        }
    }

    pub(super) const fn is_up(&self) -> bool {
        self.opened.is_some()
    }

    pub(super) fn stream(&self) -> &str {
        &self.stream
    }

    fn text(&mut self, event: &str, detail: Value) -> String {
        let mut message = json!({"event": event});
        if !self.bare {
            self.sequence += 1;
            message["sequenceNumber"] = self.sequence.to_string().into();
        }
        if !self.bare || event != "media" {
            message["streamSid"] = self.stream.as_str().into();
        }
        message[event] = detail;
        message.to_string()
    }

    fn send(&self, text: String, outputs: &mut VecDeque<Output>) {
        let (socket, kind) = (self.socket, MessageKind::Text);
        outputs.push_back(Output::Message { socket, kind, bytes: text.into_bytes() });
    }

    /// The socket is open. The domain may be named in short; the id of the media side is none that
    /// the API knows.
    pub(super) fn open(
        &mut self,
        now: MonoTime,
        (domain, from, to, direction): (&str, &str, &str, &str),
        alaw: bool,
        outputs: &mut VecDeque<Output>,
    ) {
        self.opened = Some((now, now + TICK));
        let connected = json!({"event": "connected", "protocol": "Call", "version": "1.0.0"});
        let short = domain.strip_suffix(".cloudonix.net").filter(|_| self.bare);
        let encoding = if alaw { "audio/x-alaw" } else { "audio/x-mulaw" };
        let start = json!({
            "streamSid": self.stream,
            "callSid": format!("media-{}", self.socket),
            "session": self.session,
            "accountSid": short.unwrap_or(domain),
            "from": from,
            "to": to,
            "context": direction,
            "tracks": ["inbound"],
            "mediaFormat": {"encoding": encoding, "sampleRate": 8000, "channels": 1},
            "customParameters": {},
        });
        let start = self.text("start", start);
        self.send(connected.to_string(), outputs);
        self.send(start, outputs);
    }

    /// The last word before the carrier closes.
    pub(super) fn stop(&mut self, outputs: &mut VecDeque<Output>) {
        if self.is_up() {
            let detail = json!({"session": self.session});
            let text = self.text("stop", detail);
            self.send(text, outputs);
        }
    }

    pub(super) fn speak(&mut self, audio: &[u8]) {
        self.speech.speak(audio);
    }

    pub(super) fn press(&mut self, digit: char, outputs: &mut VecDeque<Output>) {
        if self.is_up() {
            let text = self.text("dtmf", json!({"digit": digit.to_string()}));
            self.send(text, outputs);
        }
    }

    /// A message of the server; what it did wrong.
    pub(super) fn message(
        &mut self,
        now: MonoTime,
        kind: MessageKind,
        bytes: &[u8],
        quirks: &Quirks,
    ) -> Result<(), &'static str> {
        let message: Value = serde_json::from_slice(bytes).unwrap_or_default();
        if kind != MessageKind::Text || message["streamSid"] != *self.stream {
            return Err("a message that does not name its stream");
        }
        match message["event"].as_str() {
            Some("media") => {
                let payload = message["media"]["payload"].as_str().unwrap_or_default();
                let audio = STANDARD.decode(payload).unwrap_or_default();
                if audio.is_empty() {
                    return Err("no audio");
                }
                if audio.len() > TICK_BYTES {
                    return Err("more than 20 ms at once");
                }
                if self.playback.waiting_bytes() + audio.len() > QUEUE_BYTES_MAX {
                    return Err("more than can wait");
                }
                self.playback.push(audio);
            }
            Some("mark") => {
                let name = message["mark"]["name"].as_str().ok_or("a mark without a name")?;
                self.playback.mark(name.to_owned());
            }
            Some("clear") => {
                for name in self.playback.clear() {
                    self.playback.reach(now, name, quirks);
                }
            }
            _ => return Err("not a message that the carrier knows"),
        }
        Ok(())
    }

    /// Does what is due; true if the connection was cut off.
    pub(super) fn tick(
        &mut self,
        now: MonoTime,
        quirks: &Quirks,
        outputs: &mut VecDeque<Output>,
    ) -> bool {
        let Some((opened, mut next)) = self.opened else { return false };
        let cut = quirks.cut_after_ms.map(|ms| opened + Duration::from_millis(ms.into()));
        if cut.is_some_and(|at| at <= now) {
            self.opened = None;
            outputs.push_back(Output::Cut { socket: self.socket });
            return true;
        }
        while next <= now {
            self.hear(quirks, outputs);
            self.playback.play(next, TICK_BYTES, &self.session, quirks, outputs);
            next += TICK;
        }
        self.opened = Some((opened, next));
        while let Some(name) = self.playback.told(now) {
            let text = self.text("mark", json!({"name": name}));
            self.send(text, outputs);
        }
        false
    }

    /// Sends what the person says.
    fn hear(&mut self, quirks: &Quirks, outputs: &mut VecDeque<Output>) {
        let frame = quirks.frame_bytes.map_or(TICK_BYTES, |bytes| bytes as usize).max(1);
        self.owed_bytes += TICK_BYTES;
        while self.owed_bytes >= frame {
            self.owed_bytes -= frame;
            let audio = self.speech.take_coded(frame, quirks);
            self.chunk += 1;
            self.sent_bytes += frame as u64;
            let mut media = json!({"payload": STANDARD.encode(audio)});
            if !self.bare {
                media["track"] = "inbound".into();
                media["chunk"] = self.chunk.to_string().into();
                media["timestamp"] = (self.sent_bytes / 8).to_string().into();
            }
            let text = self.text("media", media);
            self.held.push(text);
        }
        if self.held.len() >= quirks.burst_frames.max(1) as usize {
            for text in std::mem::take(&mut self.held) {
                self.send(text, outputs);
            }
        }
    }

    pub(super) fn deadline(&self) -> Option<MonoTime> {
        self.opened.map(|(_, next)| next)
    }
}
