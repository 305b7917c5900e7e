//! Sockets that are offers: nothing tells of a call before its media socket, whose first message
//! says what a webhook of others does.
//!
//! The request that opens the socket is verified before it is answered. The first message is then
//! taken for the body of that request, and what follows is what follows from a webhook; a call that
//! is taken gets the socket as it was, first message and all. Any other conversation is led to its
//! end here, by the carrier's own dialect: one that tries the connection, one that makes no sense,
//! one about a call that nobody takes.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use adapters::agent::MessageKind;
use adapters::event::{CarrierCallId, Meaning};
use adapters::hook::{Handled, Hook};
use adapters::stream::{FrameSlot, Stream, StreamCommand, StreamStart};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::StatusCode;
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use media::time::MonoTime;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::{Received, act, capture, verified};
use crate::bridge::framing::{
    self, CLOSE_NORMAL, ControlFrame, Message, Opcode, Reader, append_frame,
};
use crate::bridge::handshake;
use crate::carrier::Account;
use crate::http::State;
use crate::http::api::attach;
use crate::http::problem::Problem;
use crate::telemetry::HookOutcome;
use crate::workers::poller::now;

/// Sockets at once that have not said what they are for.
const OPENINGS_MAX: usize = 512;
/// How long a socket may take to say it.
const FIRST_WITHIN: Duration = Duration::from_secs(5);
/// How long a conversation may take that leads to no call.
const TALK_WITHIN: Duration = Duration::from_secs(10);
/// Most bytes of the first message, and of its frame.
const FIRST_BYTES_MAX: usize = 64 * 1024;
const FRAME_BYTES_MAX: usize = FIRST_BYTES_MAX + framing::MAX_HEADER_BYTES;
/// Bytes that are read at a time.
const READ_BYTES: usize = 4 * 1024;
/// Seconds after which a carrier may try again.
const RETRY_AFTER_S: u32 = 5;

/// Room for sockets that have not said what they are for.
static OPENINGS: Semaphore = Semaphore::const_new(OPENINGS_MAX);

type Io = TokioIo<Upgraded>;

/// Opens the socket of a request that is the carrier's.
pub(super) fn open(
    state: &State,
    account: &Arc<Account>,
    hook: &'static Hook,
    (received, upgraded): (Received, OnUpgrade),
) -> Result<Response, Problem> {
    if let Err(refused) = verified(state, account, hook, &received) {
        return Ok(refused.into_response());
    }
    let parts = &received.parts;
    let checked = handshake::check_request(&parts.method, parts.version, &parts.headers, &[]);
    let upgrade = match checked {
        Ok(upgrade) => upgrade.response_headers(),
        Err(error) => return Ok(attach::refused(error)),
    };
    let Ok(opening) = OPENINGS.try_acquire() else {
        return Err(Problem::unavailable("too many sockets are opened", RETRY_AFTER_S));
    };
    let door = Door { state: state.clone(), account: Arc::clone(account), hook };
    tokio::spawn(async move {
        let opened = upgraded.await.map(TokioIo::new).map_err(io::Error::other);
        let led = match opened {
            Ok(io) => door.lead(io, received).await,
            Err(error) => Err(error),
        };
        if let Err(error) = led {
            tracing::debug!(%error, "a carrier went away while it offered a call");
        }
        drop(opening);
    });
    Ok((StatusCode::SWITCHING_PROTOCOLS, upgrade).into_response())
}

/// A place where sockets are offers.
struct Door {
    state: State,
    account: Arc<Account>,
    hook: &'static Hook,
}

/// What the first message comes to.
enum Offer {
    /// A call of ours.
    Taken(uuid::Uuid),
    /// A conversation without a call, of a session if it is known.
    Talk(Option<CarrierCallId>),
    /// A call that nobody takes.
    Refused(Option<CarrierCallId>),
}

impl Door {
    /// Leads a socket to its call, or to its end.
    async fn lead(self, mut io: Io, received: Received) -> io::Result<()> {
        let mut bytes = Vec::new();
        let first = timeout(FIRST_WITHIN, first(&mut io, &mut bytes)).await;
        let Some(first) = first.map_err(|_| io::ErrorKind::TimedOut)?? else {
            return Ok(());
        };
        let offer = self.offer(Received { body: Bytes::from(first), ..received }).await;
        let (call, refused) = match offer {
            Offer::Taken(call) => {
                self.hand_over(call, io, bytes).await;
                return Ok(());
            }
            Offer::Talk(call) => (call, false),
            Offer::Refused(call) => (call, true),
        };
        let start = StreamStart { config: self.account.config.clone(), call };
        let Some(stream) = self.account.spec.stream.map(|open| open(&start)) else {
            return Ok(());
        };
        let talk = Talk { stream, hangs_up: refused, reader: reader(), out: Vec::new() };
        timeout(TALK_WITHIN, talk.lead(&mut io, bytes)).await.unwrap_or(Ok(()))?;
        io.shutdown().await
    }

