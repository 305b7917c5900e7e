//! Orders to a living call over HTTP.

use axum::Json;
use axum::body::{Body, to_bytes};
use axum::extract::{Path, State};
use http::{HeaderMap, StatusCode};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::api::{BODY_BYTES_MAX, gone};
use super::auth;
use super::problem::Problem;
use crate::agent::session::{self, Control};
use crate::calls::request::{Order, Request};
use crate::keys::Scope;

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
pub(super) struct Begun {
    state: &'static str,
}

/// `POST /api/v1/calls/{id}/transfer`: 202, the REFER has been sent; events tell what comes of it.
pub(super) async fn transfer(
    State(state): State<super::State>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<(StatusCode, Json<Begun>), Problem> {
    auth::require(&state, &headers, Scope::Calls)?;
    let TransferBody { kind, destination, options, headers: added } = read(body).await?;
    let text = |word| match word {
        Word::Text(text) => text,
        Word::Number(number) => number.to_string(),
    };
    let options = options.into_iter().map(|(name, word)| (name, text(word))).collect();
    let transfer = Order::Transfer { kind, destination, options, headers: added };
    order(&state, id, transfer).await?;
    Ok((StatusCode::ACCEPTED, Json(Begun { state: "requested" })))
}

/// `POST /api/v1/calls/{id}/dtmf`: digits to the peer as telephone events.
pub(super) async fn dtmf(
    State(state): State<super::State>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<StatusCode, Problem> {
    auth::require(&state, &headers, Scope::Calls)?;
    let DtmfBody { digits, duration_ms, gap_ms } = read(body).await?;
    match session::dtmf(digits, duration_ms, gap_ms) {
        Ok(Control::Dtmf { digits, duration_ms, gap_ms }) => {
            order(&state, id, Order::Dtmf { digits, duration_ms, gap_ms }).await
        }
        Ok(_) => Err(Problem::bad_request("no digits")),
        Err((_, message)) => Err(Problem::bad_request(message)),
    }
}

/// `POST /api/v1/calls/{id}/mute`: whether the peer hears the agent.
pub(super) async fn mute(
    State(state): State<super::State>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<StatusCode, Problem> {
    auth::require(&state, &headers, Scope::Calls)?;
    let Switch { on } = read(body).await?;
    order(&state, id, Order::Mute(on)).await
}

/// `POST /api/v1/calls/{id}/hold`: whether the peer is on hold.
pub(super) async fn hold(
    State(state): State<super::State>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<StatusCode, Problem> {
    auth::require(&state, &headers, Scope::Calls)?;
    let Switch { on } = read(body).await?;
    order(&state, id, Order::Hold(on)).await
}

/// `POST /api/v1/calls/{id}/clear`: what the agent has queued is dropped.
pub(super) async fn clear(
    State(state): State<super::State>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<StatusCode, Problem> {
    auth::require(&state, &headers, Scope::Calls)?;
    order(&state, id, Order::Clear).await
}

async fn read<T: DeserializeOwned>(body: Body) -> Result<T, Problem> {
    let body = to_bytes(body, BODY_BYTES_MAX)
        .await
        .map_err(|_| Problem::bad_request(format!("the body is over {BODY_BYTES_MAX} bytes")))?;
    serde_json::from_slice(&body).map_err(|error| Problem::bad_request(error.to_string()))
}

async fn order(state: &super::State, call: String, order: Order) -> Result<StatusCode, Problem> {
    let done = state.calls.ask(|reply| Request::Order { call, order, reply }).await;
    done.ok_or_else(gone)??;
    Ok(StatusCode::NO_CONTENT)
}
