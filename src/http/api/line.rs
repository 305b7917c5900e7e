//! The media sockets that carriers open.

use std::time::{SystemTime, UNIX_EPOCH};

use adapters::hook::{Certainty, HookRequest, VerifyError};
use adapters::media_socket;
use adapters::secret::Secret;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde::Deserialize;
use uuid::Uuid;

use super::{attach, gone};
use crate::bridge::handshake;
use crate::calls::media_token::MEDIA_PATH;
use crate::calls::request;
use crate::http::client::Client;
use crate::http::openapi::{Access, Query as Parameter, Resource, get, schema};
use crate::http::page::Query;
use crate::http::path::Path;
use crate::http::problem::{Kind, Problem};

/// The same place, with the rest of it in the query.
const QUERY_PATH: &str = "/api/v1/telephony/ws/{provider}";

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
            get(QUERY_PATH, "carrier_media_by_query", open_by_query)
                .summary("The same, for a carrier that can add parameters to an address alone.")
                .access(Access::Open)
                .query(vec![
                    Parameter {
                        name: "call",
                        schema: schema::format("uuid"),
                        description: "the call",
                    },
                    Parameter {
                        name: "token",
                        schema: schema::text(64),
                        description: "the token of one use",
                    },
                ])
                .answers(101, "the carrier's media stream follows")
                .refuses(&[Kind::Forbidden, Kind::NotUpgrade, Kind::Unavailable]),
        ],
        schemas: Vec::new(),
    }
}

/// `GET /api/v1/telephony/ws/{provider}/{call_id}/{token}`, upgraded to a WebSocket.
async fn open(
    State(state): State<crate::http::State>,
    Path((provider, call, token)): Path<(String, Uuid, String)>,
    request: Request,
) -> Result<Response, Problem> {
    // None of these needs a subprotocol, and to one that offers some anyway none is named.
    let_in(state, (provider, call, token), request, &[]).await
}

/// What the query says in the place of the path.
#[derive(Deserialize)]
struct Named {
    call: Uuid,
    token: String,
}

/// `GET /api/v1/telephony/ws/{provider}?call=…&token=…`, upgraded to a WebSocket.
async fn open_by_query(
    State(state): State<crate::http::State>,
    Path(provider): Path<String>,
    Query(Named { call, token }): Query<Named>,
    request: Request,
) -> Result<Response, Problem> {
    let_in(state, (provider, call, token), request, &[media_socket::SUBPROTOCOL]).await
}

/// Lets a socket in that brings the token of its call.
async fn let_in(
    state: crate::http::State,
    named: (String, Uuid, String),
    request: Request,
    spoken: &[&'static str],
) -> Result<Response, Problem> {
    let checked =
        handshake::check_request(request.method(), request.version(), request.headers(), spoken);
    let upgrade = match checked {
        Ok(upgrade) => upgrade,
        Err(error) => return Ok(attach::refused(error)),
    };
    // Whoever knocks may go away: a token that it has spent by then is given back.
    let knocked = tokio::spawn(knock(state, named, request));
    knocked.await.map_err(|_| Problem::internal())??;
    Ok((StatusCode::SWITCHING_PROTOCOLS, upgrade.response_headers()).into_response())
}

/// Spends the token of a call, and lets its socket follow.
async fn knock(
    state: crate::http::State,
    (provider, call, token): (String, Uuid, String),
    mut request: Request,
) -> Result<(), Problem> {
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
    match proof.map(|proof| prove(&state, &proof, &request)) {
        None | Some(Ok(Certainty::Proven)) => {}
        // Its token is that of a call, so that nobody else can fill the log with this.
        Some(Ok(Certainty::Doubtful { error, hint })) => {
            tracing::warn!(%call, %error, hint, "a media socket is let in that is not proven");
        }
        Some(Err(error)) => return Err(not_proven(&state, call, error).await),
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
    Ok(())
}

/// Refuses a socket that brings the token of its call, and not what its carrier proves itself with.
async fn not_proven(state: &crate::http::State, call: Uuid, error: VerifyError) -> Problem {
    if state.guard.logs_stranger(&state.metrics.carriers) {
        tracing::warn!(%error, "a media socket was refused");
    }
    state.calls.send(request::Request::LineOpen { call, socket: None }).await;
    Problem::new(Kind::Forbidden, "the request is not the carrier's")
}

/// Proves that it is the carrier that opens the socket, over the address that it was given.
fn prove(
    state: &crate::http::State,
    proof: &request::SocketProof,
    request: &Request,
) -> Result<Certainty, VerifyError> {
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
        from: request.extensions().get::<Client>().map(|client| client.address),
    };
    (proof.verify)(&hook, &proof.config)
}
