//! Health, readiness, metrics, and the document of the API.

use std::time::Duration;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::header;
use serde_json::json;

use super::RETRY_AFTER_S;
use crate::http::openapi::{self, Access, Resource, get, schema};
use crate::http::problem::{Kind, Problem};
use crate::telemetry::CONTENT_TYPE;

/// How long the database may take to show that it is there.
const DATABASE_TIMEOUT: Duration = Duration::from_secs(2);

pub(super) fn resource() -> Resource {
    let text = || json!({"type": "string"});
    Resource {
        tag: "server",
        about: "How the server does, and what it can do.",
        endpoints: vec![
            get("/healthz", "healthz", healthz)
                .summary("Tells that the process is alive.")
                .access(Access::Open)
                .answers_with(200, "alive", "text/plain", text()),
            get("/readyz", "readyz", readyz)
                .summary("Tells whether calls are taken.")
                .access(Access::Open)
                .answers_with(200, "ready", "text/plain", text())
                .refuses(&[Kind::Unavailable]),
            get("/metrics", "metrics", metrics)
                .summary("Figures as OpenMetrics text, for Prometheus.")
                .access(Access::Open)
                .answers_with(200, "the figures", "application/openmetrics-text", text()),
            get("/api/v1/openapi.json", "openapi", openapi)
                .summary("This document.")
                .access(Access::Open)
                .answers_json(200, "OpenAPI 3.1", schema::any_object()),
        ],
        schemas: Vec::new(),
    }
}

/// The process is alive.
async fn healthz() -> &'static str {
    "ok\n"
}

/// The process takes calls.
async fn readyz(State(state): State<crate::http::State>) -> Response {
    if *state.drain.borrow() {
        return Problem::unavailable("the server drains", RETRY_AFTER_S).into_response();
    }
    if state.metrics.is_overloaded() {
        return Problem::unavailable("the media threads bear no more calls", RETRY_AFTER_S)
            .into_response();
    }
    let answer = tokio::time::timeout(DATABASE_TIMEOUT, state.store.ping()).await;
    if !matches!(answer, Ok(Ok(()))) {
        return Problem::unavailable("the database does not answer", RETRY_AFTER_S).into_response();
    }
    "ready\n".into_response()
}

/// Prometheus text.
async fn metrics(State(state): State<crate::http::State>) -> Response {
    ([(header::CONTENT_TYPE, CONTENT_TYPE)], state.metrics.render()).into_response()
}

/// OpenAPI.
async fn openapi(State(state): State<crate::http::State>) -> Response {
    let base = state.public_url.as_ref().map_or_else(|| "/".to_owned(), ToString::to_string);
    let write = || Bytes::from(openapi::document(&super::resources(), &base).to_string());
    let document = state.document.get_or_init(write).clone();
    ([(header::CONTENT_TYPE, "application/json")], document).into_response()
}
