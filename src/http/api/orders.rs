//! Orders to a living call over HTTP.

use std::sync::Arc;

use adapters::external_pbx::{FIELDS_MAX, VALUE_CHARS_MAX};
use axum::extract;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::json;
use uuid::Uuid;

use super::{gone, living, owned};
use crate::agent::session::{self, Control};
use crate::calls::request::{Order, Request};
use crate::calls::transfer::{CANCEL, LEAVE, MESSAGE_MAX_MS, State, whispered_url};
use crate::fetch::{self, FetchError};
use crate::http::auth::Caller;
use crate::http::body::Json;
use crate::http::openapi::{Endpoint, Resource, post, schema};
use crate::http::path::Path;
use crate::http::problem::{Kind, Problem};
use crate::keys::Scope;

pub(super) fn resource() -> Resource {
    let order = |endpoint: Endpoint| {
        let endpoint = endpoint.scope(Scope::Calls).retryable();
        endpoint.refuses(&[Kind::Conflict, Kind::Unavailable])
    };
    let done = |endpoint: Endpoint| order(endpoint).answers(204, "done, or begun");
    let switch = || schema::object(&[("on", schema::flag())], &[]);
    Resource {
        tag: "orders",
        about: "What a living call is to do.",
        endpoints: vec![
            order(post("/api/v1/calls/{id}/transfer", "transfer_call", transfer))
                .summary("Hands the peer to somebody else.")
                .refuses(&[Kind::Budget])
                .json(transfer_schema())
                .answers_json(
                    202,
                    "the peer has been asked; the agent's events tell what comes of it",
                    schema::object(
                        &[("state", schema::word(&["requested", "cancelled", "bridged"]))],
                        &[("id", schema::nullable(schema::format("uuid")))],
                    ),
                ),
            done(post("/api/v1/calls/{id}/dtmf", "send_dtmf", dtmf))
                .summary("Sends digits to the peer, the way it takes them.")
                .json(dtmf_schema()),
            done(post("/api/v1/calls/{id}/mute", "mute_call", mute))
                .summary("Decides whether the peer hears the agent.")
                .json(switch()),
            done(post("/api/v1/calls/{id}/hold", "hold_call", hold))
                .summary("Puts the peer on hold, or takes it back.")
                .json(switch()),
            done(post("/api/v1/calls/{id}/update", "update_call", update))
                .summary("Changes the customer's record at the PBX that owns the call.")
                .json(update_schema()),
            done(post("/api/v1/calls/{id}/clear", "clear_call", clear))
                .summary("Drops what the agent has queued."),
        ],
        schemas: Vec::new(),
    }
}

/// Words for what a transfer can be.
const KINDS: [&str; 7] = ["blind", "attended", "bridge", "warm", "agent", CANCEL, LEAVE];

fn transfer_schema() -> serde_json::Value {
    let word = json!({"anyOf": [{"type": "string"}, {"type": "integer", "minimum": 0}]});
    schema::object(
        &[("kind", schema::word(&KINDS))],
        &[
            ("destination", json!({"type": "string"})),
            ("options", json!({"type": "object", "additionalProperties": word})),
            ("headers", json!({"type": "object", "additionalProperties": {"type": "string"}})),
        ],
    )
}

fn dtmf_schema() -> serde_json::Value {
    let millis = || schema::nullable(schema::integer(0, i64::from(u32::MAX)));
    schema::object(
        &[("digits", json!({"type": "string"}))],
        &[("duration_ms", millis()), ("gap_ms", millis())],
    )
}

