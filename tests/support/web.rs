//! Web pages for tests: a telephone, and somebody who listens in, over a WebSocket implementation
//! that is not the server's.

use std::collections::VecDeque;
use std::io::ErrorKind;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Error, HandshakeError, Message, WebSocket, client};

use super::server::Server;
use super::{until, wav};

/// How long something may take on a busy machine.
const SOON: Duration = Duration::from_secs(15);
/// How long one look at the socket takes.
const LOOK: Duration = Duration::from_millis(2);
/// Length of the messages of audio that a page sends.
const FRAME_MS: u32 = 20;

/// A page with a socket that carries sound.
#[derive(Debug)]
pub struct Page {
    socket: WebSocket<TcpStream>,
    /// Samples a second.
    pub rate_hz: u32,
    /// Samples that came, in order.
    pub heard: Vec<i16>,
    /// Lengths of the messages that they came in, in bytes.
    pub lengths: Vec<usize>,
    said: VecDeque<Value>,
    closed: Option<u16>,
}

impl Page {
    /// Opens a socket with these headers; the HTTP status if that is refused.
    #[track_caller]
    pub fn open(
        server: &Server,
        path: &str,
        headers: &[(&'static str, &str)],
    ) -> Result<Self, u16> {
        let url = format!("ws://{}{path}", server.http);
        let mut request = url.into_client_request().unwrap();
        for (name, value) in headers {
            request.headers_mut().insert(*name, value.parse().unwrap());
        }
        let stream = TcpStream::connect(server.http).unwrap();
        stream.set_read_timeout(Some(SOON)).unwrap();
        let socket = match client(request, stream) {
            Ok((socket, _)) => socket,
            Err(HandshakeError::Failure(Error::Http(refused))) => {
                return Err(refused.status().as_u16());
            }
            Err(error) => panic!("{error}"),
        };
        socket.get_ref().set_read_timeout(Some(LOOK)).unwrap();
        let (heard, lengths, said) = (Vec::new(), Vec::new(), VecDeque::new());
        Ok(Self { socket, rate_hz: 0, heard, lengths, said, closed: None })
    }

    /// Begins a call, as its page; what the API answered besides.
    #[track_caller]
    pub fn call(server: &Server, wanted: &Value) -> (Self, Value) {
        let (status, body) = server.http("POST", "/api/v1/phone", Some(wanted));
        assert_eq!(status, 201, "{body}");
        let line: Value = serde_json::from_str(&body).unwrap();
        let mut page = Self::open(server, line["path"].as_str().unwrap(), &[]).unwrap();
        page.rate_hz = u32::try_from(line["format"]["rate_hz"].as_u64().unwrap()).unwrap();
        page.say(&json!({"event": "start"}));
        (page, line)
    }

    /// Listens in on a call; the HTTP status if that is refused.
    #[track_caller]
    pub fn listen(server: &Server, call: &str, channels: u32) -> Result<Self, u16> {
        let key = format!("Bearer {}", server.key);
        Self::listen_with(server, call, channels, &[("authorization", &key)])
    }

    /// The same with these headers.
    #[track_caller]
    pub fn listen_with(
        server: &Server,
        call: &str,
        channels: u32,
        headers: &[(&'static str, &str)],
    ) -> Result<Self, u16> {
        let path = format!("/api/v1/calls/{call}/listen?channels={channels}");
        let mut page = Self::open(server, &path, headers)?;
        let start = page.hear("start");
        assert_eq!((&start["call_id"], &start["codec"]), (&json!(call), &json!("l16le")));
        assert_eq!(start["channels"], channels);
        page.rate_hz = u32::try_from(start["rate_hz"].as_u64().unwrap()).unwrap();
        Ok(page)
    }

    /// Sends an event.
    pub fn say(&mut self, event: &Value) {
        let _ = self.socket.send(Message::text(event.to_string()));
    }

    /// Says a tone of `hz` in real time.
    #[track_caller]
    pub fn speak(&mut self, hz: f64, seconds: f64) {
        let samples = wav::sine_at(hz, self.rate_hz, seconds);
        let began = Instant::now();
        for (n, frame) in samples.chunks((self.rate_hz / 1_000 * FRAME_MS) as usize).enumerate() {
            let due = Duration::from_millis(n as u64 * u64::from(FRAME_MS));
            until(SOON, "the next frame", || {
                self.look();
                (began.elapsed() >= due).then_some(())
            });
            let bytes: Vec<u8> = frame.iter().flat_map(|sample| sample.to_le_bytes()).collect();
            self.socket.send(Message::binary(bytes)).unwrap();
        }
    }

    /// Reads what is there, for a moment.
    pub fn look(&mut self) {
        loop {
            match self.socket.read() {
                Ok(Message::Text(text)) => {
                    self.said.push_back(serde_json::from_str(&text).unwrap());
                }
                Ok(Message::Binary(bytes)) => {
                    let samples = bytes.chunks_exact(2);
                    self.heard.extend(samples.map(|pair| i16::from_le_bytes([pair[0], pair[1]])));
                    self.lengths.push(bytes.len());
                }
                Ok(Message::Close(frame)) => {
                    self.closed = Some(frame.map_or(0, |frame| frame.code.into()));
                }
                Ok(_) => {}
                Err(Error::Io(error)) if error.kind() == ErrorKind::WouldBlock => return,
                Err(_) => {
                    self.closed.get_or_insert(0);
                    return;
                }
            }
        }
    }

    /// Reads until an event of this name comes; others are forgotten.
    #[track_caller]
    pub fn hear(&mut self, event: &str) -> Value {
        until(SOON, event, || {
            self.look();
            while let Some(said) = self.said.pop_front() {
                if said["event"] == event {
                    return Some(said);
                }
            }
            None
        })
    }

    /// Reads until so many seconds have come of `channels` channels.
    #[track_caller]
    pub fn wait_heard(&mut self, seconds: f64, channels: usize) {
        let count = (seconds * f64::from(self.rate_hz)) as usize * channels;
        until(SOON, "sound", || {
            self.look();
            (self.heard.len() >= count).then_some(())
        });
    }

    /// Reads until the server closes; its code, 0 without one.
    #[track_caller]
    pub fn wait_close(&mut self) -> u16 {
        until(SOON, "the server closes", || {
            self.look();
            self.closed
        })
    }

    /// Closes as a page does that goes away.
    pub fn close(&mut self) {
        let frame = CloseFrame { code: CloseCode::Away, reason: "".into() };
        let _ = self.socket.close(Some(frame));
        let _ = self.socket.flush();
    }

    /// One of `channels` channels, at 8,000 Hz.
    pub fn channel(&self, which: usize, channels: usize) -> Vec<i16> {
        let own: Vec<i16> = self.heard.chunks_exact(channels).map(|moment| moment[which]).collect();
        let every = (self.rate_hz / wav::RATE_HZ) as usize;
        let mean = |part: &[i16]| {
            let sum: i32 = part.iter().map(|sample| i32::from(*sample)).sum();
            (sum / i32::try_from(every).unwrap()) as i16
        };
        own.chunks_exact(every).map(mean).collect()
    }
}
