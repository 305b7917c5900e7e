//! The media sockets that carriers open.

use std::time::{SystemTime, UNIX_EPOCH};

use adapters::hook::{HookRequest, VerifyError};
use adapters::secret::Secret;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use uuid::Uuid;

use super::{attach, gone};
use crate::bridge::handshake;
use crate::calls::media_token::MEDIA_PATH;
use crate::calls::request;
use crate::http::openapi::{Access, Resource, get};
use crate::http::path::Path;
use crate::http::problem::{Kind, Problem};

pub(super) fn resource() -> Resource {
    Resource {
        tag: "carriers",
        about: "What carriers ask for.",
        endpoints: vec![
            get(MEDIA_PATH, "carrier_media", open)
                .summary("The audio of a call, on a WebSocket that its carrier opens.")
                .access(Access::Open)
                .answers(101, "the carrier's media stream follows")
                .refuses(&[Kind::BadRequest, Kind::Forbidden, Kind::NotUpgrade, Kind::Unavailable]),
        ],
        schemas: Vec::new(),
    }
}

/// `GET /api/v1/telephony/ws/{provider}/{call_id}/{token}`, upgraded to a WebSocket.
async fn open(
    State(state): State<crate::http::State>,
    Path((provider, call, token)): Path<(String, Uuid, String)>,
    mut request: Request,
) -> Result<Response, Problem> {
    // No carrier needs a subprotocol, and to one that offers some anyway none is named.
    let spoken = &[];
    let checked =
        handshake::check_request(request.method(), request.version(), request.headers(), spoken);
    let upgrade = match checked {
        Ok(upgrade) => upgrade,
        Err(error) => return Ok(attach::refused(error)),
    };
    let token = Secret::new(token);
    let may = state
        .calls
        .ask(|reply| request::Request::LineComes { call, provider, token, reply })
        .await
        .ok_or_else(gone)?;
    let proof = may.map_err(|error| {
        // Whoever has no token learns nothing, not even whether there is such a call.
        if state.guard.logs_stranger(&state.metrics.carriers) {
            tracing::warn!(%error, "a media socket was refused");
        }
        Problem::not_found("no such stream")
    })?;
    if let Some(proof) = proof
        && let Err(error) = prove(&state, &proof, &request)
    {
        if state.guard.logs_stranger(&state.metrics.carriers) {
            tracing::warn!(%error, "a media socket was refused");
        }
        state.calls.send(request::Request::LineOpen { call, socket: None }).await;
        return Err(Problem::new(Kind::Forbidden, "the request is not the carrier's"));
    }
    let upgraded = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        let socket = match upgraded.await.map(attach::socket) {
            Ok(socket) => socket,
            Err(error) => {
                tracing::debug!(%error, "a carrier went away while it opened its media socket");
                None
            }
        };
        state.calls.send(request::Request::LineOpen { call, socket }).await;
    });
    Ok((StatusCode::SWITCHING_PROTOCOLS, upgrade.response_headers()).into_response())
}

/// Proves that it is the carrier that opens the socket, over the address that it was given.
fn prove(
    state: &crate::http::State,
    proof: &request::SocketProof,
    request: &Request,
) -> Result<(), VerifyError> {
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
    // `ws` for `http`, and so `wss` for `https`.
    let url = format!("{}{path}", state.base_url.replacen("http", "ws", 1));
    let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let hook = HookRequest {
        method: request.method(),
        url: &url,
        headers: request.headers(),
        body: b"",
        unix_s: unix.as_secs(),
    };
    (proof.verify)(&hook, &proof.config)
}
