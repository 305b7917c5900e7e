//! Captures over HTTP.

use axum::Json;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, StatusCode, header};
use uuid::Uuid;

use super::api::gone;
use super::auth;
use super::problem::Problem;
use crate::calls::request::{self, RequestError};
use crate::capture::Registry;
use crate::keys::Scope;
use crate::workers::poller::now;

/// `POST /api/v1/calls/{id}/capture`
pub(super) async fn start(
    State(state): State<super::State>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<StatusCode, Problem> {
    auth::require(&state, &headers, Scope::Calls).await?;
    let call: Uuid = id.parse().map_err(|_| RequestError::NoSuchCall)?;
    let started = state.calls.ask(|reply| request::Request::Capture { call, reply }).await;
    started.ok_or_else(gone)??;
    Ok(StatusCode::NO_CONTENT)
}

/// `GET /api/v1/calls/{id}/capture`
pub(super) async fn fetch(
    State(state): State<super::State>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    auth::require(&state, &headers, Scope::Calls).await?;
    let file = captured(&state, &id, |captures, id| captures.pcap(now(), id))?;
    let name = format!("attachment; filename=\"{id}.pcap\"");
    let head = [
        (header::CONTENT_TYPE, "application/vnd.tcpdump.pcap".to_owned()),
        (header::CONTENT_DISPOSITION, name),
    ];
    Ok((head, file).into_response())
}

/// `GET /api/v1/calls/{id}/messages`
pub(super) async fn messages(
    State(state): State<super::State>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    auth::require(&state, &headers, Scope::Calls).await?;
    let messages = captured(&state, &id, |captures, id| captures.messages(now(), id))?;
    Ok(Json(messages).into_response())
}

fn captured<T>(
    state: &super::State,
    id: &str,
    take: impl FnOnce(&mut Registry, Uuid) -> Option<T>,
) -> Result<T, Problem> {
    let call: Uuid = id.parse().map_err(|_| RequestError::NoSuchCall)?;
    let taken = state.captures.lock().ok().and_then(|mut captures| take(&mut captures, call));
    taken.ok_or_else(|| Problem::not_found("the call was not captured"))
}
