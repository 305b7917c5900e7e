//! Captures over HTTP.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{StatusCode, header};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{gone, owned};
use crate::calls::request;
use crate::capture::Registry;
use crate::http::auth::Caller;
use crate::http::openapi::{Resource, get, post, schema};
use crate::http::page::{self, Page, Wanted};
use crate::http::path::Path;
use crate::http::problem::{Kind, Problem};
use crate::keys::Scope;
use crate::workers::poller::now;

pub(super) fn resource() -> Resource {
    Resource {
        tag: "captures",
        about: "Packets and messages of calls, for fault-finding.",
        endpoints: vec![
            post("/api/v1/calls/{id}/capture", "start_capture", start)
                .summary("Captures a call's packets and messages from now on.")
                .retryable()
                .scope(Scope::Calls)
                .answers(204, "they are captured")
                .refuses(&[Kind::Conflict, Kind::Unavailable]),
            get("/api/v1/calls/{id}/capture", "fetch_capture", fetch)
                .summary("Fetches the packets that were captured.")
                .scope(Scope::Calls)
                .answers_with(
                    200,
                    "a file for Wireshark",
                    "application/vnd.tcpdump.pcap",
                    schema::format("binary"),
                ),
            get("/api/v1/calls/{id}/messages", "list_messages", messages)
                .summary("Lists the messages that were captured, secrets left out.")
                .scope(Scope::Calls)
                .query(page::parameters())
                .answers_json(200, "the messages", page::schema_of(schema::named("CallMessage"))),
        ],
        schemas: vec![("CallMessage", message_schema())],
    }
}

fn message_schema() -> Value {
    let text = || json!({"type": "string"});
    schema::object(
        &[
            ("sequence", schema::integer(1, i64::from(u32::MAX))),
            ("at_unix_ms", schema::count()),
            ("direction", schema::word(&["in", "out"])),
            ("protocol", schema::word(&["sip", "http"])),
            ("transport", schema::described(text(), "such as `UDP` or `https`")),
            ("from", schema::described(text(), "address and port, or `talkpath` over HTTP")),
            ("to", schema::described(text(), "the same")),
            ("summary", schema::described(text(), "its first line")),
            ("text", schema::described(text(), "the message, credentials and keys blanked")),
        ],
        &[
            ("method", schema::described(text(), "of a request over HTTP and its answer")),
            ("path", schema::described(text(), "the same, secrets blanked")),
            ("status", schema::described(schema::count(), "of an answer over HTTP")),
        ],
    )
}

/// `POST /api/v1/calls/{id}/capture`
async fn start(
    State(state): State<crate::http::State>,
    caller: Caller,
    Path(call): Path<Uuid>,
) -> Result<StatusCode, Problem> {
    owned(&state, caller.organisation, call).await?;
    let started = state.calls.ask(|reply| request::Request::Capture { call, reply }).await;
    started.ok_or_else(gone)??;
    Ok(StatusCode::NO_CONTENT)
}

/// `GET /api/v1/calls/{id}/capture`
async fn fetch(
    State(state): State<crate::http::State>,
    caller: Caller,
    Path(call): Path<Uuid>,
) -> Result<Response, Problem> {
    owned(&state, caller.organisation, call).await?;
    // Written once those who have messages to be kept need not wait for it.
    let file = captured(&state, call, |captures, id| captures.draft(now(), id))?.pcap();
    let name = format!("attachment; filename=\"{call}.pcap\"");
    let head = [
        (header::CONTENT_TYPE, "application/vnd.tcpdump.pcap".to_owned()),
        (header::CONTENT_DISPOSITION, name),
    ];
    Ok((head, file).into_response())
}

/// `GET /api/v1/calls/{id}/messages`
async fn messages(
    State(state): State<crate::http::State>,
    caller: Caller,
    Path(call): Path<Uuid>,
    wanted: Wanted,
) -> Result<axum::Json<Page<Value>>, Problem> {
    owned(&state, caller.organisation, call).await?;
    let after = wanted.after.map_or(0, |id| u32::try_from(id.as_u128()).unwrap_or(u32::MAX));
    let limit = wanted.with_next();
    let at_hand = captured(&state, call, |captures, id| {
        captures.messages(now(), id, after as usize, limit as usize)
    });
    let found: Vec<Value> = match at_hand {
        Ok(shown) => shown.iter().filter_map(|it| serde_json::to_value(it).ok()).collect(),
        // Others needed the room, or the server was started again.
        Err(none) => {
            let kept = state.store.messages(caller.organisation, call, after, limit).await?;
            if kept.is_empty() && after == 0 {
                return Err(none);
            }
            kept
        }
    };
    let sequence = |message: &Value| message.get("sequence").and_then(Value::as_u64).unwrap_or(0);
    let place = |message: &Value| Uuid::from_u128(sequence(message).into());
    Ok(axum::Json(Page::cut(found, wanted.limit, place)))
}

fn captured<T>(
    state: &crate::http::State,
    call: Uuid,
    take: impl FnOnce(&mut Registry, Uuid) -> Option<T>,
) -> Result<T, Problem> {
    let taken = state.captures.lock().ok().and_then(|mut captures| {
        captures.forget_old(now());
        take(&mut captures, call)
    });
    taken.ok_or_else(|| Problem::not_found("the call was not captured"))
}
