//! A WebSocket that we open to a carrier, or a carrier to us, for text alone: handshake, frames,
//! and signs of life.

use std::io;
use std::time::Duration;

use adapters::agent::MessageKind;
use adapters::exchange::HttpRequest;
use http::{Request, StatusCode, Uri, header};
use http_body_util::Empty;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, timeout, timeout_at};

use super::connect::Connector;
use crate::bridge::framing::{
    CLOSE_NORMAL, ControlFrame, FrameError, Input, Message, Opcode, Reader, Role, append_frame,
};
use crate::bridge::handshake::{ClientKey, HandshakeError};
use crate::bridge::mask::MaskKeys;

/// How long it may take until the socket is open, in milliseconds.
const OPEN_MS: u64 = 10_000;
/// How long nothing may come until the carrier is asked whether it is there, in milliseconds.
const PING_AFTER_MS: u64 = 12_000;
/// How long it may take to answer, in milliseconds.
const PONG_MS: u64 = 5_000;
/// How long a frame of ours may take to be sent, in milliseconds.
const WRITE_MS: u64 = 5_000;
/// How long the carrier may take to hear that we close, in milliseconds: by then another server may
/// have the socket.
const CLOSE_MS: u64 = 1_000;
/// Longest message, in bytes: those about bridges name all that is in them.
const MESSAGE_BYTES_MAX: usize = 1024 * 1024;
/// The same where answers come over the socket: lists of all channels are among them.
const ANSWER_BYTES_MAX: usize = 8 * MESSAGE_BYTES_MAX;
/// What is read at a time, in bytes.
const READ_BYTES: usize = 64 * 1024;