fn update_schema() -> serde_json::Value {
    let fields = json!({
        "type": "object",
        "additionalProperties": {"type": "string", "maxLength": VALUE_CHARS_MAX},
        "minProperties": 1,
        "maxProperties": FIELDS_MAX,
    });
    schema::object(&[("fields", fields)], &[])
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct UpdateBody {
    fields: std::collections::BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TransferBody {
    kind: String,
    #[serde(default)]
    destination: String,
    #[serde(default)]
    options: std::collections::BTreeMap<String, Word>,
    #[serde(default)]
    headers: std::collections::BTreeMap<String, String>,
}

/// A string, or a number that stands for one.
#[derive(Deserialize)]
#[serde(untagged)]
enum Word {
    Text(String),
    Number(u64),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DtmfBody {
    digits: String,
    duration_ms: Option<u32>,
    gap_ms: Option<u32>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Switch {
    on: bool,
}

/// How far something is that goes on.
#[derive(Serialize)]
struct Begun {
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<Uuid>,
}

/// `POST /api/v1/calls/{id}/transfer`: 202, the REFER has been sent or somebody is being called;
/// events tell what comes of it.
async fn transfer(
    extract::State(state): extract::State<crate::http::State>,
    caller: Caller,
    Path(id): Path<Uuid>,
    Json(body): Json<TransferBody>,
) -> Result<(StatusCode, axum::Json<Begun>), Problem> {
    let TransferBody { kind, destination, options, headers } = body;
    let text = |word| match word {
        Word::Text(text) => text,
        Word::Number(number) => number.to_string(),
    };
    let options = options.into_iter().map(|(name, word)| (name, text(word))).collect();
    let message = match whispered_url(&kind, &options) {
        None => None,
        Some(url) => {
            living(&state, caller.organisation, id).await?;
            let outward = state.outward.of(caller.organisation.0);
            let fetched =
                fetch::sound((caller.organisation.0, &outward), url, MESSAGE_MAX_MS).await;
            let wrong = |why: FetchError| Problem::bad_field("options.whisper", why.to_string());
            Some(Arc::new(fetched.map_err(wrong)?))
        }
    };
    let leaves = kind == LEAVE;
    let transfer = Order::Transfer { kind, destination, options, headers, message };
    let id = begin(&state, &caller, id, transfer).await?;
    let state = match id {
        Some(_) => State::Requested,
        None if leaves => State::Bridged,
        None => State::Cancelled,
    };
    Ok((StatusCode::ACCEPTED, axum::Json(Begun { state: state.as_str(), id })))
}

/// `POST /api/v1/calls/{id}/dtmf`: digits to the peer as telephone events.
async fn dtmf(
    extract::State(state): extract::State<crate::http::State>,
    caller: Caller,
    Path(id): Path<Uuid>,
    Json(body): Json<DtmfBody>,
) -> Result<StatusCode, Problem> {
    let DtmfBody { digits, duration_ms, gap_ms } = body;
    match session::dtmf(digits, duration_ms, gap_ms) {
        Ok(Control::Dtmf { digits, duration_ms, gap_ms }) => {
            order(&state, &caller, id, Order::Dtmf { digits, duration_ms, gap_ms }).await
        }
        Ok(_) => Err(Problem::bad_field("digits", "missing")),
        // As agents are told: `field digits: only …`.
        Err((_, message)) => {
            match message.strip_prefix("field ").and_then(|m| m.split_once(": ")) {
                Some((field, why)) => Err(Problem::bad_field(field, why)),
                None => Err(Problem::bad_request(message)),
            }
        }
    }
}

/// `POST /api/v1/calls/{id}/mute`: whether the peer hears the agent.
async fn mute(
    extract::State(state): extract::State<crate::http::State>,
    caller: Caller,
    Path(id): Path<Uuid>,
    Json(body): Json<Switch>,
) -> Result<StatusCode, Problem> {
    let Switch { on } = body;
    order(&state, &caller, id, Order::Mute(on)).await
}

/// `POST /api/v1/calls/{id}/hold`: whether the peer is on hold.
async fn hold(
    extract::State(state): extract::State<crate::http::State>,
    caller: Caller,
    Path(id): Path<Uuid>,
    Json(body): Json<Switch>,
) -> Result<StatusCode, Problem> {
    let Switch { on } = body;
    order(&state, &caller, id, Order::Hold(on)).await
}

/// `POST /api/v1/calls/{id}/update`: fields of the customer's record, where the PBX keeps it.
async fn update(
    extract::State(state): extract::State<crate::http::State>,
    caller: Caller,
    Path(id): Path<Uuid>,
    Json(body): Json<UpdateBody>,
) -> Result<StatusCode, Problem> {
    order(&state, &caller, id, Order::Update(body.fields.into_iter().collect())).await
}

/// `POST /api/v1/calls/{id}/clear`: what the agent has queued is dropped.
async fn clear(
    extract::State(state): extract::State<crate::http::State>,
    caller: Caller,
    Path(id): Path<Uuid>,
) -> Result<StatusCode, Problem> {
    order(&state, &caller, id, Order::Clear).await
}

async fn order(
    state: &crate::http::State,
    caller: &Caller,
    id: Uuid,
    order: Order,
) -> Result<StatusCode, Problem> {
    begin(state, caller, id, order).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Lets a call do something; the id of what goes on.
async fn begin(
    state: &crate::http::State,
    caller: &Caller,
    id: Uuid,
    order: Order,
) -> Result<Option<Uuid>, Problem> {
    owned(state, caller.organisation, id).await?;
    let call = id.to_string();
    let done = state.calls.ask(|reply| Request::Order { call, order, reply }).await;
    Ok(done.ok_or_else(gone)??)
}
