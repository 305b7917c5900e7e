//! Everything that happens, as it happens: server-sent events.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Extension;
use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::{HeaderMap, header};
use hyper::body::{Body as HttpBody, Frame};
use serde::Deserialize;
use serde_json::json;
use tokio::sync::mpsc;
use tokio::time::Instant;
use uuid::Uuid;

use super::{RETRY_AFTER_S, written};
use crate::http::auth::Caller;
use crate::http::openapi::{Query as Parameter, Resource, get, schema};
use crate::http::page::Query;
use crate::http::problem::{Kind, Problem};
use crate::http::session::Session;
use crate::http::standing::Standing;
use crate::http::streams::Place;
use crate::keys::Scope;
use crate::outbox::{EventView, is_event_pattern, wants};
use crate::store::{OrganisationId, Store, StoreError};

/// Events that are read from the store at once.
const READ_MAX: u32 = 256;
/// Pieces of a stream that wait for its reader.
const PIECES_MAX: usize = 16;
/// How often a stream looks into the store at most, in milliseconds.
const LOOK_MIN_MS: u64 = 50;
/// How often it looks where other nodes write too, in milliseconds.
const LOOK_SHARED_MS: u64 = 1_000;
/// After how much silence a comment is sent, so that nobody in between hangs up: in milliseconds.
const KEEP_ALIVE_MS: u64 = 15_000;
/// How often it is looked whether the key of a stream still holds, in milliseconds.
const KEY_LOOK_MS: u64 = 2_000;
/// How long a stream lasts, in seconds: whoever reads on shows its key again.
const STREAM_S: u64 = 3_600;

