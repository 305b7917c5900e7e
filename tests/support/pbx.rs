//! The media connections of a PBX, written from their descriptions and not from our code.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Error, HandshakeError, Message, WebSocket, client};

use super::until;

/// How long something may take on a busy machine.
const SOON: Duration = Duration::from_secs(15);
/// How long one look at a socket takes.
const LOOK: Duration = Duration::from_millis(2);

/// Linear samples, least significant byte first.
pub fn samples(bytes: &[u8]) -> Vec<i16> {
    bytes.chunks_exact(2).map(|pair| i16::from_le_bytes([pair[0], pair[1]])).collect()
}

/// The bytes of samples.
pub fn bytes(samples: &[i16]) -> Vec<u8> {
    samples.iter().flat_map(|sample| sample.to_le_bytes()).collect()
}

/// A message that came by AudioSocket.
#[derive(Clone, Debug)]
pub struct Came {
    pub at: Instant,
    pub kind: u8,
    pub payload: Vec<u8>,
}

/// A connection of AudioSocket.
#[derive(Debug)]
pub struct Bare {
    stream: TcpStream,
    unread: Vec<u8>,
    /// Messages that came, in order.
    pub came: Vec<Came>,
    /// The far end has closed.
    pub closed: bool,
}

impl Bare {
    /// Connects and says `uuid`.
    #[track_caller]
    pub fn connect(to: SocketAddr, uuid: &str) -> Self {
        let mut bare = Self::silent(to);
        let digits: Vec<u8> =
            uuid.chars().filter_map(|c| c.to_digit(16)).map(|digit| digit as u8).collect();
        let uuid: Vec<u8> = digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect();
        bare.say(0x01, &uuid);
        bare
    }

    /// Connects and says nothing.
    #[track_caller]
    pub fn silent(to: SocketAddr) -> Self {
        let stream = TcpStream::connect(to).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(LOOK)).unwrap();
        Self { stream, unread: Vec::new(), came: Vec::new(), closed: false }
    }

    /// Sends a message.
    #[track_caller]
    pub fn say(&mut self, kind: u8, payload: &[u8]) {
        let [high, low] = u16::try_from(payload.len()).unwrap().to_be_bytes();
        let message = [&[kind, high, low], payload].concat();
        self.raw(&message);
    }

    /// Sends bytes.
    pub fn raw(&mut self, bytes: &[u8]) {
        // It may have been closed meanwhile, which is seen when it is read.
        let _ = self.stream.write_all(bytes);
    }

    /// Reads what is there, for a moment.
    pub fn look(&mut self) {
        let mut buffer = [0; 16_384];
        match self.stream.read(&mut buffer) {
            Ok(0) => self.closed = true,
            Ok(length) => self.unread.extend_from_slice(&buffer[..length]),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(_) => self.closed = true,
        }
        while let [kind, high, low, rest @ ..] = self.unread.as_slice() {
            let length = usize::from(u16::from_be_bytes([*high, *low]));
            let Some(payload) = rest.get(..length) else { return };
            let came = Came { at: Instant::now(), kind: *kind, payload: payload.to_vec() };
            self.came.push(came);
            self.unread.drain(..3 + length);
        }
    }

    /// Looks until `find` finds something in what came.
    #[track_caller]
    pub fn wait<T>(&mut self, what: &str, find: impl Fn(&[Came]) -> Option<T>) -> T {
        until(SOON, what, || {
            self.look();
            find(&self.came)
        })
    }

    /// Waits until it was told to hang up and the connection was closed.
    #[track_caller]
    pub fn wait_hung_up(&mut self) {
        until(SOON, "the connection is closed", || {
            self.look();
            self.closed.then_some(())
        });
        let last = self.came.last().map(|came| came.kind);
        assert_eq!(last, Some(0), "it is told to hang up");
    }

    /// The samples of what came with this kind.
    pub fn heard(&self, kind: u8) -> Vec<i16> {
        let audio = self.came.iter().filter(|came| came.kind == kind);
        audio.flat_map(|came| samples(&came.payload)).collect()
    }

    /// Breaks off: what came and was not read is lost, which the far end is told by a reset.
    #[track_caller]
    pub fn break_off(self) {
        until(SOON, "something that is not read", || {
            self.stream.peek(&mut [0]).is_ok_and(|length| length > 0).then_some(())
        });
    }

    /// Says that nothing more comes.
    pub fn close(&mut self) {
        self.stream.shutdown(Shutdown::Both).unwrap();
    }
}

