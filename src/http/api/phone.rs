//! Calls of people on web pages: begun here, heard over a socket that the page opens next.

use axum::Extension;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{StatusCode, header};
use serde::Serialize;
use serde_json::{Value, json};

use super::gone;
use crate::calls::CallView;
use crate::calls::request;
use crate::calls::web_phone::{PhoneCall, PhoneCaller, PhoneLine, SOCKET_WITHIN};
use crate::http::auth::Caller;
use crate::http::body::Json;
use crate::http::openapi::{Resource, post, schema};
use crate::http::problem::{Kind, Problem};
use crate::keys::{KeyInfo, Scope};
use crate::store::Timestamp;

pub(super) fn resource() -> Resource {
    Resource {
        tag: "web phone",
        about: "Calls of people on web pages, who need no telephone and no carrier.",
        endpoints: vec![
            post("/api/v1/phone", "call_by_web_phone", call)
                .summary("Begins a call of a person on a web page, which opens its socket next.")
                .scope(Scope::Calls)
                .json(schema::named("PhoneCall"))
                .answers_json(201, "the call waits for its page's socket", line_schema())
                .refuses(&[Kind::Budget, Kind::Suspended, Kind::Unavailable]),
        ],
        schemas: vec![("PhoneCall", call_schema())],
    }
}

fn call_schema() -> Value {
    let text = |about| schema::described(schema::nullable(json!({"type": "string"})), about);
    let rates = adapters::phone::RATES_HZ;
    schema::object(
        &[],
        &[
            ("agent", text("name of the agent that talks")),
            ("to", text("in its place: the number or user that is called")),
            ("trunk", text("the trunk that `to` is treated as if it were called by")),
            (
                "telephony_configuration_id",
                schema::described(
                    schema::nullable(schema::format("uuid")),
                    "the configuration that it is treated as if it were called by; without \
                     either, the one that has the number",
                ),
            ),
            ("from", text("who calls, for routes and the agent; the key's name if absent")),
            (
                "rate_hz",
                schema::described(
                    schema::nullable(json!({"type": "integer", "enum": rates})),
                    "samples a second, both ways; 16000 if absent",
                ),
            ),
            (
                "max_duration_s",
                schema::described(schema::nullable(schema::count()), "how long it may last"),
            ),
            ("variables", schema::texts()),
        ],
    )
}

fn line_schema() -> Value {
    let format = schema::object(
        &[
            ("codec", schema::word(&["l16le"])),
            ("rate_hz", json!({"type": "integer", "enum": adapters::phone::RATES_HZ})),
            ("ptime_ms", schema::count()),
            ("buffer_ms", schema::count()),
        ],
        &[],
    );
    schema::object(
        &[
            ("call", schema::named("Call")),
            ("url", schema::described(schema::format("uri"), "where the page opens its socket")),
            ("path", schema::described(json!({"type": "string"}), "the same, without the server")),
            ("open_within_s", schema::count()),
            ("format", format),
        ],
        &[],
    )
}

/// The audio of a page.
#[derive(Serialize)]
struct Format {
    codec: &'static str,
    rate_hz: u32,
    ptime_ms: u32,
    buffer_ms: u32,
}

/// A call that waits for its page's socket.
#[derive(Serialize)]
struct Line<'a> {
    call: CallView,
    url: &'a str,
    path: &'a str,
    open_within_s: u64,
    format: Format,
}

/// `POST /api/v1/phone`
async fn call(
    State(state): State<crate::http::State>,
    caller: Caller,
    Extension(key): Extension<KeyInfo>,
    Json(call): Json<PhoneCall>,
) -> Result<Response, Problem> {
    // Whoever was told that there is an agent may call it.
    let revision = *state.store.changes().borrow();
    state.directory.wait(revision, super::calls::HOLDS_WAIT).await;
    let user = caller.actor().to_string();
    let organisation = caller.organisation.0;
    let call = PhoneCall { caller: PhoneCaller { organisation, user, name: key.name }, ..call };
    let begun = state.calls.ask(|reply| request::Request::WebCall { call, reply }).await;
    let PhoneLine { call, url, format } = begun.ok_or_else(gone)??;
    // Who is told that there is a call finds it.
    state.log.flush().await;
    let stored = state.store.call(caller.organisation, call.id).await.ok();
    let stored = stored.map(|stored| CallView::stored(stored, Timestamp::now()));
    let url = url.expose();
    let line = Line {
        call: call.with_record(stored),
        url,
        path: path_of(url),
        open_within_s: SOCKET_WITHIN.as_secs(),
        format: Format {
            codec: "l16le",
            rate_hz: format.audio.rate_hz,
            ptime_ms: format.ptime_ms,
            buffer_ms: adapters::phone::BUFFER_MS,
        },
    };
    let head = [(header::CACHE_CONTROL, "no-store")];
    Ok((StatusCode::CREATED, head, axum::Json(line)).into_response())
}

/// What of an address stands behind the server.
fn path_of(url: &str) -> &str {
    let behind = url.split_once("://").map_or(url, |(_, rest)| rest);
    behind.find('/').and_then(|at| behind.get(at..)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A page behind another name than the server's own reaches it by the path.
    #[test]
    fn paths_of_addresses() {
        for (url, path) in [
            ("wss://voice.example.com/pbx/api/x?y", "/pbx/api/x?y"),
            ("ws://127.0.0.1:8080/a", "/a"),
            ("ws://127.0.0.1:8080", ""),
        ] {
            assert_eq!(path_of(url), path);
        }
    }
}
