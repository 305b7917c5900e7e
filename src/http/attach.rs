//! Agents that attach to a call instead of being dialled.

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::Request;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use uuid::Uuid;

use super::api::gone;
use super::auth;
use super::problem::Problem;
use crate::agent::socket::{AgentSocket, Role};
use crate::bridge::handshake;
use crate::calls::request::{self, RequestError};
use crate::keys::Scope;

/// `GET /api/v1/calls/{id}/stream`, upgraded to a WebSocket.
pub(super) async fn attach(
    State(state): State<super::State>,
    Path(id): Path<String>,
    mut request: Request<Body>,
) -> Result<Response, Problem> {
    auth::require(&state, request.headers(), Scope::Calls).await?;
    let call: Uuid = id.parse().map_err(|_| RequestError::NoSuchCall)?;
    let may = state.calls.ask(|reply| request::Request::MayAttach { call, reply }).await;
    let spoken: Vec<&'static str> = may.ok_or_else(gone)??.into_iter().collect();
    let checked =
        handshake::check_request(request.method(), request.version(), request.headers(), &spoken);
    let upgrade = match checked {
        Ok(upgrade) => upgrade,
        Err(error) => {
            let mut response = Problem::bad_request(error.to_string()).into_response();
            *response.status_mut() = error.status();
            response.headers_mut().extend(error.headers());
            return Ok(response);
        }
    };
    let upgraded = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        match upgraded.await.map(socket) {
            Ok(Some(socket)) => {
                state.calls.send(request::Request::Attach { call, socket }).await;
            }
            Ok(None) => tracing::error!("an attached agent's socket was lost"),
            Err(error) => tracing::debug!(%error, "an agent went away while it attached"),
        }
    });
    Ok((StatusCode::SWITCHING_PROTOCOLS, upgrade.response_headers()).into_response())
}

/// The bare socket beneath an upgraded connection.
fn socket(upgraded: Upgraded) -> Option<AgentSocket> {
    let parts = upgraded.downcast::<TokioIo<TcpStream>>().ok()?;
    let stream = parts.io.into_inner().into_std().ok()?;
    Some(AgentSocket { stream, tls: None, unread: parts.read_buf.to_vec(), role: Role::Server })
}