/// What came by a media WebSocket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    Audio(Vec<u8>),
    Text(String),
    Ping,
    Close(u16),
}

/// A media WebSocket.
#[derive(Debug)]
pub struct Media {
    socket: WebSocket<TcpStream>,
    /// The subprotocol that was agreed on.
    pub subprotocol: Option<String>,
    /// All that came, in order.
    pub said: Vec<Said>,
    /// When each of it came.
    pub at: Vec<Instant>,
    texts: VecDeque<String>,
    closed: bool,
}

impl Media {
    /// Opens `path` at `to` with these headers; the HTTP status if that is refused.
    #[track_caller]
    pub fn open(to: SocketAddr, path: &str, headers: &[(&'static str, &str)]) -> Result<Self, u16> {
        let mut request = format!("ws://{to}{path}").into_client_request().unwrap();
        request.headers_mut().insert("sec-websocket-protocol", "media".parse().unwrap());
        for (name, value) in headers {
            request.headers_mut().insert(*name, value.parse().unwrap());
        }
        let stream = TcpStream::connect(to).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(SOON)).unwrap();
        let (socket, answer) = match client(request, stream) {
            Ok(opened) => opened,
            Err(HandshakeError::Failure(Error::Http(refused))) => {
                return Err(refused.status().as_u16());
            }
            Err(error) => panic!("{error}"),
        };
        socket.get_ref().set_read_timeout(Some(LOOK)).unwrap();
        let subprotocol = answer.headers().get("sec-websocket-protocol");
        let subprotocol = subprotocol.map(|name| name.to_str().unwrap().to_owned());
        let (said, at, texts) = (Vec::new(), Vec::new(), VecDeque::new());
        Ok(Self { socket, subprotocol, said, at, texts, closed: false })
    }

    /// Sends text.
    #[track_caller]
    pub fn text(&mut self, text: &str) {
        self.socket.send(Message::text(text)).unwrap();
    }

    /// Sends audio.
    #[track_caller]
    pub fn audio(&mut self, audio: &[u8]) {
        self.socket.send(Message::binary(audio.to_vec())).unwrap();
    }

    /// Reads what is there, for a moment.
    pub fn look(&mut self) {
        if self.closed {
            return;
        }
        let said = match self.socket.read() {
            Ok(Message::Text(text)) => {
                self.texts.push_back(text.to_string());
                Said::Text(text.to_string())
            }
            Ok(Message::Binary(audio)) => Said::Audio(audio.to_vec()),
            Ok(Message::Ping(_)) => Said::Ping,
            Ok(Message::Close(frame)) => Said::Close(frame.map_or(1005, |frame| frame.code.into())),
            Ok(_) => return,
            Err(Error::Io(error)) if error.kind() == ErrorKind::WouldBlock => return,
            Err(_) => {
                self.closed = true;
                return;
            }
        };
        self.said.push(said);
        self.at.push(Instant::now());
    }

    /// The next text.
    #[track_caller]
    pub fn next_text(&mut self) -> String {
        until(SOON, "a text", || {
            self.look();
            self.texts.pop_front()
        })
    }

    /// Looks until `find` finds something in what came.
    #[track_caller]
    pub fn wait<T>(&mut self, what: &str, find: impl Fn(&[Said]) -> Option<T>) -> T {
        until(SOON, what, || {
            self.look();
            find(&self.said)
        })
    }

    /// The audio that came.
    pub fn heard(&self) -> Vec<u8> {
        let audio = self.said.iter().filter_map(|said| match said {
            Said::Audio(audio) => Some(audio.clone()),
            _ => None,
        });
        audio.flatten().collect()
    }

    /// Breaks the connection.
    pub fn cut(&mut self) {
        self.socket.get_ref().shutdown(Shutdown::Both).unwrap();
    }
}