    /// What becomes of the call that the first message offers.
    async fn offer(&self, received: Received) -> Offer {
        let Self { state, account, hook } = self;
        let (provider, metrics) = (account.spec.name, &state.metrics.carriers);
        // The one address that its signature fits.
        let Ok(request) = verified(state, account, hook, &received) else {
            return Offer::Refused(None);
        };
        let handled = match (hook.handle)(&request, &account.config) {
            Ok(handled) => handled,
            Err(error) => {
                let configuration = account.id;
                tracing::warn!(provider, %configuration, %error, "not understood");
                metrics.hooked(provider, HookOutcome::Malformed);
                return Offer::Refused(None);
            }
        };
        let Handled { meaning: Meaning::Offered(offered), .. } = &handled else {
            metrics.hooked(provider, HookOutcome::Taken);
            return Offer::Talk(None);
        };
        let id = offered.call.clone();
        let (came, acted) = (now(), act::act(state, account, None, handled).await);
        capture(state, account, (&received, came), &acted);
        acted.call.map_or(Offer::Refused(Some(id)), Offer::Taken)
    }

    /// Gives a call its socket, with all that came on it.
    async fn hand_over(&self, call: uuid::Uuid, io: Io, mut bytes: Vec<u8>) {
        let socket = attach::socket(io.into_inner()).map(|mut socket| {
            bytes.append(&mut socket.unread);
            socket.unread = bytes;
            socket
        });
        let open = crate::calls::request::Request::LineOpen { call, socket };
        self.state.calls.send(open).await;
    }
}

const fn reader() -> Reader {
    Reader::with_limit(framing::Role::Server, FIRST_BYTES_MAX)
}

/// The first message, if there is one; all that came with it stays in `bytes`, as it came.
async fn first(io: &mut Io, bytes: &mut Vec<u8>) -> io::Result<Option<Vec<u8>>> {
    let (mut reader, mut room) = (reader(), [0; READ_BYTES]);
    while bytes.len() < FRAME_BYTES_MAX {
        let length = io.read(&mut room).await?;
        let came = room.get_mut(..length).unwrap_or_default();
        if came.is_empty() {
            return Ok(None);
        }
        // Whoever gets the socket reads it from the beginning, and reading takes the mask off.
        bytes.extend_from_slice(came);
        let mut input = framing::Input::new(came);
        while let Some(message) = reader.next(&mut input).map_err(io::Error::other)? {
            match message {
                Message::Data(MessageKind::Text, text) => return Ok(Some(text.to_vec())),
                Message::Data(MessageKind::Binary, _) => return Ok(Some(Vec::new())),
                Message::Close { .. } => return Ok(None),
                Message::Ping(_) | Message::Pong(_) => {}
            }
        }
    }
    Ok(None)
}

/// Reads more; 0 at the end.
async fn more(io: &mut Io, bytes: &mut Vec<u8>) -> io::Result<usize> {
    let mut room = [0; READ_BYTES];
    let length = io.read(&mut room).await?;
    bytes.extend_from_slice(room.get(..length).unwrap_or_default());
    Ok(length)
}

/// A conversation that leads to no call.
struct Talk {
    stream: Box<dyn Stream>,
    /// It is over as soon as the first message was heard.
    hangs_up: bool,
    reader: Reader,
    out: Vec<u8>,
}

impl Talk {
    /// Answers what comes until the carrier closes.
    async fn lead(mut self, io: &mut Io, mut bytes: Vec<u8>) -> io::Result<()> {
        loop {
            let goes_on = self.answer(&mut bytes);
            io.write_all(&std::mem::take(&mut self.out)).await?;
            io.flush().await?;
            bytes.clear();
            if !goes_on || more(io, &mut bytes).await? == 0 {
                return Ok(());
            }
        }
    }

    /// Appends the answers to what came; false once it is over.
    fn answer(&mut self, bytes: &mut [u8]) -> bool {
        let Self { stream, hangs_up, reader, out } = self;
        let mut input = framing::Input::new(bytes);
        let mut room = vec![0; FIRST_BYTES_MAX];
        let say = |text: &[u8], kind: MessageKind, out: &mut Vec<u8>| {
            let opcode = match kind {
                MessageKind::Text => Opcode::Text,
                MessageKind::Binary => Opcode::Binary,
            };
            append_frame(out, opcode, text, None);
        };
        loop {
            match reader.next(&mut input) {
                Ok(None) => return true,
                Ok(Some(Message::Data(kind, message))) => {
                    let mut slot = FrameSlot::new(&mut room);
                    // What is wrong with it is said in the answer.
                    drop(stream.decode(MonoTime::ZERO, kind, message, &mut slot));
                    let mut text = Vec::new();
                    if std::mem::take(hangs_up)
                        && let Some(kind) = stream.command(StreamCommand::Hangup, &mut text)
                    {
                        say(&text, kind, out);
                        text.clear();
                    }
                    if let Some(kind) = stream.reply(&mut text) {
                        say(&text, kind, out);
                    }
                }
                Ok(Some(Message::Ping(payload))) => {
                    out.extend_from_slice(ControlFrame::pong(payload, None).as_bytes());
                }
                Ok(Some(Message::Pong(_))) => {}
                Ok(Some(Message::Close { code, .. })) => {
                    let code = code.unwrap_or(CLOSE_NORMAL);
                    out.extend_from_slice(ControlFrame::close(code, "", None).as_bytes());
                    return false;
                }
                Err(_) => {
                    let close = ControlFrame::close(CLOSE_NORMAL, "", None);
                    out.extend_from_slice(close.as_bytes());
                    return false;
                }
            }
        }
    }
}
