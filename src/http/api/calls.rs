//! Calls over HTTP: placed, listed, shown while they live and when they are over.

use std::time::Duration;

use axum::Extension;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{StatusCode, header};
use serde::Deserialize;
use uuid::Uuid;

use super::call_schema::{call_schema, filters, place_schema};
use super::{RETRY_AFTER_S, gone, owned, written};
use crate::callers;
use crate::calls::CallView;
use crate::calls::log::{State as CallState, direction_from_word};
use crate::calls::request::{self, PlaceCall, RequestError};
use crate::http::auth::Caller;
use crate::http::body::Json;
use crate::http::idempotency::Made;
use crate::http::openapi::{Resource, get, post, schema};
use crate::http::page::{self, Page, Query, Wanted};
use crate::http::path::Path;
use crate::http::problem::{Kind, Problem};
use crate::keys::Scope;
use crate::store::calls::CallFilter;
use crate::store::{ConfigurationId, StoreError, Timestamp};

/// How long a call waits at most until what was changed before it holds.
pub(super) const HOLDS_WAIT: Duration = Duration::from_secs(1);

impl From<RequestError> for Problem {
    fn from(error: RequestError) -> Self {
        match error {
            RequestError::Field { field, problem } => Self::bad_field(field, problem),
            RequestError::Invalid(_) => Self::bad_request(error.to_string()),
            RequestError::Destination(_) => Self::destination(error.to_string()),
            RequestError::Suspended => Self::new(Kind::Suspended, "ask whoever runs the server"),
            RequestError::Limit(refusal) if refusal.is_budget() => {
                Self::new(Kind::Budget, error.to_string())
            }
            RequestError::Limit(refusal) if refusal.is_lasting() => {
                Self::new(Kind::CallerIds, error.to_string())
            }
            RequestError::Full | RequestError::Limit(_) | RequestError::Draining => {
                Self::unavailable(error.to_string(), RETRY_AFTER_S)
            }
            RequestError::NoSuchCall => Self::not_found(error.to_string()),
            RequestError::NotWaiting | RequestError::State(_) => Self::conflict(error.to_string()),
        }
    }
}

/// Why no call is placed.
const PLACE_REFUSALS: &[Kind] =
    &[Kind::Budget, Kind::CallerIds, Kind::Destination, Kind::Suspended, Kind::Unavailable];

pub(super) fn resource() -> Resource {
    let call = || schema::named("Call");
    Resource {
        tag: "calls",
        about: "Calls: placed, seen while they live and when they are over, ended.",
        endpoints: vec![
            get("/api/v1/calls", "list_calls", list)
                .summary("Lists calls, those that live and those that are over, the latest first.")
                .scope(Scope::Read)
                .query(filters())
                .answers_json(200, "the calls", page::schema_of(call()))
                .refuses(&[Kind::Unavailable]),
            post("/api/v1/calls", "place_call", place)
                .summary("Places a call.")
                .scope(Scope::Calls)
                .retryable()
                .json(schema::named("PlaceCall"))
                .answers_json(201, "the call, which rings or will", call())
                .refuses(PLACE_REFUSALS),
            get("/api/v1/calls/{id}", "show_call", show)
                .summary("Shows a call.")
                .scope(Scope::Read)
                .answers_json(200, "the call", call())
                .refuses(&[Kind::Unavailable]),
            post("/api/v1/calls/{id}/hangup", "hang_up_call", hang_up)
                .summary("Hangs up.")
                .retryable()
                .scope(Scope::Calls)
                .answers(204, "the call ends")
                .refuses(&[Kind::Conflict, Kind::Unavailable]),
        ],
        schemas: vec![("Call", call_schema()), ("PlaceCall", place_schema())],
    }
}

/// Which calls are wanted.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct ListQuery {
    limit: Option<u32>,
    cursor: Option<String>,
    status: Option<String>,
    living: Option<bool>,
    direction: Option<String>,
    from: Option<String>,
    to: Option<String>,
    agent: Option<String>,
    trunk: Option<String>,
    configuration_id: Option<Uuid>,
    began_from: Option<String>,
    began_until: Option<String>,
}

impl ListQuery {
    fn filter(self, after: Option<Uuid>) -> Result<CallFilter, Problem> {
        let time = |name: &'static str, text: Option<String>| {
            let text = text.as_deref();
            let unknown = || Problem::bad_field(name, "not a time such as 2026-12-01T09:00:00Z");
            let read = |text| Timestamp::parse(text).ok_or_else(unknown);
            text.map(read).transpose()
        };
        let words = self.status.as_deref().unwrap_or_default().split(',').map(str::trim);
        let words = words.filter(|word| !word.is_empty());
        let states = || CallState::ALL.iter().map(|state| state.as_str());
        let state =
            |word| CallState::from_word(word).ok_or_else(|| Problem::none_of("status", states()));
        let direction = self.direction.as_deref();
        let ways = || Problem::none_of("direction", ["inbound", "outbound"].into_iter());
        let direction = direction.map(|word| direction_from_word(word).ok_or_else(ways));
        Ok(CallFilter {
            states: words.map(state).collect::<Result<_, _>>()?,
            is_over: self.living.map(|living| !living),
            direction: direction.transpose()?,
            from: self.from,
            to: self.to,
            agent: self.agent,
            trunk: self.trunk,
            configuration: self.configuration_id.map(ConfigurationId),
            from_time: time("began_from", self.began_from)?,
            until_time: time("began_until", self.began_until)?,
            after,
        })
    }
}

