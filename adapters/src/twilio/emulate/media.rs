//! The carrier's end of a media stream: sends what the person says, plays what it is sent.

use std::collections::VecDeque;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use media::time::MonoTime;
use serde_json::{Value, json};

use crate::emulate::Quirks;

/// Time between frames.
const FRAME: Duration = Duration::from_millis(20);
/// Bytes of a frame: 20 ms at 8 kHz.
const FRAME_BYTES: usize = 160;
/// Silence in µ-law.
const SILENCE: u8 = 0xff;

/// What the stream wants done.
pub(super) enum Does {
    /// Send this text.
    Text(String),
    /// The person hears this.
    Heard(Vec<u8>),
    /// The server said something wrong.
    Complaint(String),
    /// The connection breaks.
    Cut,
}

enum Queued {
    Audio(Vec<u8>),
    Mark(String),
}

pub(super) struct Media {
    pub(super) call: String,
    pub(super) sid: String,
    account: String,
    parameters: Value,
    pub(super) name: String,
    pub(super) callback: Option<String>,
    /// Open: messages flow.
    started: Option<MonoTime>,
    next: Option<MonoTime>,
    sequence: u64,
    chunk: u64,
    sent_bytes: u64,
    /// Times of frames that have passed.
    frames: u64,
    says: VecDeque<u8>,
    held: Vec<String>,
    queue: VecDeque<Queued>,
    late: VecDeque<(MonoTime, String)>,
}

impl Media {
    pub(super) fn new(
        call: String,
        sid: String,
        account: String,
        name: String,
        callback: Option<String>,
        parameters: Value,
    ) -> Self {
        Self {
            call,
            sid,
            account,
            parameters,
            name,
            callback,
            started: None,
            next: None,
            sequence: 0,
            chunk: 0,
            sent_bytes: 0,
            frames: 0,
            says: VecDeque::new(),
            held: Vec::new(),
            queue: VecDeque::new(),
            late: VecDeque::new(),
        }
    }

    pub(super) const fn is_up(&self) -> bool {
        self.started.is_some()
    }

    pub(super) fn deadline(&self) -> Option<MonoTime> {
        let late = self.late.front().map(|(at, _)| *at);
        self.next.into_iter().chain(late).min()
    }

    fn numbered(&mut self, event: &str, detail: Value) -> String {
        self.sequence += 1;
        let mut message = json!({
            "event": event,
            "sequenceNumber": self.sequence.to_string(),
            "streamSid": self.sid,
        });
        message[event] = detail;
        message.to_string()
    }

    /// The socket is open.
    pub(super) fn open(&mut self, now: MonoTime, quirks: &Quirks) -> Vec<Does> {
        (self.started, self.next) = (Some(now), Some(now + FRAME));
        let encoding = if quirks.alaw { "audio/x-alaw" } else { "audio/x-mulaw" };
        let connected = json!({"event": "connected", "protocol": "Call", "version": "1.0.0"});
        let start = json!({
            "accountSid": self.account,
            "streamSid": self.sid,
            "callSid": self.call,
            "tracks": ["inbound"],
            "mediaFormat": {"encoding": encoding, "sampleRate": 8000, "channels": 1},
            "customParameters": self.parameters,
        });
        let start = self.numbered("start", start);
        vec![Does::Text(connected.to_string()), Does::Text(start)]
    }

    /// The last word before the carrier closes.
    pub(super) fn stop(&mut self) -> String {
        let detail = json!({"accountSid": self.account, "callSid": self.call});
        self.numbered("stop", detail)
    }

    pub(super) fn speak(&mut self, audio: &[u8]) {
        self.says.extend(audio);
    }

    pub(super) fn press(&mut self, digit: char) -> String {
        self.numbered("dtmf", json!({"track": "inbound_track", "digit": digit.to_string()}))
    }

    /// Time passed.
    pub(super) fn tick(&mut self, now: MonoTime, quirks: &Quirks) -> Vec<Does> {
        let mut does = Vec::new();
        let Some(started) = self.started else { return does };
        if let Some(after) = quirks.cut_after_ms
            && now >= started + Duration::from_millis(after.into())
        {
            (self.started, self.next) = (None, None);
            self.late.clear();
            return vec![Does::Cut];
        }
        while let Some(next) = self.next.filter(|next| *next <= now) {
            self.next = Some(next + FRAME);
            self.send_frame(quirks, &mut does);
            self.play(next, quirks, &mut does);
        }
        while self.late.front().is_some_and(|(at, _)| *at <= now) {
            let Some((_, name)) = self.late.pop_front() else { break };
            does.push(Does::Text(self.numbered("mark", json!({"name": name}))));
        }
        does
    }

