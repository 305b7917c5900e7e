//! Agents whose calls share one socket, over a WebSocket implementation that is not the server's.

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, WebSocket};
use tokio_tungstenite::tungstenite::{Error, HandshakeError, Message, accept_hdr, client};

use super::ear::Rtp;
use super::until;

/// How long an agent waits for anything on a busy machine.
const SOON: Duration = Duration::from_secs(15);
/// How long one look at the socket takes.
const LOOK: Duration = Duration::from_millis(1);

/// Where the server dials such an agent.
#[derive(Debug)]
pub struct Links(TcpListener);

impl Links {
    /// Listens on a free port.
    pub fn listen() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        Self(listener)
    }

    /// The URL that reaches it.
    pub fn url(&self) -> String {
        format!("ws://{}/agent", self.0.local_addr().unwrap())
    }

    /// Waits until the server dials, and shakes hands. With `echoes` what is heard is said back.
    #[track_caller]
    pub fn accept(&self, echoes: bool) -> Linked {
        let stream = until(SOON, "the server dials the link", || self.0.accept().ok()).0;
        stream.set_nonblocking(false).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(SOON)).unwrap();
        let mut request = None;
        #[expect(clippy::result_large_err, reason = "the library's signature")]
        let shake = |asked: &Request, mut answer: Response| {
            request = Some(asked.clone());
            let protocol = asked.headers()["sec-websocket-protocol"].clone();
            answer.headers_mut().insert("sec-websocket-protocol", protocol);
            Ok(answer)
        };
        let socket = accept_hdr(stream, shake).unwrap();
        Linked { request, ..Linked::new(socket, echoes) }
    }

    /// True if the server has dialled.
    pub fn is_dialled(&self) -> bool {
        self.0.accept().is_ok()
    }
}

/// One stream of a link.
#[derive(Debug, Default)]
pub struct Stream {
    /// Its first message.
    pub start: Value,
    /// All events behind it, in order.
    pub events: Vec<Value>,
    /// Frames that came, in order.
    pub frames: Vec<Rtp>,
}

#[derive(Debug, Default)]
struct State {
    streams: BTreeMap<u64, Stream>,
    /// Frames in each binary message.
    messages: Vec<usize>,
    /// Events of no stream.
    link: Vec<Value>,
    closed: Option<u16>,
}

enum Out {
    Say(Message),
    Break,
}

/// An agent on a link. A thread of it reads all the time.
pub struct Linked {
    /// The server's handshake, if it dialled.
    pub request: Option<Request>,
    state: Arc<Mutex<State>>,
    out: Sender<Out>,
}

impl Linked {
    fn new(socket: WebSocket<TcpStream>, echoes: bool) -> Self {
        socket.get_ref().set_read_timeout(Some(LOOK)).unwrap();
        let state = Arc::<Mutex<State>>::default();
        let (out, orders) = channel();
        let shared = Arc::clone(&state);
        std::thread::spawn(move || talk(socket, &shared, &orders, echoes));
        Self { request: None, state, out }
    }

    /// Attaches as `agent` at the server's API; the HTTP status if that is refused.
    #[track_caller]
    pub fn attach(http: SocketAddr, agent: &str, key: &str) -> Result<Self, u16> {
        let url = format!("ws://{http}/api/v1/agents/{agent}/link");
        let mut request = url.into_client_request().unwrap();
        let headers = request.headers_mut();
        headers.insert("authorization", format!("Bearer {key}").parse().unwrap());
        headers.insert("sec-websocket-protocol", "talkpath.v1.mux".parse().unwrap());
        let stream = TcpStream::connect(http).unwrap();
        stream.set_read_timeout(Some(SOON)).unwrap();
        match client(request, stream) {
            Ok((socket, _)) => Ok(Self::new(socket, false)),
            Err(HandshakeError::Failure(Error::Http(refused))) => Err(refused.status().as_u16()),
            Err(error) => panic!("{error}"),
        }
    }

    /// Waits until a stream of a call to `to` has started; its number.
    #[track_caller]
    pub fn stream_to(&self, to: &str) -> u64 {
        until(SOON, "a stream starts", || {
            let state = self.state.lock().unwrap();
            let mut streams = state.streams.iter();
            streams.find(|(_, stream)| stream.start["to"] == to).map(|(number, _)| *number)
        })
    }

    /// Looks at a stream.
    pub fn with<T>(&self, stream: u64, look: impl FnOnce(&Stream) -> T) -> T {
        look(&self.state.lock().unwrap().streams[&stream])
    }

