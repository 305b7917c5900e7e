//! Recordings over HTTP.

use std::path::PathBuf;

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{gone, owned, sound_file, written};
use crate::calls::request;
use crate::http::auth::Caller;
use crate::http::body::Json;
use crate::http::openapi::{self, Resource, delete, get, post, schema};
use crate::http::page::{self, Page, Query};
use crate::http::path::Path;
use crate::http::problem::{Kind, Problem};
use crate::http::range::Asked;
use crate::keys::Scope;
use crate::recording::{self, Found, Order};
use crate::store::recordings::{RecordingFilter, RecordingRecord};
use crate::store::{NodeId, RecordingId, Timestamp};

const PATH_ONE: &str = "/api/v1/calls/{id}/recording";

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
            get("/api/v1/recordings", "list_recordings", list)
                .summary("Lists the recordings that this server has made, the latest first.")
                .scope(Scope::Read)
                .query(filters())
                .answers_json(200, "the recordings", page::schema_of(schema::named("Recording")))
                .refuses(&[Kind::Unavailable]),
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
            get(PATH_ONE, "fetch_recording", fetch)
                .summary("Fetches the recording of a call that is over.")
                .scope(Scope::Read)
                .answers_in_parts(
                    "WAV, the peer on the left, the agent on the right",
                    "audio/wav",
                    schema::format("binary"),
                )
                .refuses(&[Kind::Conflict, Kind::Unavailable]),
            delete(PATH_ONE, "delete_recording", remove)
                .summary("Deletes the recording of a call.")
                .scope(Scope::Calls)
                .answers(204, "the call has no recording any more")
                .refuses(&[Kind::Conflict, Kind::Internal, Kind::Unavailable]),
        ],
        schemas: vec![("Recording", shown_schema())],
    }
}

fn filters() -> Vec<openapi::Query> {
    let call = openapi::Query {
        name: "call",
        schema: schema::format("uuid"),
        description: "the id of a call: its recording alone",
    };
    let state = openapi::Query {
        name: "state",
        schema: state_schema(),
        description: "those alone that stand so",
    };
    page::parameters().into_iter().chain([call, state]).collect()
}

fn state_schema() -> serde_json::Value {
    schema::word(&recording::State::ALL.map(recording::State::as_str))
}

fn shown_schema() -> serde_json::Value {
    let (id, time) = (|| schema::format("uuid"), || schema::format("date-time"));
    let known = |text| schema::described(schema::nullable(schema::count()), text);
    schema::object(
        &[
            ("id", id()),
            ("call_id", id()),
            ("state", state_schema()),
            ("channels", schema::described(schema::integer(1, 2), "1 is the peer alone")),
            ("rate_hz", schema::count()),
            ("size_bytes", known("of the file; null until it is complete, or if nobody knows")),
            ("duration_ms", known("of the sound; null until it is complete, or if nobody knows")),
            ("created_at", time()),
            ("ended_at", schema::described(schema::nullable(time()), "when the file was complete")),
        ],
        &[],
    )
}

/// A recording as it is shown: where its file lies is told nobody.
#[derive(Debug, Serialize)]
struct Shown {
    id: RecordingId,
    call_id: Uuid,
    state: &'static str,
    channels: u64,
    rate_hz: u64,
    size_bytes: Option<u64>,
    duration_ms: Option<u64>,
    created_at: Timestamp,
    ended_at: Option<Timestamp>,
}

impl From<RecordingRecord> for Shown {
    fn from(record: RecordingRecord) -> Self {
        Self {
            id: record.id,
            call_id: record.call,
            state: record.state.as_str(),
            channels: record.channels,
            rate_hz: record.rate_hz,
            size_bytes: record.size_bytes,
            duration_ms: record.duration_ms,
            created_at: record.created_at,
            ended_at: record.ended_at,
        }
    }
}

/// Which recordings are wanted.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct ListQuery {
    limit: Option<u32>,
    cursor: Option<String>,
    call: Option<Uuid>,
    state: Option<String>,
}

