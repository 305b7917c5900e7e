//! One connection: a stream of messages, or a WebSocket with a message each.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::hurry::Hurry;
use super::streams::StreamEvent;
use super::websocket;
use crate::sip::core::stream::{StreamDecoder, StreamItem};

/// How often a connection that we opened is kept alive (RFC 5626 4.4.1: well below the two minutes
/// after which address translators forget).
pub const KEEP_ALIVE: Duration = Duration::from_secs(25);
/// How long the answer to that may take, from a peer that has answered before (RFC 5626 4.4.1).
pub const PONG_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a peer may take to read what is written at once; one that does not read is gone.
pub const WRITE_TIMEOUT: Duration = Duration::from_secs(10);
/// Read buffer of one connection, in bytes.
pub(super) const READ_BUFFER_BYTES: usize = 4 * 1024;

/// Anything that bytes can be read from and written to.
pub trait Io: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}
/// A connection beneath SIP: TCP, or TLS over it.
pub type BoxedIo = Box<dyn Io>;

/// How messages lie in a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// One behind the other, as Content-Length says (RFC 3261 18.3).
    Stream,
    /// One in each WebSocket message (RFC 7118 5).
    WebSocket,
}

/// Who opened a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opener {
    /// We did, and keep it alive.
    Us,
    /// The peer did.
    Peer,
}

/// What a connection's tasks need.
pub(super) struct Run {
    pub(super) connection: u64,
    pub(super) framing: Framing,
    pub(super) opener: Opener,
    pub(super) unread: Vec<u8>,
    pub(super) writes: mpsc::Receiver<Bytes>,
    pub(super) events: mpsc::Sender<StreamEvent>,
}

impl Run {
    /// Carries messages until the connection ends, then tells so.
    pub(super) async fn run(self, io: BoxedIo) {
        let (connection, events) = (self.connection, self.events.clone());
        let ended = match self.framing {
            Framing::Stream => self.stream(io).await,
            Framing::WebSocket => websocket::run(self, io).await,
        };
        if let Err(error) = ended {
            tracing::debug!(%error, "SIP connection failed");
        }
        let _ = events.send(StreamEvent::Closed { connection }).await;
    }

    async fn stream(self, io: BoxedIo) -> io::Result<()> {
        let (input, output) = tokio::io::split(io);
        let (answers, answer_queue) = mpsc::channel(1);
        let (pongs, pong_queue) = mpsc::channel(1);
        let hurry = Hurry::new(Instant::now(), self.opener == Opener::Peer);
        let reader = read(input, hurry, self.connection, self.events, answers, pongs);
        let writer = write(output, self.writes, answer_queue, pong_queue, self.opener);
        tokio::select! {
            ended = reader => ended,
            ended = writer => ended,
        }
    }
}

/// Reads messages. A ping asks the writer for its answer; a pong is told to it.
async fn read(
    mut input: ReadHalf<BoxedIo>,
    mut hurry: Hurry,
    connection: u64,
    events: mpsc::Sender<StreamEvent>,
    answers: mpsc::Sender<()>,
    pongs: mpsc::Sender<()>,
) -> io::Result<()> {
    let mut decoder = StreamDecoder::new();
    let mut buffer = vec![0; READ_BUFFER_BYTES];
    loop {
        let read = input.read(&mut buffer);
        let length = tokio::time::timeout_at(hurry.deadline(), read).await??;
        if length == 0 {
            return Ok(());
        }
        decoder.push(buffer.get(..length).unwrap_or_default());
        let mut whole = false;
        while let Some(item) = decoder.next().map_err(io::Error::other)? {
            whole = true;
            match item {
                StreamItem::Message(message) => {
                    if events.send(StreamEvent::Message { connection, message }).await.is_err() {
                        return Ok(());
                    }
                }
                // RFC 5626 3.5.1: a ping is answered; one answer for many is enough.
                StreamItem::Ping => drop(answers.try_send(())),
                StreamItem::Pong => drop(pongs.try_send(())),
                StreamItem::Malformed(error) => tracing::debug!(%error, "malformed SIP message"),
            }
        }
        hurry.heard(Instant::now(), whole, decoder.buffered_bytes() > 0);
    }
}

/// Writes messages, answers of pings, and pings of our own.
async fn write(
    mut output: WriteHalf<BoxedIo>,
    mut writes: mpsc::Receiver<Bytes>,
    mut answers: mpsc::Receiver<()>,
    mut pongs: mpsc::Receiver<()>,
    opener: Opener,
) -> io::Result<()> {
    let mut ping_at = Instant::now() + KEEP_ALIVE;
    // A peer that never answers does not know of pings; one that stops answering is gone.
    let mut answers_pings = false;
    let mut pong_by = None;
    loop {
        let due = pong_by.unwrap_or(ping_at);
        tokio::select! {
            message = writes.recv() => match message {
                Some(message) => put(&mut output, &message).await?,
                None => return close(&mut output).await,
            },
            Some(()) = answers.recv() => put(&mut output, b"\r\n").await?,
            Some(()) = pongs.recv() => (answers_pings, pong_by) = (true, None),
            () = tokio::time::sleep_until(due), if opener == Opener::Us => {
                if pong_by.is_some() {
                    return Err(io::Error::other("the peer does not answer pings any more"));
                }
                put(&mut output, b"\r\n\r\n").await?;
                ping_at = Instant::now() + KEEP_ALIVE;
                pong_by = answers_pings.then(|| Instant::now() + PONG_TIMEOUT);
            }
        }
    }
}

/// Writes, in the time that a peer has.
pub(super) async fn put(output: &mut (impl AsyncWrite + Unpin), bytes: &[u8]) -> io::Result<()> {
    let written = async {
        output.write_all(bytes).await?;
        // A TLS stream keeps what was written until it is told to let go.
        output.flush().await
    };
    tokio::time::timeout(WRITE_TIMEOUT, written).await?
}

/// Ends what we write, in the time that a peer has.
pub(super) async fn close(output: &mut (impl AsyncWrite + Unpin)) -> io::Result<()> {
    tokio::time::timeout(WRITE_TIMEOUT, output.shutdown()).await?
}
