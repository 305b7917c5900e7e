//! Agents that attach with one socket for all their calls.

use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;

use super::attach::{refused, socket};
use super::gone;
use crate::bridge::handshake;
use crate::calls::request::{self, LinkRefusal};
use crate::http::auth::Caller;
use crate::http::openapi::{Resource, get};
use crate::http::path::Path;
use crate::http::problem::{Kind, Problem};
use crate::keys::Scope;

pub(super) fn resource() -> Resource {
    Resource {
        tag: "agents that attach",
        about: "The streams of all calls of an agent that is not dialled.",
        endpoints: vec![
            get("/api/v1/agents/{id}/link", "attach_link", attach)
                .summary(
                    "Attaches as an agent, by its id or name, with a WebSocket that all its calls \
                     on this node share.",
                )
                .scope(Scope::Calls)
                .answers(101, "the streams of its calls follow")
                .refuses(&[
                    Kind::BadRequest,
                    Kind::Csrf,
                    Kind::Conflict,
                    Kind::NotUpgrade,
                    Kind::Unavailable,
                ]),
        ],
        schemas: Vec::new(),
    }
}

impl From<LinkRefusal> for Problem {
    fn from(refusal: LinkRefusal) -> Self {
        match refusal {
            LinkRefusal::NoSuchAgent => Self::not_found("nothing has this id"),
            LinkRefusal::NotLinking => Self::conflict(refusal.to_string()),
        }
    }
}

/// `GET /api/v1/agents/{id}/link`, upgraded to a WebSocket.
async fn attach(
    State(state): State<crate::http::State>,
    caller: Caller,
    Path(agent): Path<String>,
    mut request: Request,
) -> Result<Response, Problem> {
    let organisation = caller.organisation.0;
    let named = agent.clone();
    let may = state.calls.ask(|reply| {
        let agent = named;
        request::Request::MayLink { of: organisation, agent, reply }
    });
    let spoken = [may.await.ok_or_else(gone)??];
    let checked =
        handshake::check_request(request.method(), request.version(), request.headers(), &spoken);
    let upgrade = match checked {
        Ok(upgrade) => upgrade,
        Err(error) => return Ok(refused(error)),
    };
    let upgraded = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        match upgraded.await.map(socket) {
            Ok(Some(socket)) => {
                state.calls.send(request::Request::Link { of: organisation, agent, socket }).await;
            }
            Ok(None) => tracing::error!("an attached agent's socket was lost"),
            Err(error) => tracing::debug!(%error, "an agent went away while it attached"),
        }
    });
    Ok((StatusCode::SWITCHING_PROTOCOLS, upgrade.response_headers()).into_response())
}
