//! What happened to a call, and how its media fared.

use axum::extract::State;
use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

use super::call_schema::{event_schema, sample_schema, spoken_schema};
use super::{owned, written};
use crate::http::auth::Caller;
use crate::http::openapi::{Resource, get, schema};
use crate::http::page::{self, Page, Wanted};
use crate::http::path::Path;
use crate::http::problem::{Kind, Problem};
use crate::keys::Scope;
use crate::outbox::EventView;
use crate::store::Timestamp;

pub(super) fn resource() -> Resource {
    Resource {
        tag: "call log",
        about: "What happened to a call, and how its media fared.",
        endpoints: vec![
            get("/api/v1/calls/{id}/events", "list_call_events", events)
                .summary("Lists what happened to a call, in the order in which it was told.")
                .scope(Scope::Read)
                .query(page::parameters())
                .answers_json(200, "the events", page::schema_of(schema::named("CallEvent")))
                .refuses(&[Kind::Unavailable]),
            get("/api/v1/calls/{id}/quality", "list_call_quality", quality)
                .summary("Lists how the media of a call fared, every ten seconds and at its end.")
                .scope(Scope::Read)
                .query(page::parameters())
                .answers_json(200, "the samples", page::schema_of(schema::named("QualitySample")))
                .refuses(&[Kind::Unavailable]),
            get("/api/v1/calls/{id}/speech", "list_call_speech", speech)
                .summary(
                    "Lists what the agent said on a call as it left for the caller, and what of it \
                     was dropped; what the caller said, if the agent asked to be told of speech.",
                )
                .scope(Scope::Read)
                .query(page::parameters())
                .answers_json(200, "what was said", page::schema_of(schema::named("Spoken")))
                .refuses(&[Kind::Unavailable]),
        ],
        schemas: vec![
            ("CallEvent", event_schema()),
            ("QualitySample", sample_schema()),
            ("Spoken", spoken_schema()),
        ],
    }
}

/// A number as the id that pages go on behind.
fn place(number: i64) -> Uuid {
    Uuid::from_u128(u128::try_from(number).unwrap_or(0))
}

fn number(wanted: &Wanted) -> i64 {
    wanted.after.map_or(0, |id| i64::try_from(id.as_u128()).unwrap_or(i64::MAX))
}

/// `GET /api/v1/calls/{id}/events`
async fn events(
    State(state): State<crate::http::State>,
    caller: Caller,
    Path(id): Path<Uuid>,
    wanted: Wanted,
) -> Result<axum::Json<Page<EventView>>, Problem> {
    // What was told before this request is in the answer.
    written(&state).await?;
    owned(&state, caller.organisation, id).await?;
    let (after, limit) = (number(&wanted), wanted.with_next());
    let found = state.store.call_events(caller.organisation, id, after, limit).await?;
    let page = Page::cut(found, wanted.limit, |event| place(event.id));
    Ok(axum::Json(page.map(|event| EventView::of(&event))))
}

/// How the media of a call fared at a moment.
#[derive(Debug, Serialize)]
struct SampleView {
    at: Timestamp,
    leg: String,
    #[serde(flatten)]
    data: Value,
}

/// `GET /api/v1/calls/{id}/quality`
async fn quality(
    State(state): State<crate::http::State>,
    caller: Caller,
    Path(id): Path<Uuid>,
    wanted: Wanted,
) -> Result<axum::Json<Page<SampleView>>, Problem> {
    // What was told before this request is in the answer.
    written(&state).await?;
    owned(&state, caller.organisation, id).await?;
    let (after, limit) = (Timestamp(number(&wanted)), wanted.with_next());
    let found = state.store.quality(caller.organisation, id, after, limit).await?;
    let page = Page::cut(found, wanted.limit, |sample| place(sample.at.0));
    Ok(axum::Json(page.map(|sample| SampleView {
        at: sample.at,
        leg: sample.leg,
        data: sample.data,
    })))
}

/// Something that was said on a call.
#[derive(Debug, Serialize)]
struct SpokenView {
    at: Timestamp,
    #[serde(flatten)]
    data: Value,
}

/// `GET /api/v1/calls/{id}/speech`
async fn speech(
    State(state): State<crate::http::State>,
    caller: Caller,
    Path(id): Path<Uuid>,
    wanted: Wanted,
) -> Result<axum::Json<Page<SpokenView>>, Problem> {
    // What was told before this request is in the answer.
    written(&state).await?;
    owned(&state, caller.organisation, id).await?;
    let (after, limit) = (Timestamp(number(&wanted)), wanted.with_next());
    let found = state.store.spoken(caller.organisation, id, after, limit).await?;
    let page = Page::cut(found, wanted.limit, |(at, _)| place(at.0));
    Ok(axum::Json(page.map(|(at, data)| SpokenView { at, data })))
}
