//! Recordings over HTTP.

use std::fs::File;
use std::io::Read;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::Json;
use axum::body::{Body, to_bytes};
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::{HeaderMap, header};
use hyper::body::{Body as HttpBody, Frame};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use uuid::Uuid;

use super::api::{BODY_BYTES_MAX, gone};
use super::auth;
use super::problem::Problem;
use crate::calls::request::{self, RequestError};
use crate::keys::Scope;
use crate::recording::{Found, Order};

/// Bytes of a recording that are read at a time.
const CHUNK_BYTES: usize = 64 * 1024;
/// Chunks that wait for a client.
const CHUNKS_MAX: usize = 2;

/// What is wanted of a recording.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    state: String,
}

/// How a recording stands.
#[derive(Debug, Serialize)]
pub(super) struct Recording {
    state: &'static str,
}

/// `POST /api/v1/calls/{id}/record`
pub(super) async fn record(
    State(state): State<super::State>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Recording>, Problem> {
    auth::require(&state, &headers, Scope::Calls).await?;
    let body = to_bytes(body, BODY_BYTES_MAX)
        .await
        .map_err(|_| Problem::bad_request(format!("the body is over {BODY_BYTES_MAX} bytes")))?;
    let wanted: Wanted =
        serde_json::from_slice(&body).map_err(|error| Problem::bad_request(error.to_string()))?;
    let order = Order::from_word(&wanted.state).ok_or_else(|| {
        Problem::bad_request("state: is none of \"start\", \"stop\", \"pause\", \"resume\"")
    })?;
    let call: Uuid = id.parse().map_err(|_| RequestError::NoSuchCall)?;
    let recorded = state.calls.ask(|reply| request::Request::Record { call, order, reply }).await;
    let recording = recorded.ok_or_else(gone)??;
    Ok(Json(Recording { state: recording.as_str() }))
}

/// `GET /api/v1/calls/{id}/recording`
pub(super) async fn fetch(
    State(state): State<super::State>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    auth::require(&state, &headers, Scope::Read).await?;
    let call: Uuid = id.parse().map_err(|_| RequestError::NoSuchCall)?;
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
    Ok((head, Body::new(FileBody::read(file))).into_response())
}

/// A file on its way to a client, read by a thread that may wait for the disk.
struct FileBody(mpsc::Receiver<std::io::Result<Bytes>>);

impl FileBody {
    fn read(mut file: File) -> Self {
        let (sender, chunks) = mpsc::channel(CHUNKS_MAX);
        tokio::task::spawn_blocking(move || {
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
