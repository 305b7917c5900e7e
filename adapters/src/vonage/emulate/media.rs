//! The media socket as Vonage keeps it: frames of 20 ms in both directions, a buffer of a minute,
//! clear, and notifications that come back when all before them was played.

use std::collections::VecDeque;
use std::time::Duration;

use media::time::MonoTime;
use serde_json::{Value, json};

use super::super::PTIME_MS;
use crate::emulate::Quirks;

/// Messages that wait to be played; what comes beyond is lost.
const BUFFER_MESSAGES: usize = 3072;

/// What waits to be played.
#[derive(Debug)]
enum Waiting {
    Frame(Vec<u8>),
    Notify(Value),
}

/// What a socket wants done.
#[derive(Debug, PartialEq)]
pub(super) enum Does {
    /// Sends text.
    Text(String),
    /// Sends audio.
    Audio(Vec<u8>),
    /// The person hears audio.
    Heard(Vec<u8>),
    /// Cuts the socket off, and why.
    Cut(Option<String>),
    /// The server did something odd.
    Complaint(String),
}

/// A media socket.
#[derive(Debug)]
pub(super) struct Media {
    pub(super) call: String,
    pub(super) leg: String,
    pub(super) uri: String,
    pub(super) event_url: Option<String>,
    pub(super) synchronous: bool,
    pub(super) headers: Value,
    pub(super) open: bool,
    rate_hz: u32,
    playing: VecDeque<Waiting>,
    speaking: VecDeque<u8>,
    held: Vec<Vec<u8>>,
    late: VecDeque<(MonoTime, String)>,
    tick: Option<MonoTime>,
    cut_at: Option<MonoTime>,
}

/// What a media socket begins with.
#[derive(Debug)]
pub(super) struct Opening {
    pub(super) call: String,
    pub(super) leg: String,
    pub(super) uri: String,
    pub(super) event_url: Option<String>,
    pub(super) synchronous: bool,
    pub(super) headers: Value,
    pub(super) rate_hz: u32,
}

impl Media {
    pub(super) fn new(opening: Opening) -> Self {
        let Opening { call, leg, uri, event_url, synchronous, headers, rate_hz } = opening;
        Self {
            call,
            leg,
            uri,
            event_url,
            synchronous,
            headers,
            open: false,
            rate_hz,
            playing: VecDeque::new(),
            speaking: VecDeque::new(),
            held: Vec::new(),
            late: VecDeque::new(),
            tick: None,
            cut_at: None,
        }
    }

    fn frame_bytes(&self) -> usize {
        (self.rate_hz / 1000 * PTIME_MS * 2) as usize
    }

    /// The socket is open: says so, and begins to send.
    pub(super) fn opened(&mut self, now: MonoTime, quirks: &Quirks) -> Does {
        self.open = true;
        self.tick = Some(now + Duration::from_millis(PTIME_MS.into()));
        let cut = quirks.cut_after_ms.map(|ms| Duration::from_millis(ms.into()));
        self.cut_at = cut.map(|after| now + after);
        let rate = self.rate_hz;
        let mut connected = json!({
            "event": "websocket:connected",
            "content-type": format!("audio/l16;rate={rate}"),
        });
        for (name, value) in self.headers.as_object().into_iter().flatten() {
            connected[name] = value.clone();
        }
        Does::Text(connected.to_string())
    }

    /// The person says this.
    pub(super) fn speak(&mut self, audio: &[u8]) {
        self.speaking.extend(audio);
    }

    /// A binary message.
    pub(super) fn binary(&mut self, bytes: &[u8]) -> Vec<Does> {
        let frame = self.frame_bytes();
        if bytes.len() != frame {
            let (got, wanted) = (bytes.len() / 2, frame / 2);
            let what = format!("unexpected frame size {got}, when required {wanted}");
            return vec![Does::Cut(Some(what))];
        }
        if self.playing.len() >= BUFFER_MESSAGES {
            return vec![Does::Complaint("buffer is full, audio is lost".to_owned())];
        }
        self.playing.push_back(Waiting::Frame(bytes.to_vec()));
        Vec::new()
    }

    /// A text message.
    pub(super) fn text(&mut self, bytes: &[u8]) -> Vec<Does> {
        let message: Value = serde_json::from_slice(bytes).unwrap_or_default();
        match message["action"].as_str() {
            Some("clear") => {
                self.playing.clear();
                self.late.clear();
                vec![Does::Text(json!({"event": "websocket:cleared"}).to_string())]
            }
            Some("notify") if message["payload"].is_object() => {
                self.playing.push_back(Waiting::Notify(message["payload"].clone()));
                Vec::new()
            }
            _ => vec![Does::Complaint("a text message that means nothing".to_owned())],
        }
    }

    /// A key is pressed.
    pub(super) fn press(&self, digit: char) -> Does {
        let event = json!({"event": "websocket:dtmf", "digit": digit.to_string(), "duration": 260});
        Does::Text(event.to_string())
    }

    /// When to come back.
    pub(super) fn deadline(&self) -> Option<MonoTime> {
        let late = self.late.front().map(|(at, _)| *at);
        [self.tick, self.cut_at, late].into_iter().flatten().min()
    }

    /// Time passed.
    pub(super) fn timeout(&mut self, now: MonoTime, quirks: &Quirks) -> Vec<Does> {
        let mut does = Vec::new();
        if self.cut_at.is_some_and(|at| at <= now) {
            self.cut_at = None;
            does.push(Does::Cut(None));
            return does;
        }
        while self.late.front().is_some_and(|(at, _)| *at <= now) {
            does.extend(self.late.pop_front().map(|(_, text)| Does::Text(text)));
        }
        while let Some(tick) = self.tick.filter(|tick| *tick <= now) {
            self.tick = Some(tick + Duration::from_millis(PTIME_MS.into()));
            self.send(quirks, &mut does);
            self.play(now, quirks, &mut does);
        }
        does
    }

    /// Sends a frame of what the person says, or of silence.
    fn send(&mut self, quirks: &Quirks, does: &mut Vec<Does>) {
        let usual = self.frame_bytes();
        let bytes = quirks.frame_bytes.map_or(usual, |bytes| bytes as usize);
        let said = bytes.min(self.speaking.len());
        let mut frame: Vec<u8> = self.speaking.drain(..said).collect();
        frame.resize(bytes, 0);
        self.held.push(frame);
        if self.held.len() >= quirks.burst_frames.max(1) as usize {
            does.extend(self.held.drain(..).map(Does::Audio));
        }
    }

    /// Plays a frame, and echoes the notifications before and behind it.
    fn play(&mut self, now: MonoTime, quirks: &Quirks, does: &mut Vec<Does>) {
        self.echo(now, quirks, does);
        if let Some(Waiting::Frame(frame)) = self.playing.pop_front() {
            does.push(Does::Heard(frame));
        }
        self.echo(now, quirks, does);
    }

    fn echo(&mut self, now: MonoTime, quirks: &Quirks, does: &mut Vec<Does>) {
        while let Some(Waiting::Notify(payload)) = self.playing.front() {
            let text = json!({"event": "websocket:notify", "payload": payload}).to_string();
            self.playing.pop_front();
            match quirks.mark_delay_ms {
                _ if quirks.marks_lost => {}
                0 => does.push(Does::Text(text)),
                ms => self.late.push_back((now + Duration::from_millis(ms.into()), text)),
            }
        }
    }
}
