//! Messages that callers have left, over HTTP.

use std::time::{Duration, Instant};

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{sound_file, written};
use crate::http::auth::Caller;
use crate::http::body::Json;
use crate::http::openapi::{self, Resource, delete, get, patch, schema};
use crate::http::page::{self, Page, Query, Wanted};
use crate::http::path::Path;
use crate::http::problem::{Kind, Problem};
use crate::http::range::Asked;
use crate::keys::Scope;
use crate::recording::{Found, Store as Files};
use crate::store::voicemails::Voicemail;
use crate::store::{NodeId, Timestamp, VoicemailId};

const PATH_ONE: &str = "/api/v1/voicemails/{id}";
/// How long an answer waits for the last of a message to be on disk: whoever is told of it may ask
/// at once.
const COMPLETE_WAIT: Duration = Duration::from_secs(3);
/// How often is looked meanwhile.
const LOOK_EVERY: Duration = Duration::from_millis(50);

pub(super) fn resource() -> Resource {
    let one = || schema::named("Voicemail");
    Resource {
        tag: "voicemails",
        about: "Messages that callers have left.",
        endpoints: vec![
            get("/api/v1/voicemails", "list_voicemails", list)
                .summary("Lists messages, the latest first.")
                .scope(Scope::Read)
                .query(filters())
                .answers_json(200, "the messages", page::schema_of(one()))
                .refuses(&[Kind::Unavailable]),
            get(PATH_ONE, "show_voicemail", show)
                .summary("Shows a message.")
                .scope(Scope::Read)
                .answers_json(200, "the message", one()),
            get("/api/v1/voicemails/{id}/audio", "fetch_voicemail", audio)
                .summary("Fetches what the caller says.")
                .scope(Scope::Read)
                .answers_in_parts("WAV, mono", "audio/wav", schema::format("binary"))
                .refuses(&[Kind::Conflict, Kind::Unavailable]),
            patch(PATH_ONE, "change_voicemail", change)
                .summary("Notes that a message was heard, or is to be heard again.")
                .scope(Scope::Calls)
                .json(schema::object(&[("heard", schema::flag())], &[]))
                .answers_json(200, "the message", one()),
            delete(PATH_ONE, "delete_voicemail", remove)
                .summary("Deletes a message and its sound.")
                .scope(Scope::Calls)
                .answers(204, "there is no such message any more")
                .refuses(&[Kind::Internal]),
        ],
        schemas: vec![("Voicemail", shown_schema())],
    }
}

fn filters() -> Vec<openapi::Query> {
    let heard = openapi::Query {
        name: "heard",
        schema: schema::flag(),
        description: "true: those that were heard alone; false: those that were not",
    };
    page::parameters().into_iter().chain([heard]).collect()
}

fn shown_schema() -> serde_json::Value {
    let (id, time) = (|| schema::format("uuid"), || schema::format("date-time"));
    schema::object(
        &[
            ("id", id()),
            ("call_id", schema::described(id(), "the call on which it was left")),
            ("agent", schema::described(schema::text(64), "the agent that took it")),
            ("from", schema::described(schema::text(255), "who called")),
            ("to", schema::described(schema::text(255), "what was called")),
            ("began_at", schema::described(time(), "when the beep was over")),
            ("duration_ms", schema::count()),
            ("heard", schema::flag()),
            ("heard_at", schema::nullable(time())),
        ],
        &[],
    )
}

/// A message as it is shown.
#[derive(Debug, Serialize)]
struct Shown {
    id: VoicemailId,
    call_id: Uuid,
    agent: String,
    from: String,
    to: String,
    began_at: Timestamp,
    duration_ms: u64,
    heard: bool,
    heard_at: Option<Timestamp>,
}

impl From<Voicemail> for Shown {
    fn from(message: Voicemail) -> Self {
        let Voicemail { id, call, agent, from, to, began_at, duration_ms, heard_at, .. } = message;
        let heard = heard_at.is_some();
        Self { id, call_id: call, agent, from, to, began_at, duration_ms, heard, heard_at }
    }
}