/// Why a socket is not there, or not any more.
#[derive(Debug, thiserror::Error)]
pub(super) enum SocketError {
    /// The address is none.
    #[error("the address of the socket is none")]
    Address,
    /// Nobody is there, or it must not be reached.
    #[error("cannot connect: {0}")]
    Connect(#[source] io::Error),
    /// The exchange failed.
    #[error("handshake: {0}")]
    Http(#[from] hyper::Error),
    /// The carrier does not want it.
    #[error("handshake: {0}")]
    Handshake(#[from] HandshakeError),
    /// It took too long.
    #[error("the carrier took too long")]
    Timeout,
    /// The connection broke.
    #[error("the connection broke: {0}")]
    Broken(#[from] io::Error),
    /// What came was no frame.
    #[error("not a frame: {0}")]
    Frame(#[from] FrameError),
    /// The carrier closed it.
    #[error("closed by the carrier")]
    Closed,
}

impl SocketError {
    /// True if trying again will not help as long as nobody changes anything.
    pub(super) fn is_lasting(&self) -> bool {
        match self {
            Self::Address => true,
            Self::Handshake(HandshakeError::Status(status)) => {
                let passing = [StatusCode::REQUEST_TIMEOUT, StatusCode::TOO_MANY_REQUESTS];
                status.is_client_error() && !passing.contains(status)
            }
            _ => false,
        }
    }
}

/// An open socket.
pub(super) struct Socket {
    io: TokioIo<Upgraded>,
    /// Ours, where we are the client.
    masks: Option<MaskKeys>,
    reader: Reader,
    buffer: Vec<u8>,
    heard_at: Instant,
    pinged_at: Option<Instant>,
}

impl Socket {
    /// Opens it.
    pub(super) async fn open(
        connector: Connector,
        wanted: &HttpRequest,
    ) -> Result<Self, SocketError> {
        let opening = async {
            let url = wanted.url.replacen("ws", "http", 1);
            let url: Uri = url.parse().map_err(|_| SocketError::Address)?;
            let mut seed = [0; 32];
            let mut nonce = [0; 16];
            for random in [&mut seed[..], &mut nonce[..]] {
                let filled = getrandom::fill(random);
                filled.map_err(|e| SocketError::Connect(io::Error::other(e.to_string())))?;
            }
            let key = ClientKey::new(nonce);
            let link = connector.connect(url.clone()).await.map_err(SocketError::Connect)?;
            let request = request(&url, wanted, &key).ok_or(SocketError::Address)?;
            let (mut sender, connection) =
                hyper::client::conn::http1::handshake(TokioIo::new(link)).await?;
            tokio::spawn(connection.with_upgrades());
            let response = sender.send_request(request).await?;
            key.check_response(response.status(), response.headers(), &[])?;
            let io = TokioIo::new(hyper::upgrade::on(response).await?);
            let masks = Some(MaskKeys::new(seed));
            let reader = Reader::with_limit(Role::Client, MESSAGE_BYTES_MAX);
            let (buffer, heard_at) = (vec![0; READ_BYTES], Instant::now());
            Ok(Self { io, masks, reader, buffer, heard_at, pinged_at: None })
        };
        let limit = Duration::from_millis(OPEN_MS);
        timeout(limit, opening).await.unwrap_or(Err(SocketError::Timeout))
    }

    /// One that the carrier has opened.
    pub(super) fn accepted(upgraded: Upgraded) -> Self {
        Self {
            io: TokioIo::new(upgraded),
            masks: None,
            reader: Reader::with_limit(Role::Server, ANSWER_BYTES_MAX),
            buffer: vec![0; READ_BYTES],
            heard_at: Instant::now(),
            pinged_at: None,
        }
    }

    fn mask(&mut self) -> Option<[u8; 4]> {
        self.masks.as_mut().map(MaskKeys::next_key)
    }

    /// Sends a text.
    async fn say(&mut self, text: &str) -> Result<(), SocketError> {
        let (mut frame, mask) = (Vec::with_capacity(text.len() + 16), self.mask());
        append_frame(&mut frame, Opcode::Text, text.as_bytes(), mask);
        self.write(&frame).await
    }

    /// Waits for what comes next, and hands each text to `take`; sends what `next` yields if that
    /// is earlier. May be dropped while it waits.
    pub(super) async fn read(
        &mut self,
        next: impl Future<Output = String>,
        mut take: impl FnMut(&[u8]),
    ) -> Result<(), SocketError> {
        let due = match self.pinged_at {
            Some(at) => at + Duration::from_millis(PONG_MS),
            None => self.heard_at + Duration::from_millis(PING_AFTER_MS),
        };
        let read = tokio::select! {
            read = timeout_at(due, self.io.read(&mut self.buffer)) => read,
            text = next => return self.say(&text).await,
        };
        let Ok(read) = read else {
            if self.pinged_at.is_some() {
                return Err(SocketError::Timeout);
            }
            self.pinged_at = Some(Instant::now());
            let ping = ControlFrame::ping(b"", self.mask());
            return self.write(ping.as_bytes()).await;
        };
        let length = read?;
        if length == 0 {
            return Err(SocketError::Closed);
        }
        (self.heard_at, self.pinged_at) = (Instant::now(), None);
        let mut pongs = Vec::new();
        let mut is_closed = false;
        let mut input = Input::new(self.buffer.get_mut(..length).unwrap_or(&mut []));
        while let Some(message) = self.reader.next(&mut input)? {
            match message {
                Message::Data(MessageKind::Text, text) => take(text),
                Message::Ping(payload) => {
                    let mask = self.masks.as_mut().map(MaskKeys::next_key);
                    let pong = ControlFrame::pong(payload, mask);
                    pongs.extend_from_slice(pong.as_bytes());
                }
                Message::Close { .. } => is_closed = true,
                Message::Data(..) | Message::Pong(_) => {}
            }
        }
        if is_closed {
            return Err(SocketError::Closed);
        }
        if pongs.is_empty() { Ok(()) } else { self.write(&pongs).await }
    }

    async fn write(&mut self, bytes: &[u8]) -> Result<(), SocketError> {
        let written = timeout(Duration::from_millis(WRITE_MS), self.io.write_all(bytes)).await;
        Ok(written.map_err(|_| SocketError::Timeout)??)
    }

    /// Closes it in order, as far as the carrier listens.
    pub(super) async fn close(mut self) {
        let close = ControlFrame::close(CLOSE_NORMAL, "", self.mask());
        let said = timeout(Duration::from_millis(CLOSE_MS), self.write(close.as_bytes())).await;
        // Whether it hears that or not, we are gone.
        drop(said);
    }
}

fn request(
    url: &Uri,
    wanted: &HttpRequest,
    key: &ClientKey,
) -> Option<Request<Empty<&'static [u8]>>> {
    let path = url.path_and_query().map_or("/", |path| path.as_str());
    let mut request = Request::get(path)
        .header(header::HOST, url.authority()?.as_str())
        .header(header::USER_AGENT, concat!("talkpath/", env!("CARGO_PKG_VERSION")));
    let headers = request.headers_mut()?;
    headers.extend(wanted.headers.clone());
    headers.extend(key.request_headers(&[]));
    request.body(Empty::new()).ok()
}
