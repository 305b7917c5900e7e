//! A carrier that does not exist, at the far end of a media socket: it speaks the dialect of the
//! conformance battery, written from its messages and not from the code that reads them.

#[path = "../../adapters/tests/support/acme/stream.rs"]
mod dialect;

use std::collections::VecDeque;
use std::io::ErrorKind;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use adapters::config::RawConfig;
use adapters::stream::{Stream, StreamStart};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use talkpath::agent::socket::{AgentSocket, Role};
use tokio_tungstenite::tungstenite::protocol::Role as Side;
use tokio_tungstenite::tungstenite::{Error, Message, WebSocket};

use crate::support::until;

/// How long something may take on a busy machine.
const SOON: Duration = Duration::from_secs(15);
/// How long it is looked for messages at a time.
const LOOK: Duration = Duration::from_millis(10);

/// A frame that the carrier was sent.
#[derive(Clone, Debug)]
pub struct Frame {
    /// When it came.
    pub at: Instant,
    /// Its audio.
    pub payload: Vec<u8>,
}

/// The carrier's end of a media socket.
#[derive(Debug)]
pub struct Carrier {
    socket: WebSocket<TcpStream>,
    /// Audio that came, in order.
    pub frames: Vec<Frame>,
    /// Marks come back at once.
    pub answers_marks: bool,
    said: VecDeque<Value>,
    closed: Option<u16>,
    next: u64,
}

/// A stream of the dialect, as the server would open it.
pub fn stream() -> Box<dyn Stream> {
    dialect::open(&StreamStart { config: RawConfig::default(), call: None })
}

impl Carrier {
    /// Opens a media socket: the carrier's end, and the server's with its handshake done.
    pub fn open() -> (Self, AgentSocket) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let far = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (near, _) = listener.accept().unwrap();
        for stream in [&far, &near] {
            stream.set_nodelay(true).unwrap();
        }
        let socket =
            AgentSocket { stream: near, tls: None, unread: Vec::new(), role: Role::Server };
        (Self::on(WebSocket::from_raw_socket(far, Side::Client, None)), socket)
    }

    /// The carrier's end of a WebSocket that is open.
    pub fn on(socket: WebSocket<TcpStream>) -> Self {
        socket.get_ref().set_read_timeout(Some(LOOK)).unwrap();
        Self {
            socket,
            frames: Vec::new(),
            answers_marks: true,
            said: VecDeque::new(),
            closed: None,
            next: 0,
        }
    }

    /// Says one message.
    pub fn say(&mut self, message: &Value) {
        self.text(&message.to_string());
    }

    /// Says one text.
    pub fn text(&mut self, text: &str) {
        let _ = self.socket.send(Message::text(text));
    }

    /// Says that the stream is ready.
    pub fn hello(&mut self, call: &str) {
        self.say(&json!({"type": "hello", "stream": "s1", "call": call, "codec": "PCMU"}));
    }

    /// Says the next 20 ms of audio, numbered and timed.
    pub fn speak(&mut self, payload: &[u8]) {
        let (seq, data) = (self.next, STANDARD.encode(payload));
        self.next += 1;
        self.say(&json!({"type": "audio", "data": data, "seq": seq, "ts": seq * 160}));
    }

    /// Loses so many frames.
    pub fn lose(&mut self, frames: u64) {
        self.next += frames;
    }

    /// Reads what is there, for a moment.
    pub fn look(&mut self) {
        loop {
            let message = match self.socket.read() {
                Ok(message) => message,
                Err(Error::Io(error)) if error.kind() == ErrorKind::WouldBlock => return,
                Err(_) => {
                    self.closed.get_or_insert(0);
                    return;
                }
            };
            match message {
                Message::Text(text) => self.take(&serde_json::from_str(&text).unwrap()),
                Message::Close(frame) => {
                    self.closed = Some(frame.map_or(0, |frame| frame.code.into()));
                    return;
                }
                _ => {}
            }
        }
    }

    fn take(&mut self, message: &Value) {
        match message["type"].as_str().unwrap() {
            "play" => {
                let payload = STANDARD.decode(message["data"].as_str().unwrap()).unwrap();
                self.frames.push(Frame { at: Instant::now(), payload });
            }
            "mark" if self.answers_marks => {
                self.say(&json!({"type": "mark", "name": message["name"]}));
                self.said.push_back(message.clone());
            }
            _ => self.said.push_back(message.clone()),
        }
    }

    /// Reads until a message of this type, which is returned; audio is kept, others are forgotten.
    #[track_caller]
    pub fn hear(&mut self, kind: &str) -> Value {
        until(SOON, kind, || {
            self.look();
            while let Some(message) = self.said.pop_front() {
                if message["type"] == kind {
                    return Some(message);
                }
            }
            None
        })
    }

    /// Reads until so many frames have come.
    #[track_caller]
    pub fn wait_frames(&mut self, count: usize) {
        until(SOON, "frames", || {
            self.look();
            (self.frames.len() >= count).then_some(())
        });
    }

    /// Reads until the socket is closed; its code, 0 without one.
    #[track_caller]
    pub fn wait_close(&mut self) -> u16 {
        until(SOON, "the end of the socket", || {
            self.look();
            self.closed
        })
    }

    /// What the carrier was sent of audio, in one piece.
    pub fn heard(&self) -> Vec<u8> {
        self.frames.iter().flat_map(|frame| frame.payload.iter().copied()).collect()
    }

    /// Fails if at any moment more had come than has been played, and `depth_ms` beyond.
    #[track_caller]
    pub fn assert_paced(&self, depth_ms: u64) {
        let Some(first) = self.frames.first() else { return };
        let mut came_ms = 0;
        for frame in &self.frames {
            came_ms += frame.payload.len() as u64 / 8;
            let passed_ms = frame.at.duration_since(first.at).as_millis() as u64;
            // What comes late only makes this easier to keep, but for the first.
            assert!(came_ms <= depth_ms + passed_ms + 21, "{came_ms} ms after {passed_ms} ms");
        }
    }
}
