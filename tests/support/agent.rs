//! Agents for tests, over a WebSocket implementation that is not the server's.

use std::collections::VecDeque;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, WebSocket};
use tokio_tungstenite::tungstenite::{Error, HandshakeError, Message, accept_hdr, client};

use super::ear::Rtp;
use super::tls::{Link, Tls};
use super::until;

/// How long an agent waits for anything on a busy machine.
const SOON: Duration = Duration::from_secs(15);
/// How long one look at the socket takes.
const LOOK: Duration = Duration::from_millis(5);

/// Where agents are dialled.
#[derive(Debug)]
pub struct Agents {
    listener: TcpListener,
    tls: Option<Tls>,
}

impl Agents {
    /// Listens on a free port.
    pub fn listen() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        Self { listener, tls: None }
    }

    /// The same over TLS.
    pub fn listen_tls(tls: Tls) -> Self {
        Self { tls: Some(tls), ..Self::listen() }
    }

    /// The URL that reaches it.
    pub fn url(&self) -> String {
        let address = self.listener.local_addr().unwrap();
        match &self.tls {
            Some(tls) => format!("wss://{}:{}/agent", tls.name(), address.port()),
            None => format!("ws://{address}/agent"),
        }
    }

    /// Waits until the server dials, shakes hands and takes `start`.
    #[track_caller]
    pub fn accept(&self) -> Agent {
        until(SOON, "the server dials the agent", || self.try_accept())
    }

    /// Waits until the server dials; true if it then refuses to go on.
    #[track_caller]
    pub fn wait_refused(&self) -> bool {
        let (stream, _) = until(SOON, "the server dials the agent", || self.listener.accept().ok());
        stream.set_nonblocking(false).unwrap();
        stream.set_read_timeout(Some(SOON)).unwrap();
        let link = self.tls.as_ref().unwrap().accept(stream);
        tokio_tungstenite::tungstenite::accept(link).is_err()
    }

    /// Takes the server's connection if it has dialled by now.
    #[track_caller]
    pub fn try_accept(&self) -> Option<Agent> {
        let (stream, _) = self.listener.accept().ok()?;
        stream.set_nonblocking(false).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(SOON)).unwrap();
        let link = match &self.tls {
            Some(tls) => tls.accept(stream),
            None => Link::Plain(stream),
        };
        let mut request = None;
        #[expect(clippy::result_large_err, reason = "the library's signature")]
        let shake = |asked: &Request, mut answer: Response| {
            request = Some(asked.clone());
            if let Some(protocol) = asked.headers().get("sec-websocket-protocol") {
                answer.headers_mut().insert("sec-websocket-protocol", protocol.clone());
            }
            Ok(answer)
        };
        let socket = accept_hdr(link, shake).map_err(|error| error.to_string()).ok()?;
        Some(Agent::new(socket, request))
    }
}

/// An agent on one call.
#[derive(Debug)]
pub struct Agent {
    socket: WebSocket<Link>,
    /// The server's handshake, if it dialled.
    pub request: Option<Request>,
    /// The first message.
    pub start: Value,
    /// Frames that came, in order.
    pub frames: Vec<Rtp>,
    /// All events that came, in order.
    pub said: Vec<Value>,
    events: VecDeque<Value>,
    /// Close code, once the socket has been closed; 0 without one.
    closed: Option<u16>,
}

impl Agent {
    fn new(socket: WebSocket<Link>, request: Option<Request>) -> Self {
        socket.get_ref().tcp().set_read_timeout(Some(LOOK)).unwrap();
        let (frames, said, events) = (Vec::new(), Vec::new(), VecDeque::new());
        let start = Value::Null;
        let mut agent = Self { socket, request, start, frames, said, events, closed: None };
        agent.start = agent.next();
        assert_eq!(agent.start["event"], "start", "{}", agent.start);
        assert!(agent.frames.is_empty(), "audio before start");
        agent
    }

