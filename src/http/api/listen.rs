//! Listening in on a living call, over a WebSocket that carries sound one way.

use std::io;
use std::time::Duration;

use axum::Extension;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::time::{Instant, MissedTickBehavior};
use uuid::Uuid;

use super::{RETRY_AFTER_S, attach, gone, owned};
use crate::agent::wire::CloseCode;
use crate::bridge::framing::{
    CLOSE_NORMAL, ControlFrame, Input, MAX_HEADER_BYTES, Message, Opcode, Reader, Role, seal,
};
use crate::bridge::handshake;
use crate::http::auth::Caller;
use crate::http::openapi::{Query as Parameter, Resource, get, schema};
use crate::http::page::Query;
use crate::http::path::Path;
use crate::http::problem::{Kind, Problem};
use crate::http::seat::Seat;
use crate::http::session::Session;
use crate::http::socket::Socket;
use crate::http::standing::Standing;
use crate::keys::Scope;
use crate::recording::{Live, Sides};
use crate::store::{Audit, Store};
use crate::workers::poller::now;

/// How often a listener is sent what there is to be heard, in milliseconds.
const SEND_MS: u64 = 20;
/// How long a listener may take nothing, in milliseconds: whoever is stuck keeps no place.
const STALL_MAX_MS: u64 = 10_000;
/// How often it is looked whether a listener's key still holds, in milliseconds.
const KEY_LOOK_MS: u64 = 2_000;
/// Longest message of a listener, who has nothing to say, in bytes.
const MESSAGE_BYTES_MAX: usize = 1_024;
/// Bytes of a listener that are read at a time.
const INPUT_BYTES: usize = 1_024;

pub(super) fn resource() -> Resource {
    Resource {
        tag: "listening in",
        about: "The sound of a living call, for people.",
        endpoints: vec![
            get("/api/v1/calls/{id}/listen", "listen_in", listen)
                .summary("Lets somebody hear both sides of a living call, over a WebSocket.")
                .scope(Scope::Calls)
                .query(vec![Parameter {
                    name: "channels",
                    schema: schema::integer(1, 2),
                    description: "2: the peer on the left, what it hears on the right; 1: mixed",
                }])
                .answers(101, "the sound of the call follows")
                .refuses(&[Kind::Csrf, Kind::Conflict, Kind::NotUpgrade, Kind::Unavailable]),
        ],
        schemas: Vec::new(),
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ListenQuery {
    channels: Option<u8>,
}

impl ListenQuery {
    fn sides(&self) -> Result<Sides, Problem> {
        match self.channels {
            None | Some(2) => Ok(Sides::Apart),
            Some(1) => Ok(Sides::Mixed),
            Some(_) => Err(Problem::bad_field("channels", "neither 1 nor 2")),
        }
    }
}

/// `GET /api/v1/calls/{id}/listen`, upgraded to a WebSocket.
async fn listen(
    State(state): State<crate::http::State>,
    caller: Caller,
    session: Option<Extension<Session>>,
    Path(call): Path<Uuid>,
    Query(query): Query<ListenQuery>,
    mut request: Request,
) -> Result<Response, Problem> {
    let sides = query.sides()?;
    owned(&state, caller.organisation, call).await?;
    let checked =
        handshake::check_request(request.method(), request.version(), request.headers(), &[]);
    let upgrade = match checked {
        Ok(upgrade) => upgrade,
        Err(error) => return Ok(attach::refused(error)),
    };
    let full = || Problem::unavailable("no room for another listener", RETRY_AFTER_S);
    let room = state.listeners.take(caller.organisation).ok_or_else(full)?;
    let (seat, listening) = Seat::take(&state.calls, call, room).await.ok_or_else(gone)??;
    // Nobody listens without a trace.
    let entry = Audit::new(caller.organisation, &caller.actor(), "listen", "call", call);
    state.store.audit(&entry).await?;
    state.metrics.listening.started.inc();
    let live = Live::new(listening.frames, listening.rate_hz, listening.began, sides);
    let standing = Standing::of(caller, session.as_deref());
    let upgraded = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        let socket = match upgraded.await.map(socket) {
            Ok(Some(socket)) => socket,
            Ok(None) => return tracing::error!("a listener's socket was lost"),
            Err(error) => return tracing::debug!(%error, "a listener went away"),
        };
        let mut listener = Listener::new(seat, standing, live, socket);
        if let Err(error) = listener.run(&state.store, sides).await {
            tracing::debug!(%error, "a listener's connection broke");
        }
        state.metrics.listening.lost.add(listener.live.lost());
    });
    Ok((StatusCode::SWITCHING_PROTOCOLS, upgrade.response_headers()).into_response())
}

/// The connection beneath an upgrade, and what it gave besides.
fn socket(upgraded: Upgraded) -> Option<(Socket, Vec<u8>)> {
    let parts = upgraded.downcast::<TokioIo<Socket>>().ok()?;
    Some((parts.io.into_inner(), parts.read_buf.to_vec()))
}

