//! What this server is, for whoever connects something to it.

use axum::extract::State;
use serde_json::{Value, json};

use super::call_schema::stage_schema;
use crate::calls::log::StageFigures;
use crate::http::openapi::{Resource, get, schema};
use crate::keys::Scope;

pub(super) fn resource() -> Resource {
    Resource {
        tag: "this server",
        about: "Where it is reached, for whoever connects something to it.",
        endpoints: vec![
            get("/api/v1/server", "show_server", show)
                .summary("Shows where this server takes signalling and audio.")
                .scope(Scope::Read)
                .answers_json(200, "the server", schema::named("Server")),
        ],
        schemas: vec![("Server", server_schema())],
    }
}

/// What a peer over SIP has to know.
pub(super) fn edge_schema() -> Vec<(&'static str, Value)> {
    let text = || json!({"type": "string"});
    let port = || schema::integer(1, 65_535);
    let place = schema::object(
        &[
            ("transport", schema::word(&["udp", "tcp", "tls", "ws", "wss"])),
            ("address", schema::described(text(), "as peers are told it, with the port")),
        ],
        &[],
    );
    let rtp = schema::object(
        &[
            ("addresses", schema::list(text())),
            ("ports", schema::object(&[("first", port()), ("last", port())], &[])),
        ],
        &[],
    );
    vec![("sip", schema::list(place)), ("rtp", rtp), ("codecs", schema::list(text()))]
}

/// What a peer over SIP has to know: where signalling and audio are taken, in which codecs.
pub(super) fn edge(state: &crate::http::State) -> Value {
    let told = &state.told;
    let sip = told.sip.iter().map(|(transport, address)| {
        json!({"transport": transport.as_str().to_ascii_lowercase(), "address": address})
    });
    json!({
        "sip": sip.collect::<Vec<_>>(),
        "rtp": {
            "addresses": told.rtp,
            "ports": {"first": told.ports.first, "last": told.ports.last},
        },
        "codecs": told.codecs,
    })
}

fn server_schema() -> Value {
    let text = || json!({"type": "string"});
    let worker = schema::object(
        &[
            ("calls", schema::count()),
            ("busy_pct", schema::described(schema::count(), "share of its time at work")),
            ("takes_calls", schema::described(schema::flag(), "false while it bears no more")),
            ("stages", schema::list(stage_schema())),
        ],
        &[],
    );
    let mut fields = vec![
        ("version", text()),
        ("node", schema::format("uuid")),
        ("base_url", schema::described(text(), "what carriers and agents reach it by")),
        ("takes_calls", schema::described(schema::flag(), "false while it is overloaded")),
        ("workers", schema::list(worker)),
    ];
    fields.extend(edge_schema());
    schema::object(&fields, &[])
}

/// `GET /api/v1/server`
async fn show(State(state): State<crate::http::State>) -> axum::Json<Value> {
    let workers = state.metrics.workers.iter().map(|worker| {
        json!({
            "calls": worker.calls.get().max(0),
            "busy_pct": worker.busy_pct.get().max(0),
            "takes_calls": worker.refuses.get() == 0,
            "stages": worker.stages.times().into_iter().map(StageFigures::from).collect::<Vec<_>>(),
        })
    });
    let mut shown = edge(&state);
    if let Some(shown) = shown.as_object_mut() {
        let more = json!({
            "version": env!("CARGO_PKG_VERSION"),
            "node": state.told.node,
            "base_url": &*state.base_url,
            "takes_calls": !state.metrics.is_overloaded(),
            "workers": workers.collect::<Vec<_>>(),
        });
        shown.extend(more.as_object().cloned().unwrap_or_default());
    }
    axum::Json(shown)
}