/// `GET /api/v1/calls`
async fn list(
    State(state): State<crate::http::State>,
    caller: Caller,
    Query(query): Query<ListQuery>,
) -> Result<axum::Json<Page<CallView>>, Problem> {
    let wanted = Wanted::read(query.limit, query.cursor.as_deref())?;
    let filter = query.filter(wanted.after)?;
    // What was told before this request is in the answer.
    written(&state).await?;
    let limit = wanted.with_next();
    let found = state.store.calls(caller.organisation, &filter, limit).await?;
    let page = Page::cut(found, wanted.limit, |call| call.id);
    let living = page.items.iter().filter(|call| !call.summary.state.is_terminal());
    let ids: Vec<Uuid> = living.map(|call| call.id).collect();
    let mut living = Vec::new();
    if !ids.is_empty() {
        let seen = state.calls.ask(|reply| request::Request::Show { calls: ids, reply }).await;
        living = seen.ok_or_else(gone)?;
    }
    let now = Timestamp::now();
    Ok(axum::Json(page.map(|call| {
        let stored = CallView::stored(call, now);
        match living.iter().find(|view| view.id == stored.id) {
            Some(view) => view.clone().with_record(Some(stored)),
            None => stored,
        }
    })))
}

/// `GET /api/v1/calls/{id}`
async fn show(
    State(state): State<crate::http::State>,
    caller: Caller,
    Path(id): Path<Uuid>,
) -> Result<axum::Json<CallView>, Problem> {
    written(&state).await?;
    Ok(axum::Json(view(&state, &caller, id).await?))
}

/// A call as it is now.
async fn view(state: &crate::http::State, caller: &Caller, id: Uuid) -> Result<CallView, Problem> {
    let stored = state.store.call(caller.organisation, id).await;
    let stored = stored.map_err(|error| match error {
        StoreError::NotFound => RequestError::NoSuchCall.into(),
        other => Problem::from(other),
    })?;
    let is_over = stored.summary.state.is_terminal();
    let view = CallView::stored(stored, Timestamp::now());
    if is_over {
        return Ok(view);
    }
    let living = state.calls.ask(|reply| request::Request::Show { calls: vec![id], reply }).await;
    let living = living.ok_or_else(gone)?.into_iter().next();
    Ok(match living {
        Some(living) => living.with_record(Some(view)),
        None => view,
    })
}

/// `POST /api/v1/calls`. A request that comes again finds the call that it placed, even if the
/// server ended in between.
async fn place(
    State(state): State<crate::http::State>,
    caller: Caller,
    made: Option<Extension<Made>>,
    Json(call): Json<PlaceCall>,
) -> Result<Response, Problem> {
    for (name, seconds) in
        [("ring_timeout_s", call.ring_timeout_s), ("max_duration_s", call.max_duration_s)]
    {
        if seconds == Some(0) {
            return Err(Problem::bad_field(name, "0: at least 1, or leave it out"));
        }
    }
    if let Some(made) = made.as_deref().filter(|made| made.again) {
        written(&state).await?;
        match view(&state, &caller, made.id).await {
            Ok(view) => return Ok(created(view)),
            Err(problem) if problem.is(Kind::NotFound) => {}
            Err(problem) => return Err(problem),
        }
    }
    // Whoever was told that there is an agent may call with it.
    let revision = *state.store.changes().borrow();
    state.directory.wait(revision, HOLDS_WAIT).await;
    let id = made.map(|made| made.id);
    let mut call = PlaceCall { id, organisation: Some(caller.organisation.0), ..call };
    callers::recall(&state.store, &state.directory, &mut call).await;
    let placed = state.calls.ask(|reply| request::Request::Place { call, reply }).await;
    let view = placed.ok_or_else(gone)??;
    // Who is told that there is a call finds it again, whatever becomes of this server.
    state.log.flush().await;
    let stored = state.store.call(caller.organisation, view.id).await.ok();
    let stored = stored.map(|stored| CallView::stored(stored, Timestamp::now()));
    Ok(created(view.with_record(stored)))
}

fn created(view: CallView) -> Response {
    let location = format!("/api/v1/calls/{}", view.id);
    (StatusCode::CREATED, [(header::LOCATION, location)], axum::Json(view)).into_response()
}

/// `POST /api/v1/calls/{id}/hangup`
async fn hang_up(
    State(state): State<crate::http::State>,
    caller: Caller,
    Path(id): Path<Uuid>,
) -> Result<StatusCode, Problem> {
    owned(&state, caller.organisation, id).await?;
    let call = id.to_string();
    let hung = state.calls.ask(|reply| request::Request::HangUp { call, reply }).await;
    hung.ok_or_else(gone)??;
    Ok(StatusCode::NO_CONTENT)
}
