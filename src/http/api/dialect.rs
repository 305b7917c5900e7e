//! What agents of a dialect ask in the dialect's own form.

use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use http::header;
use serde_json::json;

use adapters::dialect::{AGENT_REST, RestAnswer, RestOutcome};

use super::{gone, owned};
use crate::calls::request;
use crate::http::openapi::{Access, Resource, post, schema};
use crate::http::problem::Kind;
use crate::http::{auth, body};
use crate::keys::Scope;

/// An id of each entry of the table, for the document.
const IDS: [&str; AGENT_REST_LEN] = ["dialect_hang_up"];
/// Requests that dialects know.
const AGENT_REST_LEN: usize = 1;

pub(super) fn resource() -> Resource {
    let endpoints = AGENT_REST.iter().zip(IDS).map(|(rest, id)| {
        let error = || schema::any_object();
        post(rest.path, id, move |state, request| end(rest, state, request))
            .summary("Ends a call in the form of the carrier whose dialect the agent speaks.")
            .access(Access::Basic(Scope::Calls))
            .takes(
                "application/x-www-form-urlencoded",
                json!({"type": "object", "properties": {"Status": {"type": "string"}}}),
            )
            .answers_json(200, "the call ends", error())
            .answers_json(400, "asks for something else", error())
            .answers_json(401, "no API key as password", error())
            .answers_json(404, "no such call", error())
            .refuses(&[Kind::Unavailable])
    });
    Resource {
        tag: "dialects",
        about: "For agents written for a carrier.",
        endpoints: endpoints.collect(),
        schemas: Vec::new(),
    }
}

/// An agent of a dialect ends its call in the dialect's own form.
async fn end(
    rest: &'static adapters::dialect::AgentRest,
    State(state): State<crate::http::State>,
    request: Request,
) -> Response {
    let (parts, body) = request.into_parts();
    let caller = auth::basic(&state, &parts.extensions, &parts.headers, Scope::Calls).await;
    let caller = match caller {
        Ok(Some(caller)) => caller,
        Ok(None) => return answer((rest.unauthorized)()),
        Err(problem) => return problem.into_response(),
    };
    let body = match body::whole(body).await {
        Ok(body) => body,
        Err(problem) => return problem.into_response(),
    };
    let hangup = match (rest.read)(parts.uri.path(), &body) {
        Ok(hangup) => hangup,
        Err(refused) => return answer(refused),
    };
    let id = hangup.call_id.parse().ok();
    let owned = match id {
        Some(id) => owned(&state, caller.organisation, id).await.is_ok(),
        None => false,
    };
    if !owned {
        return answer((rest.answer)(&hangup, RestOutcome::NoSuchCall));
    }
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
