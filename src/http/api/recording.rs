//! Recordings over HTTP.

use std::fs::File;
use std::io::Read;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::header;
use hyper::body::{Body as HttpBody, Frame};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use uuid::Uuid;

use super::{RETRY_AFTER_S, gone, owned};
use crate::calls::request;
use crate::http::auth::Caller;
use crate::http::body::Json;
use crate::http::openapi::{Resource, get, post, schema};
use crate::http::path::Path;
use crate::http::problem::{Kind, Problem};
use crate::keys::Scope;
use crate::recording::{Found, Order};
use crate::shares::{Share, Shares};

/// Bytes of a recording that are read at a time.
const CHUNK_BYTES: usize = 64 * 1024;
/// Chunks that wait for a client.
const CHUNKS_MAX: usize = 2;
/// Recordings that are fetched at once: each has a thread for as long as its client takes.
const FETCHES_MAX: usize = 64;
/// Those of one organisation.
const FETCHES_PER_ORGANISATION_MAX: usize = 16;

static FETCHES: Shares = Shares::new(FETCHES_MAX, FETCHES_PER_ORGANISATION_MAX);

pub(super) fn resource() -> Resource {
    let body = schema::object(
        &[("state", schema::word(&["start", "stop", "pause", "resume"]))],
        &[(
            "at",
            schema::described(
                schema::word(&["server", "carrier"]),
                "who records: this server unless the carrier is asked to, which only starts and \
                 stops, and keeps what it records",
            ),
        )],
    );
    Resource {
        tag: "recordings",
        about: "The sound of calls.",
        endpoints: vec![
            post("/api/v1/calls/{id}/record", "record_call", record)
                .summary("Records a call, or changes how it is recorded.")
                .retryable()
                .scope(Scope::Calls)
                .json(body)
                .answers_json(
                    200,
                    "how the recording stands",
                    schema::object(&[("state", schema::text(32))], &[]),
                )
                .refuses(&[Kind::Conflict, Kind::Unavailable]),
            get("/api/v1/calls/{id}/recording", "fetch_recording", fetch)
                .summary("Fetches the recording of a call that is over.")
                .scope(Scope::Read)
                .answers_with(
                    200,
                    "WAV, the peer on the left, the agent on the right",
                    "audio/wav",
                    schema::format("binary"),
                )
                .refuses(&[Kind::Conflict, Kind::Unavailable]),
        ],
        schemas: Vec::new(),
    }
}

/// What is wanted of a recording.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    state: String,
    #[serde(default)]
    at: At,
}

/// Who records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum At {
    #[default]
    Server,
    Carrier,
}

/// How a recording stands.
#[derive(Debug, Serialize)]
struct Recording {
    state: &'static str,
}

/// `POST /api/v1/calls/{id}/record`
async fn record(
    State(state): State<crate::http::State>,
    caller: Caller,
    Path(call): Path<Uuid>,
    Json(wanted): Json<Wanted>,
) -> Result<axum::Json<Recording>, Problem> {
    let order = Order::from_word(&wanted.state).ok_or_else(|| {
        Problem::none_of("state", ["start", "stop", "pause", "resume"].into_iter())
    })?;
    owned(&state, caller.organisation, call).await?;
    if wanted.at == At::Carrier {
        let on = match order {
            Order::Start => true,
            Order::Stop => false,
            Order::Pause | Order::Resume => {
                return Err(Problem::bad_field("state", "a carrier starts and stops, no more"));
            }
        };
        let asked = |reply| request::Request::RecordAtCarrier { call, on, reply };
        state.calls.ask(asked).await.ok_or_else(gone)??;
        return Ok(axum::Json(Recording { state: if on { "recording" } else { "stopped" } }));
    }
    let recorded = state.calls.ask(|reply| request::Request::Record { call, order, reply }).await;
    let recording = recorded.ok_or_else(gone)??;
    Ok(axum::Json(Recording { state: recording.as_str() }))
}

/// `GET /api/v1/calls/{id}/recording`
async fn fetch(
    State(state): State<crate::http::State>,
    caller: Caller,
    Path(call): Path<Uuid>,
) -> Result<Response, Problem> {
    owned(&state, caller.organisation, call).await?;
    let busy = || Problem::unavailable("as many recordings are fetched as may", RETRY_AFTER_S);
    let share = FETCHES.take(caller.organisation.0).ok_or_else(busy)?;
    let store = state.recordings.clone();
    let found = tokio::task::spawn_blocking(move || store.find(call)).await;
    let path = match found.unwrap_or(Found::Nothing) {
        Found::File(path) => path,
        Found::Open => return Err(Problem::conflict("the call is being recorded")),
        Found::Nothing => return Err(Problem::not_found("the call has no recording")),
    };
    let missing = |_| Problem::not_found("the call has no recording");
    let file = File::open(path).map_err(missing)?;
    let length = file.metadata().map_err(missing)?.len();
    let head = [
        (header::CONTENT_TYPE, "audio/wav".to_owned()),
        (header::CONTENT_LENGTH, length.to_string()),
    ];
    Ok((head, Body::new(FileBody::read(file, share))).into_response())
}

/// A file on its way to a client, read by a thread that may wait for the disk.
struct FileBody(mpsc::Receiver<std::io::Result<Bytes>>);

impl FileBody {
    fn read(mut file: File, share: Share) -> Self {
        let (sender, chunks) = mpsc::channel(CHUNKS_MAX);
        tokio::task::spawn_blocking(move || {
            let _share = share;
            loop {
                let mut chunk = vec![0; CHUNK_BYTES];
                let read = match file.read(&mut chunk) {
                    Ok(0) => return,
                    Ok(read) => {
                        chunk.truncate(read);
                        Ok(Bytes::from(chunk))
                    }
                    Err(error) => Err(error),
                };
                // A client that went away wants no more.
                let failed = read.is_err();
                if sender.blocking_send(read).is_err() || failed {
                    return;
                }
            }
        });
        Self(chunks)
    }
}

impl HttpBody for FileBody {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        self.0.poll_recv(cx).map(|chunk| chunk.map(|chunk| chunk.map(Frame::data)))
    }
}