    fn send_frame(&mut self, quirks: &Quirks, does: &mut Vec<Does>) {
        let bytes = quirks.frame_bytes.map_or(FRAME_BYTES, |bytes| bytes.max(1) as usize);
        // Frames of another size come at the same rate of bytes.
        let due = ((self.frames + 1) * FRAME_BYTES as u64).saturating_sub(self.sent_bytes);
        let mut due = usize::try_from(due).unwrap_or(0);
        while due >= bytes {
            due -= bytes;
            let frame: Vec<u8> =
                (0..bytes).map(|_| self.says.pop_front().unwrap_or(SILENCE)).collect();
            self.chunk += 1;
            self.sent_bytes += bytes as u64;
            let detail = json!({
                "track": "inbound",
                "chunk": self.chunk.to_string(),
                "timestamp": (self.sent_bytes / 8).to_string(),
                "payload": STANDARD.encode(frame),
            });
            let text = self.numbered("media", detail);
            self.held.push(text);
        }
        self.frames += 1;
        if self.held.len() >= quirks.burst_frames.max(1) as usize {
            does.extend(self.held.drain(..).map(Does::Text));
        }
    }

    fn play(&mut self, now: MonoTime, quirks: &Quirks, does: &mut Vec<Does>) {
        let mut heard = Vec::new();
        while heard.len() < FRAME_BYTES {
            match self.queue.pop_front() {
                Some(Queued::Audio(mut audio)) => {
                    let rest = audio.split_off(audio.len().min(FRAME_BYTES - heard.len()));
                    heard.append(&mut audio);
                    if !rest.is_empty() {
                        self.queue.push_front(Queued::Audio(rest));
                    }
                }
                Some(Queued::Mark(name)) => self.echo(now, name, quirks, does),
                None => break,
            }
        }
        // What stands right behind the frame has been reached too.
        while let Some(Queued::Mark(_)) = self.queue.front() {
            if let Some(Queued::Mark(name)) = self.queue.pop_front() {
                self.echo(now, name, quirks, does);
            }
        }
        if !heard.is_empty() {
            does.push(Does::Heard(heard));
        }
    }

    fn echo(&mut self, now: MonoTime, name: String, quirks: &Quirks, does: &mut Vec<Does>) {
        match quirks.mark_delay_ms {
            _ if quirks.marks_lost => {}
            0 => does.push(Does::Text(self.numbered("mark", json!({"name": name})))),
            ms => self.late.push_back((now + Duration::from_millis(ms.into()), name)),
        }
    }

    /// The server said something.
    pub(super) fn take(&mut self, now: MonoTime, text: &[u8], quirks: &Quirks) -> Vec<Does> {
        let mut does = Vec::new();
        let complaint = |what: &str| vec![Does::Complaint(format!("31951: {what}"))];
        let Ok(Value::Object(message)) = serde_json::from_slice(text) else {
            return complaint("not a JSON object");
        };
        if message.get("streamSid").and_then(Value::as_str) != Some(&self.sid) {
            return complaint("streamSid is missing or that of another stream");
        }
        let event = message.get("event").and_then(Value::as_str).unwrap_or_default();
        let fields = if event == "clear" { 2 } else { 3 };
        let detail = message.get(event);
        let alone = |name: &str| {
            let detail = detail?.as_object().filter(|detail| detail.len() == 1)?;
            detail.get(name)?.as_str().map(str::to_owned)
        };
        if message.len() != fields {
            return complaint("a field is missing, or one is there that is unknown");
        }
        match event {
            "media" => match alone("payload").map(|text| STANDARD.decode(text)) {
                Some(Ok(audio)) if !audio.is_empty() => self.queue.push_back(Queued::Audio(audio)),
                _ => return complaint("media.payload alone, in base64"),
            },
            "mark" => match alone("name") {
                Some(name) if self.queue.is_empty() => self.echo(now, name, quirks, &mut does),
                Some(name) => self.queue.push_back(Queued::Mark(name)),
                None => return complaint("mark.name alone"),
            },
            "clear" => {
                for queued in std::mem::take(&mut self.queue) {
                    if let Queued::Mark(name) = queued {
                        self.echo(now, name, quirks, &mut does);
                    }
                }
            }
            _ => return complaint("an unknown event"),
        }
        does
    }
}
