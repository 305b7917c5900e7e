//! Agents that attach to a call instead of being dialled.

use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use uuid::Uuid;

use super::{gone, owned};
use crate::agent::socket::{AgentSocket, Role};
use crate::bridge::handshake::{self, HandshakeError};
use crate::calls::request;
use crate::http::auth::Caller;
use crate::http::openapi::{Endpoint, Resource, get};
use crate::http::path::Path;
use crate::http::problem::{Kind, Problem};
use crate::http::socket::Socket;
use crate::keys::Scope;

pub(super) fn resource() -> Resource {
    Resource {
        tag: "agents that attach",
        about: "The stream of a call for an agent that is not dialled.",
        endpoints: vec![of_agents(
            get("/api/v1/calls/{id}/stream", "attach_agent", attach)
                .summary("Attaches to a call as its agent, over a WebSocket.")
                .answers(101, "the stream of the call follows"),
        )],
        schemas: Vec::new(),
    }
}

/// Who may open a socket of an agent, and what that is refused for.
pub(super) fn of_agents(endpoint: Endpoint) -> Endpoint {
    endpoint.scope(Scope::Calls).refuses(&[
        Kind::BadRequest,
        Kind::Csrf,
        Kind::Conflict,
        Kind::NotUpgrade,
        Kind::Unavailable,
    ])
}

/// `GET /api/v1/calls/{id}/stream`, upgraded to a WebSocket.
async fn attach(
    State(state): State<crate::http::State>,
    caller: Caller,
    Path(call): Path<Uuid>,
    request: Request,
) -> Result<Response, Problem> {
    owned(&state, caller.organisation, call).await?;
    let may = state.calls.ask(|reply| request::Request::MayAttach { call, reply }).await;
    let spoken: Vec<&'static str> = may.ok_or_else(gone)??.into_iter().collect();
    let taken = move |socket| request::Request::Attach { call, socket };
    Ok(upgrade(state, request, &spoken, taken))
}

/// Shakes hands with an agent over one of the protocols `spoken`. Its socket goes to the calls, as
/// `taken` says.
pub(super) fn upgrade(
    state: crate::http::State,
    mut request: Request,
    spoken: &[&'static str],
    taken: impl FnOnce(AgentSocket) -> request::Request + Send + 'static,
) -> Response {
    let checked =
        handshake::check_request(request.method(), request.version(), request.headers(), spoken);
    let upgrade = match checked {
        Ok(upgrade) => upgrade,
        Err(error) => return refused(error),
    };
    let upgraded = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        match upgraded.await.map(socket) {
            Ok(Some(socket)) => state.calls.send(taken(socket)).await,
            Ok(None) => tracing::error!("an attached agent's socket was lost"),
            Err(error) => tracing::debug!(%error, "an agent went away while it attached"),
        }
    });
    (StatusCode::SWITCHING_PROTOCOLS, upgrade.response_headers()).into_response()
}

/// The answer to a handshake that is none.
pub(in crate::http) fn refused(error: HandshakeError) -> Response {
    let kind = match error.status() {
        StatusCode::UPGRADE_REQUIRED => Kind::NotUpgrade,
        _ => Kind::BadRequest,
    };
    let mut response = Problem::new(kind, error.to_string()).into_response();
    response.headers_mut().extend(error.headers());
    response
}

/// The bare socket beneath an upgraded connection, with the state of its TLS.
pub(in crate::http) fn socket(upgraded: Upgraded) -> Option<AgentSocket> {
    let parts = upgraded.downcast::<TokioIo<Socket>>().ok()?;
    let (stream, tls) = parts.io.into_inner().into_line().into_parts().ok()?;
    Some(AgentSocket { stream, tls, unread: parts.read_buf.to_vec(), role: Role::Server })
}
