//! How the living calls fare at this moment.

use axum::extract::State;
use media::silence::Reason;
use serde::Serialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::gone;
use crate::calls::request::Request;
use crate::http::auth::Caller;
use crate::http::openapi::{Resource, get, schema};
use crate::http::problem::{Kind, Problem};
use crate::keys::Scope;
use crate::workers::gauges::Reading;

pub(super) fn resource() -> Resource {
    let node = schema::described(schema::format("uuid"), "this server, which has all of them");
    let items = schema::list(schema::named("LiveCall"));
    let items = schema::object(&[("node", node), ("items", items)], &[]);
    Resource {
        tag: "live",
        about: "How the living calls fare at this moment, for whoever watches them.",
        endpoints: vec![
            get("/api/v1/live", "list_live", list)
                .summary("Lists the living calls of this server with levels and quality.")
                .scope(Scope::Read)
                .answers_json(200, "the calls, in no order", items)
                .refuses(&[Kind::Unavailable]),
        ],
        schemas: vec![("LiveCall", call_schema())],
    }
}

fn call_schema() -> Value {
    let figure = || json!({"type": "number"});
    let known = |about| schema::described(schema::nullable(figure()), about);
    let reasons: Vec<&str> = Reason::ALL.iter().map(|reason| reason.as_str()).collect();
    let silent = |about| schema::described(schema::nullable(schema::word(&reasons)), about);
    let level = |about| schema::described(schema::nullable(schema::integer(-127, 0)), about);
    schema::object(
        &[
            ("id", schema::format("uuid")),
            ("level_in_dbov", level("of what comes from the peer; null where it is not measured")),
            ("level_out_dbov", level("of what the agent says")),
            ("silence_in", silent("why nothing is heard from the peer, if nothing is")),
            ("silence_out", silent("why nothing is said to it, if nothing is")),
            ("loss", schema::described(figure(), "fraction of packets lost, 0 to 1")),
            ("jitter_ms", figure()),
            ("mos", known("estimated mean opinion score; null before the first second")),
            ("round_trip_ms", known("to the peer and back, if it reports")),
            ("buffer_ms", schema::described(schema::count(), "audio queued towards the peer")),
        ],
        &[],
    )
}

/// A living call.
#[derive(Serialize)]
struct LiveCall {
    id: Uuid,
    #[serde(flatten)]
    reading: Reading,
}

/// `GET /api/v1/live`
async fn list(
    State(state): State<crate::http::State>,
    caller: Caller,
) -> Result<axum::Json<Value>, Problem> {
    let organisation = caller.organisation.0;
    let read = state.calls.ask(|reply| Request::Gauges { organisation, reply }).await;
    let read = read.ok_or_else(gone)?.into_iter();
    let items: Vec<LiveCall> = read.map(|(id, reading)| LiveCall { id, reading }).collect();
    Ok(axum::Json(json!({ "node": state.told.node, "items": items })))
}