    /// Waits for an event of this name on a stream.
    #[track_caller]
    pub fn event(&self, stream: u64, name: &str) -> Value {
        until(SOON, name, || {
            self.with(stream, |it| it.events.iter().find(|it| it["event"] == name).cloned())
        })
    }

    /// Waits until so many frames of a stream have come.
    #[track_caller]
    pub fn wait_frames(&self, stream: u64, count: usize) {
        let come = || self.with(stream, |it| (it.frames.len() >= count).then_some(()));
        until(SOON, "frames", come);
    }

    /// How many streams have started.
    pub fn started(&self) -> usize {
        self.state.lock().unwrap().streams.len()
    }

    /// How many frames each binary message has held.
    pub fn messages(&self) -> Vec<usize> {
        self.state.lock().unwrap().messages.clone()
    }

    /// Events of no stream.
    pub fn told(&self) -> Vec<Value> {
        self.state.lock().unwrap().link.clone()
    }

    /// Waits until the server closes the link; the code, or 0 if it gave none.
    #[track_caller]
    pub fn wait_close(&self) -> u16 {
        until(SOON, "the server closes the link", || self.state.lock().unwrap().closed)
    }

    /// Sends an event of a stream.
    pub fn say(&self, stream: u64, mut event: Value) {
        event["stream"] = json!(stream);
        self.text(&event.to_string());
    }

    /// Sends text as it is.
    pub fn text(&self, text: &str) {
        self.out.send(Out::Say(Message::text(text))).unwrap();
    }

    /// Sends a binary message as it is.
    pub fn binary(&self, bytes: Vec<u8>) {
        self.out.send(Out::Say(Message::binary(bytes))).unwrap();
    }

    /// Sends audio of several streams in one message.
    pub fn play(&self, pieces: &[(u64, &[u8])]) {
        let mut message = Vec::new();
        for (stream, audio) in pieces {
            let length = u16::try_from(audio.len() + 12).unwrap();
            message.extend(length.to_be_bytes());
            message.extend([0x80, 0, 0, 0, 0, 0, 0, 0]);
            message.extend(u32::try_from(*stream).unwrap().to_be_bytes());
            message.extend(*audio);
        }
        self.binary(message);
    }

    /// Closes the link with a code.
    pub fn close(&self, code: u16) {
        let frame = CloseFrame { code: code.into(), reason: "".into() };
        self.out.send(Out::Say(Message::Close(Some(frame)))).unwrap();
    }

    /// Breaks the connection, without a close frame.
    pub fn break_off(self) {
        self.out.send(Out::Break).unwrap();
        until(SOON, "the link breaks", || self.state.lock().unwrap().closed);
    }
}

fn talk(
    mut socket: WebSocket<TcpStream>,
    state: &Mutex<State>,
    orders: &Receiver<Out>,
    echoes: bool,
) {
    loop {
        while let Ok(order) = orders.try_recv() {
            match order {
                Out::Say(message) => drop(socket.send(message)),
                Out::Break => {
                    state.lock().unwrap().closed = Some(0);
                    return;
                }
            }
        }
        match socket.read() {
            Ok(Message::Binary(message)) => {
                if echoes {
                    let _ = socket.send(Message::Binary(message.clone()));
                }
                state.lock().unwrap().heard(&message);
            }
            Ok(Message::Text(text)) => state.lock().unwrap().told(&text),
            Ok(Message::Close(frame)) => {
                let code = frame.map_or(0, |frame| frame.code.into());
                state.lock().unwrap().closed.get_or_insert(code);
            }
            Ok(_) => {}
            Err(Error::Io(error)) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(_) => {
                state.lock().unwrap().closed.get_or_insert(0);
                return;
            }
        }
    }
}

impl State {
    fn heard(&mut self, mut message: &[u8]) {
        let mut count = 0;
        while let Some((length, rest)) = message.split_first_chunk::<2>() {
            let (frame, rest) = rest.split_at(usize::from(u16::from_be_bytes(*length)));
            let rtp = Rtp::parse(Instant::now(), frame);
            let stream = self.streams.get_mut(&u64::from(rtp.ssrc)).expect("audio before start");
            stream.frames.push(rtp);
            (message, count) = (rest, count + 1);
        }
        assert!(message.is_empty());
        self.messages.push(count);
    }

    fn told(&mut self, text: &str) {
        let event: Value = serde_json::from_str(text).unwrap();
        let number = event["stream"].as_u64().expect("every event has its stream");
        match number {
            0 => self.link.push(event),
            _ if event["event"] == "start" => {
                // One that begins again keeps what was said before.
                self.streams.entry(number).or_default().start = event;
            }
            _ => self.streams.get_mut(&number).expect("start is first").events.push(event),
        }
    }
}