/// Which messages are wanted.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct ListQuery {
    limit: Option<u32>,
    cursor: Option<String>,
    heard: Option<bool>,
}

/// What is noted of a message.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Change {
    heard: bool,
}

/// `GET /api/v1/voicemails`
async fn list(
    State(state): State<crate::http::State>,
    caller: Caller,
    Query(query): Query<ListQuery>,
) -> Result<axum::Json<Page<Shown>>, Problem> {
    let wanted = Wanted::read(query.limit, query.cursor.as_deref())?;
    // What was left before this request is in the answer.
    written(&state).await?;
    let (before, limit) = (wanted.after.map(VoicemailId), wanted.with_next());
    let found = state.store.voicemails(caller.organisation, query.heard, before, limit).await?;
    let page = Page::cut(found, wanted.limit, |message| message.id.0);
    Ok(axum::Json(page.map(Shown::from)))
}

/// `GET /api/v1/voicemails/{id}`
async fn show(
    State(state): State<crate::http::State>,
    caller: Caller,
    Path(id): Path<VoicemailId>,
) -> Result<axum::Json<Shown>, Problem> {
    Ok(axum::Json(state.store.voicemail(caller.organisation, id).await?.into()))
}

/// `GET /api/v1/voicemails/{id}/audio`
async fn audio(
    State(state): State<crate::http::State>,
    caller: Caller,
    Path(id): Path<VoicemailId>,
    asked: Asked,
) -> Result<Response, Problem> {
    state.store.voicemail(caller.organisation, id).await?;
    let share = sound_file::share(caller.organisation)?;
    match complete(&state.voicemails, id).await {
        Found::File(path) => sound_file::answer(&path, &asked, share).map_err(|_| missing()),
        Found::Open => Err(Problem::conflict("the message is being written")),
        Found::Nothing => Err(missing()),
    }
}

fn missing() -> Problem {
    Problem::not_found("the sound of the message is not on this server")
}

/// The sound of a message, once it is complete.
async fn complete(files: &Files, id: VoicemailId) -> Found {
    let began = Instant::now();
    loop {
        let files = files.clone();
        let found = tokio::task::spawn_blocking(move || files.find(id.0)).await;
        match found.unwrap_or(Found::Nothing) {
            Found::Open if began.elapsed() < COMPLETE_WAIT => {
                tokio::time::sleep(LOOK_EVERY).await;
            }
            found => return found,
        }
    }
}

/// `PATCH /api/v1/voicemails/{id}`
async fn change(
    State(state): State<crate::http::State>,
    caller: Caller,
    Path(id): Path<VoicemailId>,
    Json(change): Json<Change>,
) -> Result<axum::Json<Shown>, Problem> {
    state.store.set_voicemail_heard(caller.organisation, id, change.heard).await?;
    Ok(axum::Json(state.store.voicemail(caller.organisation, id).await?.into()))
}

/// `DELETE /api/v1/voicemails/{id}`. The sound goes first: what cannot be removed stays listed, as
/// does what only another server can remove.
async fn remove(
    State(state): State<crate::http::State>,
    caller: Caller,
    Path(id): Path<VoicemailId>,
) -> Result<StatusCode, Problem> {
    let message = state.store.voicemail(caller.organisation, id).await?;
    let is_ours = !state.store.is_shared() || message.node == NodeId(state.told.node);
    let files = state.voicemails.clone();
    // Nothing comes of it if there is nothing here, and may be elsewhere.
    let remove = move || {
        let may_go = is_ours || files.find(id.0) != Found::Nothing;
        may_go.then(|| files.remove(id.0))
    };
    match tokio::task::spawn_blocking(remove).await {
        Ok(None) => return Err(missing()),
        Ok(Some(Err(error))) => {
            tracing::error!(%error, message = %id, "the sound of a message is not removed");
            return Err(Problem::internal());
        }
        Ok(Some(Ok(()))) | Err(_) => {}
    }
    state.store.delete_voicemail(caller.organisation, id, &caller.actor()).await?;
    Ok(StatusCode::NO_CONTENT)
}