/// Somebody who listens in.
struct Listener {
    seat: Seat,
    standing: Standing,
    live: Live,
    from: ReadHalf<Socket>,
    to: WriteHalf<Socket>,
    unread: Vec<u8>,
    reader: Reader,
    message: Vec<u8>,
}

/// Writes to a listener who takes it in time.
async fn write(to: &mut WriteHalf<Socket>, bytes: &[u8]) -> io::Result<()> {
    let written = async {
        to.write_all(bytes).await?;
        to.flush().await
    };
    tokio::time::timeout(Duration::from_millis(STALL_MAX_MS), written).await?
}

impl Listener {
    fn new(
        seat: Seat,
        standing: Standing,
        live: Live,
        (socket, unread): (Socket, Vec<u8>),
    ) -> Self {
        let (from, to) = tokio::io::split(socket);
        let reader = Reader::with_limit(Role::Server, MESSAGE_BYTES_MAX);
        Self { seat, standing, live, from, to, unread, reader, message: Vec::new() }
    }

    /// Sends what there is to be heard until the call is over, the listener goes away or its key
    /// holds no longer.
    async fn run(&mut self, store: &Store, sides: Sides) -> io::Result<()> {
        let (rate_hz, channels) = (self.live.rate_hz(), sides.channels());
        self.tell(&json!({
            "event": "start", "call_id": self.seat.call(), "codec": "l16le", "rate_hz": rate_hz,
            "channels": channels,
        }))
        .await?;
        let mut unread = std::mem::take(&mut self.unread);
        if self.hear(&mut unread).await? {
            return Ok(());
        }
        let mut ticks = tokio::time::interval(Duration::from_millis(SEND_MS));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let key_look = Duration::from_millis(KEY_LOOK_MS);
        let mut held_at = Instant::now();
        let mut input = [0; INPUT_BYTES];
        loop {
            tokio::select! {
                _ = ticks.tick() => {
                    // Asked before what is left is taken: nothing comes after it.
                    let is_over = self.live.is_over();
                    self.sound(is_over).await?;
                    if is_over {
                        let lost = self.live.lost();
                        self.tell(&json!({"event": "stop", "lost_frames": lost})).await?;
                        return self.close(CLOSE_NORMAL).await;
                    }
                }
                read = self.from.read(&mut input) => {
                    let length = read?;
                    let bytes = input.get_mut(..length).unwrap_or_default();
                    if length == 0 || self.hear(bytes).await? {
                        return Ok(());
                    }
                }
            }
            if held_at + key_look <= Instant::now() {
                match self.standing.holds(store).await {
                    Ok(true) => held_at = Instant::now(),
                    Ok(false) => return self.close(CloseCode::Unauthorized.code()).await,
                    Err(error) => return Err(io::Error::other(error)),
                }
            }
        }
    }

    /// Sends what there is to be heard.
    async fn sound(&mut self, is_over: bool) -> io::Result<()> {
        self.message.clear();
        self.message.resize(MAX_HEADER_BYTES, 0);
        match is_over {
            false => self.live.hear(now(), &mut self.message),
            true => self.live.finish(now(), &mut self.message),
        }
        if self.message.len() == MAX_HEADER_BYTES {
            return Ok(());
        }
        let frame = seal(&mut self.message, Opcode::Binary, None);
        write(&mut self.to, frame).await
    }

    /// Takes what a listener sends, who has nothing to say; true if that is the end.
    async fn hear(&mut self, bytes: &mut [u8]) -> io::Result<bool> {
        let mut input = Input::new(bytes);
        loop {
            let (answer, is_end) = match self.reader.next(&mut input) {
                Ok(None) => return Ok(false),
                Ok(Some(Message::Data(..) | Message::Pong(_))) => continue,
                Ok(Some(Message::Ping(payload))) => (ControlFrame::pong(payload, None), false),
                // RFC 6455 5.5.1: a close is answered with the same code.
                Ok(Some(Message::Close { code, .. })) => {
                    (ControlFrame::close(code.unwrap_or(CLOSE_NORMAL), "", None), true)
                }
                Err(error) => (ControlFrame::close(error.close_code(), "", None), true),
            };
            write(&mut self.to, answer.as_bytes()).await?;
            if is_end {
                return Ok(true);
            }
        }
    }

    async fn tell(&mut self, event: &serde_json::Value) -> io::Result<()> {
        self.message.clear();
        self.message.resize(MAX_HEADER_BYTES, 0);
        self.message.extend_from_slice(event.to_string().as_bytes());
        let frame = seal(&mut self.message, Opcode::Text, None);
        write(&mut self.to, frame).await
    }

    async fn close(&mut self, code: u16) -> io::Result<()> {
        write(&mut self.to, ControlFrame::close(code, "", None).as_bytes()).await?;
        self.to.shutdown().await
    }
}