/// `GET /api/v1/recordings`
async fn list(
    State(state): State<crate::http::State>,
    caller: Caller,
    Query(query): Query<ListQuery>,
) -> Result<axum::Json<Page<Shown>>, Problem> {
    let wanted = page::Wanted::read(query.limit, query.cursor.as_deref())?;
    let words = || recording::State::ALL.into_iter().map(recording::State::as_str);
    let read = |word: &str| {
        recording::State::from_word(word).ok_or_else(|| Problem::none_of("state", words()))
    };
    let standing = query.state.as_deref().map(read).transpose()?;
    // What calls told before this request is in the answer.
    written(&state).await?;
    let filter = RecordingFilter { call: query.call, state: standing };
    let (before, limit) = (wanted.after.map(RecordingId), wanted.with_next());
    let found = state.store.recordings(caller.organisation, filter, before, limit).await?;
    let page = Page::cut(found, wanted.limit, |record| record.id.0);
    Ok(axum::Json(page.map(Shown::from)))
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
    asked: Asked,
) -> Result<Response, Problem> {
    owned(&state, caller.organisation, call).await?;
    let share = sound_file::share(caller.organisation)?;
    let record = state.store.recording_of(caller.organisation, call).await?;
    let lost = is_written(record.as_ref());
    match find(&state, call, record.as_ref()).await {
        Found::File(path) => sound_file::answer(&path, &asked, share).map_err(|_| missing(lost)),
        Found::Open => Err(being_recorded()),
        Found::Nothing => Err(missing(lost)),
    }
}

fn being_recorded() -> Problem {
    Problem::conflict("the call is being recorded")
}

/// True if it is known that there is a file somewhere.
fn is_written(record: Option<&RecordingRecord>) -> bool {
    record.is_some_and(|record| record.state != recording::State::Failed)
}

/// There is no file here, though there is one somewhere if `lost`.
fn missing(lost: bool) -> Problem {
    Problem::not_found(match lost {
        true => "the recording is not on this server",
        false => "the call has no recording",
    })
}

/// The file of a recording that this server has made. What another has made is here only if it lies
/// where ours do, as in a folder that they share.
fn path_here(state: &crate::http::State, record: Option<&RecordingRecord>) -> Option<PathBuf> {
    let here = Some(NodeId(state.told.node));
    let ours = record.filter(|record| !state.store.is_shared() || record.node == here);
    ours.map(|record| record.path.clone())
}

/// What there is of a call on this server.
async fn find(state: &crate::http::State, call: Uuid, record: Option<&RecordingRecord>) -> Found {
    let (files, path) = (state.recordings.clone(), path_here(state, record));
    // Of a file that another server makes in a folder that they share, the row alone tells whether
    // it is complete.
    let is_made = path.is_none() && record.is_some_and(|record| !record.state.is_over());
    let look = move || files.find_written(call, path.as_deref());
    match tokio::task::spawn_blocking(look).await.unwrap_or(Found::Nothing) {
        Found::File(_) if is_made => Found::Open,
        found => found,
    }
}

/// `DELETE /api/v1/calls/{id}/recording`. The file goes first: what cannot be removed stays listed,
/// as does what only another server can remove.
async fn remove(
    State(state): State<crate::http::State>,
    caller: Caller,
    Path(call): Path<Uuid>,
) -> Result<StatusCode, Problem> {
    owned(&state, caller.organisation, call).await?;
    if state.recordings.is_open(call) {
        return Err(being_recorded());
    }
    // What was told of it is in the store, before anything is noted there.
    written(&state).await?;
    let record = state.store.recording_of(caller.organisation, call).await?;
    let path = path_here(&state, record.as_ref());
    match find(&state, call, record.as_ref()).await {
        Found::Open => return Err(being_recorded()),
        // One of ours whose file is gone already is listed no more.
        Found::Nothing if path.is_none() => return Err(missing(is_written(record.as_ref()))),
        Found::File(_) | Found::Nothing => {}
    }
    let files = state.recordings.clone();
    let remove = move || files.remove_written(call, path.as_deref());
    if let Ok(Err(error)) = tokio::task::spawn_blocking(remove).await {
        tracing::error!(%error, %call, "a recording is not removed");
        return Err(Problem::internal());
    }
    state.store.delete_recording(caller.organisation, call, &caller.actor()).await?;
    Ok(StatusCode::NO_CONTENT)
}
