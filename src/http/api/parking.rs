//! Calls that are put aside, and taken up again.

use axum::extract;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{gone, owned};
use crate::calls::parked::{ParkWish, ParkedView, SLOT_BYTES_MAX};
use crate::calls::request::{Order, Request, Unpark};
use crate::calls::transfer::State;
use crate::config::PARK_TIMEOUT_S_MAX;
use crate::http::auth::Caller;
use crate::http::body::Json;
use crate::http::openapi::{Resource, get, post, schema};
use crate::http::path::Path;
use crate::http::problem::{Kind, Problem};
use crate::keys::Scope;

pub(super) fn resource() -> Resource {
    let items = schema::list(schema::named("ParkedCall"));
    let timeout_s_max = i64::try_from(PARK_TIMEOUT_S_MAX).unwrap_or(i64::MAX);
    let text =
        |chars_max, about| schema::described(schema::nullable(schema::text(chars_max)), about);
    Resource {
        tag: "parking",
        about: "Calls that are put aside, and taken up again by whoever is to have them.",
        endpoints: vec![
            get("/api/v1/parked", "list_parked_calls", list)
                .summary("Lists the calls of this server that are put aside, the first first.")
                .scope(Scope::Read)
                .answers_json(200, "the calls", schema::object(&[("items", items)], &[]))
                .refuses(&[Kind::Unavailable]),
            post("/api/v1/calls/{id}/park", "park_call", park)
                .summary(
                    "Puts a call aside: its caller waits in a slot until somebody takes it up.",
                )
                .scope(Scope::Calls)
                .retryable()
                .json(schema::object(
                    &[],
                    &[
                        ("slot", text(SLOT_BYTES_MAX, "where; the next free number if absent")),
                        ("keep_agent", schema::described(schema::flag(), "the agent stays")),
                        ("timeout_s", schema::nullable(schema::integer(1, timeout_s_max))),
                    ],
                ))
                .answers_json(200, "it is there", schema::named("ParkedCall"))
                .refuses(&[Kind::Conflict, Kind::Unavailable]),
            post("/api/v1/calls/{id}/unpark", "unpark_call", unpark)
                .summary("Brings a call that is put aside to its agent, or to somebody else.")
                .scope(Scope::Calls)
                .retryable()
                .json(schema::object(
                    &[],
                    &[
                        ("agent", text(128, "name of another agent, or `queue:` and a queue's")),
                        ("destination", text(256, "a number, user or SIP URI that is called")),
                        ("trunk", text(64, "the trunk that it is called through")),
                        ("call_id", schema::nullable(schema::format("uuid"))),
                    ],
                ))
                .answers_json(
                    202,
                    "somebody is reached for, or talks with it already; its transfers tell",
                    schema::object(
                        &[("state", schema::word(&["requested", "bridged"]))],
                        &[("id", schema::format("uuid"))],
                    ),
                )
                .refuses(&[Kind::Budget, Kind::Conflict, Kind::Destination, Kind::Unavailable]),
        ],
        schemas: vec![("ParkedCall", parked_schema())],
    }
}

fn parked_schema() -> Value {
    let text = || json!({"type": "string"});
    schema::object(
        &[
            ("slot", text()),
            ("call_id", schema::format("uuid")),
            ("from", text()),
            ("to", text()),
            ("agent", schema::described(text(), "who had it")),
            ("keep_agent", schema::described(schema::flag(), "that is there yet")),
            ("parked_at", schema::format("date-time")),
            ("waited_ms", schema::count()),
            ("left_ms", schema::described(schema::count(), "until it goes back")),
        ],
        &[],
    )
}

/// `GET /api/v1/parked`
async fn list(
    extract::State(state): extract::State<crate::http::State>,
    caller: Caller,
) -> Result<axum::Json<Value>, Problem> {
    let of = caller.organisation.0;
    let items = state.calls.ask(|reply| Request::Parked { of, reply }).await.ok_or_else(gone)?;
    Ok(axum::Json(json!({ "items": items })))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ParkBody {
    slot: Option<String>,
    #[serde(default)]
    keep_agent: bool,
    timeout_s: Option<u64>,
}

/// `POST /api/v1/calls/{id}/park`
async fn park(
    extract::State(state): extract::State<crate::http::State>,
    caller: Caller,
    Path(id): Path<Uuid>,
    Json(body): Json<ParkBody>,
) -> Result<axum::Json<ParkedView>, Problem> {
    let ParkBody { slot, keep_agent, timeout_s } = body;
    owned(&state, caller.organisation, id).await?;
    let wish = ParkWish { slot, keep_agent, timeout_s };
    let parked = state.calls.ask(|reply| Request::Park { call: id, wish, reply }).await;
    Ok(axum::Json(parked.ok_or_else(gone)??))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct UnparkBody {
    agent: Option<String>,
    destination: Option<String>,
    trunk: Option<String>,
    call_id: Option<Uuid>,
}

impl UnparkBody {
    fn read(self) -> Result<Unpark, Problem> {
        let Self { agent, destination, trunk, call_id } = self;
        if trunk.is_some() && destination.is_none() {
            return Err(Problem::bad_field("trunk", "means nothing without destination"));
        }
        match (agent, destination, call_id) {
            (None, None, None) => Ok(Unpark::Back),
            (Some(name), None, None) => Ok(Unpark::Agent(name)),
            (None, Some(to), None) => Ok(Unpark::Destination { to, trunk }),
            (None, None, Some(call)) => Ok(Unpark::Call(call)),
            _ => {
                let why = "agent, destination and call_id: only one of them takes the call";
                Err(Problem::bad_request(why))
            }
        }
    }
}

/// How far the call is on its way.
#[derive(Serialize)]
struct Begun {
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<Uuid>,
}

/// `POST /api/v1/calls/{id}/unpark`
async fn unpark(
    extract::State(state): extract::State<crate::http::State>,
    caller: Caller,
    Path(id): Path<Uuid>,
    Json(body): Json<UnparkBody>,
) -> Result<(StatusCode, axum::Json<Begun>), Problem> {
    owned(&state, caller.organisation, id).await?;
    let (call, order) = (id.to_string(), Order::Unpark(body.read()?));
    let done = state.calls.ask(|reply| Request::Order { call, order, reply }).await;
    let id = done.ok_or_else(gone)??;
    // Who kept its agent has it back at once.
    let state = id.map_or(State::Bridged, |_| State::Requested).as_str();
    Ok((StatusCode::ACCEPTED, axum::Json(Begun { state, id })))
}