    /// Attaches to a call at the server's API; the HTTP status if that is refused.
    #[track_caller]
    pub fn attach(http: SocketAddr, call: &str, key: &str) -> Result<Self, u16> {
        let url = format!("ws://{http}/api/v1/calls/{call}/stream");
        let mut request = url.into_client_request().unwrap();
        let headers = request.headers_mut();
        headers.insert("authorization", format!("Bearer {key}").parse().unwrap());
        headers.insert("sec-websocket-protocol", "talkpath.v1".parse().unwrap());
        let stream = TcpStream::connect(http).unwrap();
        stream.set_read_timeout(Some(SOON)).unwrap();
        match client(request, Link::Plain(stream)) {
            Ok((socket, _)) => Ok(Self::new(socket, None)),
            Err(HandshakeError::Failure(Error::Http(refused))) => Err(refused.status().as_u16()),
            Err(error) => panic!("{error}"),
        }
    }

    /// Reads what is there, for a moment.
    #[track_caller]
    pub fn look(&mut self) {
        if self.closed == Some(0) {
            return;
        }
        match self.socket.read() {
            Ok(Message::Text(text)) => {
                let event: Value = serde_json::from_str(&text).unwrap();
                self.said.push(event.clone());
                self.events.push_back(event);
            }
            Ok(Message::Binary(frame)) => self.frames.push(Rtp::parse(Instant::now(), &frame)),
            Ok(Message::Close(frame)) => {
                self.closed = Some(frame.map_or(0, |frame| frame.code.into()));
            }
            Ok(_) => {}
            Err(Error::Io(error)) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(_) => {
                self.closed.get_or_insert(0);
            }
        }
    }

    /// The next event, whichever it is.
    #[track_caller]
    pub fn next(&mut self) -> Value {
        until(SOON, "an event", || {
            if self.events.is_empty() {
                self.look();
            }
            self.events.pop_front()
        })
    }

    /// The next event of this name; those of other names wait.
    #[track_caller]
    pub fn event(&mut self, name: &str) -> Value {
        until(SOON, name, || {
            self.look();
            let at = self.events.iter().position(|event| event["event"] == name);
            if at.is_none() && self.closed.is_some() {
                panic!("closed with {:?} before {name}: {:?}", self.closed, self.events);
            }
            self.events.remove(at?)
        })
    }

    /// The states of a transfer that it is told, up to and with `last`; the cause of that.
    #[track_caller]
    pub fn transfer_states(&mut self, last: &str) -> (Vec<String>, Value) {
        let mut states = Vec::new();
        loop {
            let event = self.event("transfer");
            states.push(event["state"].as_str().unwrap().to_owned());
            if event["state"] == last {
                return (states, event["cause"].clone());
            }
        }
    }

    /// Waits until `count` frames have come.
    #[track_caller]
    pub fn wait_frames(&mut self, count: usize) {
        until(SOON, "frames", || {
            self.look();
            (self.frames.len() >= count).then_some(())
        });
    }

    /// Waits until the server closes; the code, or 0 if it gave none.
    #[track_caller]
    pub fn wait_close(&mut self) -> u16 {
        until(SOON, "the server closes", || {
            self.look();
            self.closed
        })
    }

    /// The number of the stream.
    pub fn stream(&self) -> u64 {
        self.start["stream"].as_u64().unwrap()
    }

    /// Sends an event.
    pub fn say(&mut self, event: &Value) {
        self.text(&event.to_string());
    }

    /// Sends an event that has nothing but its name.
    pub fn order(&mut self, event: &str) {
        self.say(&json!({ "event": event }));
    }

    /// Sends text as it is.
    pub fn text(&mut self, text: &str) {
        self.socket.send(Message::text(text)).unwrap();
    }

    /// Sends a binary message as it is.
    pub fn binary(&mut self, bytes: Vec<u8>) {
        self.socket.send(Message::binary(bytes)).unwrap();
    }

    /// Sends audio of payload type `pt` in one frame.
    pub fn play(&mut self, pt: u8, audio: &[u8]) {
        let mut frame = vec![0x80, pt, 0, 0, 0, 0, 0, 0];
        frame.extend(u32::try_from(self.stream()).unwrap().to_be_bytes());
        frame.extend(audio);
        self.binary(frame);
    }

    /// Closes with 1000.
    pub fn close(&mut self) {
        let frame = CloseFrame { code: CloseCode::Normal, reason: "".into() };
        self.socket.close(Some(frame)).unwrap();
        let _ = self.socket.flush();
    }
}
