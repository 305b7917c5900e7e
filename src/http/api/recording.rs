//! Recordings over HTTP.

use axum::extract::State;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{gone, owned, sound_file};
use crate::calls::request;
use crate::http::auth::Caller;
use crate::http::body::Json;
use crate::http::openapi::{Resource, get, post, schema};
use crate::http::path::Path;
use crate::http::problem::{Kind, Problem};
use crate::keys::Scope;
use crate::recording::{Found, Order};

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
    let share = sound_file::share(caller.organisation)?;
    let store = state.recordings.clone();
    let found = tokio::task::spawn_blocking(move || store.find(call)).await;
    let missing = || Problem::not_found("the call has no recording");
    match found.unwrap_or(Found::Nothing) {
        Found::File(path) => sound_file::answer(&path, share).map_err(|_| missing()),
        Found::Open => Err(Problem::conflict("the call is being recorded")),
        Found::Nothing => Err(missing()),
    }
}
