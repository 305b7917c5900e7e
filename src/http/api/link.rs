//! Agents that attach with one socket for all their calls.

use axum::extract::{Request, State};
use axum::response::Response;

use super::{attach, gone};
use crate::calls::request::{self, LinkRefusal};
use crate::http::auth::Caller;
use crate::http::openapi::{Resource, get};
use crate::http::path::Path;
use crate::http::problem::Problem;

pub(super) fn resource() -> Resource {
    Resource {
        tag: "agents that attach",
        about: "The streams of all calls of an agent that is not dialled.",
        endpoints: vec![attach::of_agents(
            get("/api/v1/agents/{id}/link", "attach_link", link)
                .summary(
                    "Attaches as an agent, by its id or name, with a WebSocket that all its calls \
                     on this node share.",
                )
                .answers(101, "the streams of its calls follow"),
        )],
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
async fn link(
    State(state): State<crate::http::State>,
    caller: Caller,
    Path(agent): Path<String>,
    request: Request,
) -> Result<Response, Problem> {
    let organisation = caller.organisation.0;
    let named = agent.clone();
    let may = state.calls.ask(|reply| {
        let agent = named;
        request::Request::MayLink { of: organisation, agent, reply }
    });
    let spoken = [may.await.ok_or_else(gone)??];
    let taken = move |socket| request::Request::Link { of: organisation, agent, socket };
    Ok(attach::upgrade(state, request, &spoken, taken))
}