pub(super) fn resource() -> Resource {
    let parameter = |name, schema, description| Parameter { name, schema, description };
    Resource {
        tag: "events",
        about: "Everything that happens, as it happens.",
        endpoints: vec![
            get("/api/v1/events", "stream_events", stream)
                .summary("Streams events. `Last-Event-ID` goes on where a stream before ended.")
                .scope(Scope::Read)
                .query(vec![
                    parameter("after", schema::count(), "begins behind the event of this id"),
                    parameter("types", schema::text(255), "only these, as `call.ended,call.*`"),
                    parameter("call_id", schema::format("uuid"), "only of this call"),
                ])
                .answers_with(200, "the events", "text/event-stream", json!({"type": "string"}))
                .refuses(&[Kind::Unavailable]),
        ],
        schemas: Vec::new(),
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct StreamQuery {
    after: Option<i64>,
    types: Option<String>,
    call_id: Option<Uuid>,
}

/// `GET /api/v1/events`
async fn stream(
    State(state): State<crate::http::State>,
    caller: Caller,
    session: Option<Extension<Session>>,
    headers: HeaderMap,
    Query(query): Query<StreamQuery>,
) -> Result<Response, Problem> {
    let types = query.types.as_deref().unwrap_or("*").split(',').map(str::trim);
    let types: Vec<String> = types.map(str::to_owned).collect();
    if let Some(wrong) = types.iter().find(|kind| !is_event_pattern(kind)) {
        return Err(Problem::bad_field(
            "types",
            format!("{wrong:?} is no type such as call.ended or call.*"),
        ));
    }
    let last = match headers.get("last-event-id") {
        None => None,
        Some(id) => {
            let id = id.to_str().ok().and_then(|id| id.parse::<i64>().ok());
            Some(id.ok_or_else(|| Problem::bad_field("Last-Event-ID", "none of ours"))?)
        }
    };
    let full = || Problem::unavailable("no room for another stream", RETRY_AFTER_S);
    let room = state.streams.take(caller.organisation).ok_or_else(full)?;
    let after = match last.or(query.after) {
        Some(after) => after,
        None => {
            written(&state).await?;
            state.store.last_event(caller.organisation).await?
        }
    };
    let (pieces, body) = mpsc::channel(PIECES_MAX);
    let reader = Reader {
        store: state.store.clone(),
        organisation: caller.organisation,
        standing: Standing::of(caller, session.as_deref()),
        after,
        types,
        call: query.call_id,
        pieces,
        _room: room,
    };
    tokio::spawn(reader.run(state));
    let head = [
        (header::CONTENT_TYPE, "text/event-stream"),
        (header::CACHE_CONTROL, "no-store"),
        (header::HeaderName::from_static("x-accel-buffering"), "no"),
    ];
    Ok((head, Body::new(Pieces(body))).into_response())
}

/// Reads the events of one stream.
struct Reader {
    store: Store,
    organisation: OrganisationId,
    /// By what it listens.
    standing: Standing,
    after: i64,
    types: Vec<String>,
    call: Option<Uuid>,
    pieces: mpsc::Sender<Bytes>,
    _room: Place,
}

impl Reader {
    /// Streams until the reader goes away, its key holds no longer, the server drains or the time
    /// is over.
    async fn run(mut self, state: crate::http::State) {
        let mut commits = state.commits.clone();
        let mut drain = state.drain.clone();
        let end = Instant::now() + Duration::from_secs(STREAM_S);
        let keep_alive = Duration::from_millis(KEEP_ALIVE_MS);
        let look = match self.store.is_shared() {
            true => Duration::from_millis(LOOK_SHARED_MS),
            false => keep_alive,
        };
        let key_look = Duration::from_millis(KEY_LOOK_MS);
        let (mut said_at, mut held_at) = (Instant::now(), Instant::now());
        if !self.say(": events follow\n\n").await {
            return;
        }
        loop {
            if held_at + key_look <= Instant::now() {
                match self.standing.holds(&self.store).await {
                    Ok(true) => held_at = Instant::now(),
                    Ok(false) => return,
                    Err(error) => return tracing::warn!(%error, "a stream of events ends"),
                }
            }
            commits.mark_unchanged();
            match self.pass_on().await {
                Ok(Some(true)) => said_at = Instant::now(),
                Ok(Some(false)) => {}
                Ok(None) => return,
                Err(error) => {
                    tracing::warn!(%error, "a stream of events ends");
                    return;
                }
            }
            if said_at + keep_alive <= Instant::now() {
                if !self.say(":\n\n").await {
                    return;
                }
                said_at = Instant::now();
            }
            tokio::time::sleep(Duration::from_millis(LOOK_MIN_MS)).await;
            let wake = (said_at + keep_alive).min(Instant::now() + look).min(end);
            let wake = wake.min(held_at + key_look);
            tokio::select! {
                changed = commits.changed() => if changed.is_err() { return },
                () = tokio::time::sleep_until(wake) => {}
                () = self.pieces.closed() => return,
                _ = drain.wait_for(|drain| *drain) => return,
            }
            if end <= Instant::now() {
                return;
            }
        }
    }

    /// Passes on all that is new. Whether there was anything; `None` if nobody listens any more.
    async fn pass_on(&mut self) -> Result<Option<bool>, StoreError> {
        let mut any = false;
        loop {
            let events = self.store.events(self.organisation, self.after, READ_MAX).await?;
            let Some(last) = events.last().map(|event| event.id) else { return Ok(Some(any)) };
            let mut text = String::new();
            for event in &events {
                let view = EventView::of(event);
                if self.call.is_some_and(|call| call != event.call)
                    || !wants(&self.types, &view.kind)
                {
                    continue;
                }
                let data = serde_json::to_string(&view);
                let data = data.map_err(|_| StoreError::Corrupt { what: "data" })?;
                let (id, kind) = (&view.id, &view.kind);
                text.push_str(&format!("id: {id}\nevent: {kind}\ndata: {data}\n\n"));
            }
            self.after = last;
            if !text.is_empty() {
                any = true;
                if !self.say(text).await {
                    return Ok(None);
                }
            }
            if events.len() < READ_MAX as usize {
                return Ok(Some(any));
            }
        }
    }

    /// True if somebody listens.
    async fn say(&self, text: impl Into<Bytes>) -> bool {
        self.pieces.send(text.into()).await.is_ok()
    }
}

/// A body that is made while it is read.
struct Pieces(mpsc::Receiver<Bytes>);

impl HttpBody for Pieces {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        self.0.poll_recv(cx).map(|piece| piece.map(|piece| Ok(Frame::data(piece))))
    }
}
