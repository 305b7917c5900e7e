//! Living calls over HTTP.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{StatusCode, header};
use serde_json::json;

use super::{RETRY_AFTER_S, gone};
use crate::calls::CallView;
use crate::calls::request::{self, PlaceCall, RequestError};
use crate::http::body::Json;
use crate::http::openapi::{Resource, get, post, schema};
use crate::http::path::Path;
use crate::http::problem::{Kind, Problem};
use crate::keys::Scope;

impl From<RequestError> for Problem {
    fn from(error: RequestError) -> Self {
        match error {
            RequestError::Field { .. } | RequestError::Invalid(_) => {
                Self::bad_request(error.to_string())
            }
            RequestError::Destination(_) => Self::destination(error.to_string()),
            RequestError::Full | RequestError::Limit(_) | RequestError::Draining => {
                Self::unavailable(error.to_string(), RETRY_AFTER_S)
            }
            RequestError::NoSuchCall => Self::not_found(error.to_string()),
            RequestError::NotWaiting | RequestError::State(_) => Self::conflict(error.to_string()),
        }
    }
}

pub(super) fn resource() -> Resource {
    let call = || schema::named("Call");
    Resource {
        tag: "calls",
        about: "Calls that live: placed, seen, ended.",
        endpoints: vec![
            get("/api/v1/calls", "list_calls", list)
                .summary("Lists the calls that live.")
                .scope(Scope::Read)
                .answers_json(200, "the calls", schema::list(call()))
                .refuses(&[Kind::Unavailable]),
            post("/api/v1/calls", "place_call", place)
                .summary("Places a call.")
                .scope(Scope::Calls)
                .json(schema::named("PlaceCall"))
                .answers_json(201, "the call, which rings or will", call())
                .refuses(&[Kind::Destination, Kind::Unavailable]),
            get("/api/v1/calls/{id}", "show_call", show)
                .summary("Shows a call that lives.")
                .scope(Scope::Read)
                .answers_json(200, "the call", call())
                .refuses(&[Kind::Unavailable]),
            post("/api/v1/calls/{id}/hangup", "hang_up_call", hang_up)
                .summary("Hangs up.")
                .scope(Scope::Calls)
                .answers(204, "the call ends")
                .refuses(&[Kind::Conflict, Kind::Unavailable]),
        ],
        schemas: vec![("Call", view_schema()), ("PlaceCall", place_schema())],
    }
}

fn view_schema() -> serde_json::Value {
    let text = || json!({"type": "string"});
    schema::object(
        &[
            ("id", schema::format("uuid")),
            ("direction", schema::word(&["inbound", "outbound"])),
            ("state", schema::word(&["ringing", "answered", "ending"])),
            ("from", schema::described(text(), "the calling address")),
            ("to", schema::described(text(), "the called address")),
            ("trunk", schema::nullable(text())),
            ("agent", text()),
            ("began_unix_ms", schema::count()),
            ("duration_ms", schema::described(schema::count(), "from the answer to now")),
        ],
        &[],
    )
}

fn place_schema() -> serde_json::Value {
    let text = || json!({"type": "string"});
    let seconds = || schema::nullable(schema::count());
    schema::object(
        &[
            ("to", schema::described(text(), "a SIP URI; with a trunk also a number")),
            ("agent", schema::described(text(), "name of the agent that talks")),
        ],
        &[
            ("trunk", schema::nullable(text())),
            ("from", schema::nullable(text())),
            (
                "from_name",
                schema::described(schema::nullable(text()), "the name displayed beside it"),
            ),
            (
                "privacy",
                schema::described(
                    schema::nullable(schema::word(&["none", "id"])),
                    "whether the caller is withheld from the called party",
                ),
            ),
            (
                "headers",
                schema::described(
                    json!({"type": "object", "additionalProperties": {"type": "string"}}),
                    "SIP headers to add to the INVITE, as far as the trunk lets them out",
                ),
            ),
            ("ring_timeout_s", schema::described(seconds(), "how long it may ring")),
            ("max_duration_s", schema::described(seconds(), "how long it may last")),
            ("variables", schema::texts()),
        ],
    )
}

/// `GET /api/v1/calls`
async fn list(
    State(state): State<crate::http::State>,
) -> Result<axum::Json<Vec<CallView>>, Problem> {
    let calls = state.calls.ask(|reply| request::Request::List { reply }).await;
    Ok(axum::Json(calls.ok_or_else(gone)?))
}

/// `GET /api/v1/calls/{id}`
async fn show(
    State(state): State<crate::http::State>,
    Path(id): Path<String>,
) -> Result<axum::Json<CallView>, Problem> {
    let calls = state.calls.ask(|reply| request::Request::List { reply }).await;
    let mut calls = calls.ok_or_else(gone)?.into_iter();
    let call = calls.find(|call| call.id.to_string() == id);
    Ok(axum::Json(call.ok_or(RequestError::NoSuchCall)?))
}

/// `POST /api/v1/calls`
async fn place(
    State(state): State<crate::http::State>,
    Json(call): Json<PlaceCall>,
) -> Result<Response, Problem> {
    let placed = state.calls.ask(|reply| request::Request::Place { call, reply }).await;
    let view = placed.ok_or_else(gone)??;
    let location = format!("/api/v1/calls/{}", view.id);
    Ok((StatusCode::CREATED, [(header::LOCATION, location)], axum::Json(view)).into_response())
}

/// `POST /api/v1/calls/{id}/hangup`
async fn hang_up(
    State(state): State<crate::http::State>,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    let hung = state.calls.ask(|reply| request::Request::HangUp { call: id, reply }).await;
    hung.ok_or_else(gone)??;
    Ok(StatusCode::NO_CONTENT)
}
