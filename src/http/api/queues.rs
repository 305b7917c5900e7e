//! Where calls wait for the next of several agents.

use axum::extract;
use serde_json::{Value, json};

use super::gone;
use crate::calls::queued::QueueView;
use crate::calls::request::Request;
use crate::config::Strategy;
use crate::http::auth::Caller;
use crate::http::openapi::{Resource, get, schema};
use crate::http::path::Path;
use crate::http::problem::{Kind, Problem};
use crate::keys::Scope;

pub(super) fn resource() -> Resource {
    let items = schema::list(schema::named("Queue"));
    Resource {
        tag: "queues",
        about: "Where calls wait for the next of several agents, as they stand at this server.",
        endpoints: vec![
            get("/api/v1/queues", "list_queues", list)
                .summary("Lists the queues, with who waits and who takes calls.")
                .scope(Scope::Read)
                .answers_json(200, "the queues", schema::object(&[("items", items)], &[]))
                .refuses(&[Kind::Unavailable]),
            get("/api/v1/queues/{name}", "show_queue", show)
                .summary("Shows a queue.")
                .scope(Scope::Read)
                .answers_json(200, "the queue", schema::named("Queue"))
                .refuses(&[Kind::Unavailable]),
        ],
        schemas: vec![("Queue", queue_schema())],
    }
}

fn queue_schema() -> Value {
    let text = || json!({"type": "string"});
    let count = |about| schema::described(schema::count(), about);
    let member = schema::object(
        &[
            ("agent", text()),
            ("calls", count("those that it has or is rung for, from whatever queue")),
            ("max_calls", count("those that this queue lets it have at once")),
            ("rests_ms", count("it did not answer, and is passed over for so long")),
        ],
        &[],
    );
    let call = schema::object(
        &[
            ("id", schema::format("uuid")),
            ("from", text()),
            ("position", count("its place in the order: the first is 1")),
            ("waited_ms", schema::count()),
            ("offered_to", schema::nullable(text())),
        ],
        &[],
    );
    let strategies = Strategy::ALL.map(|(word, _)| word);
    schema::object(
        &[
            ("name", text()),
            ("strategy", schema::word(&strategies)),
            ("max_waiting", schema::count()),
            ("max_wait_s", schema::count()),
            ("waiting", schema::count()),
            ("longest_wait_ms", schema::count()),
            ("served", count("calls that members took since the server started")),
            ("abandoned", count("calls hung up while they waited")),
            ("overflowed", count("calls that had no place, or waited for too long")),
            ("members", schema::list(member)),
            ("calls", schema::described(schema::list(call), "that wait, the next first")),
        ],
        &[],
    )
}

async fn queues(state: &crate::http::State, caller: &Caller) -> Result<Vec<QueueView>, Problem> {
    let of = caller.organisation.0;
    state.calls.ask(|reply| Request::Queues { of, reply }).await.ok_or_else(gone)
}

/// `GET /api/v1/queues`
async fn list(
    extract::State(state): extract::State<crate::http::State>,
    caller: Caller,
) -> Result<axum::Json<Value>, Problem> {
    let items = queues(&state, &caller).await?;
    Ok(axum::Json(json!({ "items": items })))
}

/// `GET /api/v1/queues/{name}`
async fn show(
    extract::State(state): extract::State<crate::http::State>,
    caller: Caller,
    Path(name): Path<String>,
) -> Result<axum::Json<QueueView>, Problem> {
    let found = queues(&state, &caller).await?.into_iter().find(|queue| queue.name == name);
    found.map(axum::Json).ok_or_else(|| Problem::not_found("no such queue"))
}
