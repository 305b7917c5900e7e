//! Living calls over HTTP.

use axum::body::{Body, to_bytes};
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use axum::{Json, http::Request};
use http::{HeaderMap, StatusCode, header};

use adapters::dialect::{AGENT_REST, RestAnswer, RestOutcome};

use super::auth;
use super::problem::Problem;
use crate::calls::CallView;
use crate::calls::request::{self, PlaceCall, RequestError};
use crate::keys::Scope;

/// The longest body of a request, in bytes.
pub(super) const BODY_BYTES_MAX: usize = 64 * 1024;
/// Seconds after which a client that was refused may come again.
const RETRY_AFTER_S: u32 = 5;

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

/// What is told when the call control has ended.
pub(super) fn gone() -> Problem {
    Problem::unavailable("the server goes down", RETRY_AFTER_S)
}

/// `GET /api/v1/calls`
pub(super) async fn list(
    State(state): State<super::State>,
    headers: HeaderMap,
) -> Result<Json<Vec<CallView>>, Problem> {
    auth::require(&state, &headers, Scope::Read)?;
    let calls = state.calls.ask(|reply| request::Request::List { reply }).await;
    Ok(Json(calls.ok_or_else(gone)?))
}

/// `GET /api/v1/calls/{id}`
pub(super) async fn show(
    State(state): State<super::State>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Json<CallView>, Problem> {
    auth::require(&state, &headers, Scope::Read)?;
    let calls = state.calls.ask(|reply| request::Request::List { reply }).await;
    let mut calls = calls.ok_or_else(gone)?.into_iter();
    let call = calls.find(|call| call.id.to_string() == id);
    Ok(Json(call.ok_or(RequestError::NoSuchCall)?))
}

/// `POST /api/v1/calls`
pub(super) async fn place(
    State(state): State<super::State>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    auth::require(&state, &headers, Scope::Calls)?;
    let body = to_bytes(body, BODY_BYTES_MAX)
        .await
        .map_err(|_| Problem::bad_request(format!("the body is over {BODY_BYTES_MAX} bytes")))?;
    let call: PlaceCall =
        serde_json::from_slice(&body).map_err(|error| Problem::bad_request(error.to_string()))?;
    let placed = state.calls.ask(|reply| request::Request::Place { call, reply }).await;
    let view = placed.ok_or_else(gone)??;
    let location = format!("/api/v1/calls/{}", view.id);
    Ok((StatusCode::CREATED, [(header::LOCATION, location)], Json(view)).into_response())
}

/// `POST /api/v1/calls/{id}/hangup`
pub(super) async fn hang_up(
    State(state): State<super::State>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<StatusCode, Problem> {
    auth::require(&state, &headers, Scope::Calls)?;
    let hung = state.calls.ask(|reply| request::Request::HangUp { call: id, reply }).await;
    hung.ok_or_else(gone)??;
    Ok(StatusCode::NO_CONTENT)
}

/// An agent of a dialect ends its call in the dialect's own form.
pub(super) async fn agent_rest(
    index: usize,
    State(state): State<super::State>,
    request: Request<Body>,
) -> Response {
    let Some(rest) = AGENT_REST.get(index) else { return nothing().await.into_response() };
    let (parts, body) = request.into_parts();
    if !auth::basic(&state, &parts.headers, Scope::Calls) {
        return answer((rest.unauthorized)());
    }
    let Ok(body) = to_bytes(body, BODY_BYTES_MAX).await else {
        return Problem::bad_request("the body is too long").into_response();
    };
    let hangup = match (rest.read)(parts.uri.path(), &body) {
        Ok(hangup) => hangup,
        Err(refused) => return answer(refused),
    };
    let call = hangup.call_id.clone();
    let hung = state.calls.ask(|reply| request::Request::HangUp { call, reply }).await;
    match hung {
        Some(Ok(())) => answer((rest.answer)(&hangup, RestOutcome::Ended)),
        Some(Err(_)) => answer((rest.answer)(&hangup, RestOutcome::NoSuchCall)),
        None => gone().into_response(),
    }
}

fn answer(answer: RestAnswer) -> Response {
    let kind = [(header::CONTENT_TYPE, answer.content_type)];
    (answer.status, kind, answer.body).into_response()
}

/// Everything else.
pub(super) async fn nothing() -> Problem {
    Problem::not_found("no such path")
}
