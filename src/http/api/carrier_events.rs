//! The sockets by which carriers tell what happens, where they open them themselves.

use std::sync::Arc;

use adapters::reverse::Reverse;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;

use super::attach;
use crate::bridge::handshake;
use crate::carrier::Account;
use crate::http::openapi::{Access, Resource, get};
use crate::http::path::Path;
use crate::http::problem::{Kind, Problem};
use crate::telemetry::HookOutcome;

const PATH: &str = "/api/v1/telephony/{provider}/event-socket/{config_token}";

pub(super) fn resource() -> Resource {
    Resource {
        tag: "events of carriers",
        about: "Sockets that carriers open to tell what happens.",
        endpoints: vec![
            get(PATH, "carrier_events", open)
                .summary("A WebSocket that a carrier opens to tell what happens to its calls.")
                .access(Access::Open)
                .answers(101, "the carrier's events follow")
                .refuses(&[
                    Kind::BadRequest,
                    Kind::NotFound,
                    Kind::NotUpgrade,
                    Kind::Unauthorized,
                    Kind::Unavailable,
                ]),
        ],
        schemas: Vec::new(),
    }
}

/// The configuration whose carrier opens its socket at that address.
fn awaited(
    state: &crate::http::State,
    provider: &str,
    token: &str,
) -> Option<(Arc<Account>, Reverse)> {
    let account = state.directory.load().carriers().by_token(provider, token).cloned()?;
    let reverse = account.spec.events?.reverse?;
    (reverse.wanted)(&account.config).then_some((account, reverse))
}

/// `GET /api/v1/telephony/{provider}/event-socket/{config_token}`, upgraded to a WebSocket.
async fn open(
    State(state): State<crate::http::State>,
    Path((provider, token)): Path<(String, String)>,
    mut request: Request,
) -> Result<Response, Problem> {
    let found = awaited(&state, &provider, &token);
    let (account, reverse) = found.ok_or_else(|| Problem::not_found("no such socket"))?;
    let metrics = &state.metrics.carriers;
    if let Err(error) = (reverse.verify)(request.headers(), &account.config) {
        let configuration = account.id;
        if state.guard.logs_stranger(metrics) {
            tracing::warn!(provider, %configuration, %error, "a socket of events is not proven");
        }
        metrics.hooked(account.spec.name, HookOutcome::Forged);
        return Err(Problem::new(Kind::Unauthorized, "the request is not the carrier's"));
    }
    let spoken = [reverse.subprotocol];
    let checked =
        handshake::check_request(request.method(), request.version(), request.headers(), &spoken);
    let upgrade = match checked {
        Ok(upgrade) => upgrade,
        Err(error) => return Ok(attach::refused(error)),
    };
    let door = state.exchanges.tunnels().door(account.id);
    let door = door.ok_or_else(|| Problem::new(Kind::Unavailable, "nobody awaits it here"))?;
    let upgraded = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        match upgraded.await {
            // If another waits already, this one is closed, and opened anew by the carrier.
            Ok(socket) => drop(door.try_send(socket)),
            Err(error) => tracing::debug!(%error, "a carrier went away while it opened a socket"),
        }
    });
    Ok((StatusCode::SWITCHING_PROTOCOLS, upgrade.response_headers()).into_response())
}
