//! Health, readiness, metrics.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header;

use super::problem::Problem;
use crate::telemetry::CONTENT_TYPE;

/// Seconds after which a balancer may look again.
const RETRY_AFTER_S: u32 = 5;

/// The process is alive.
pub(super) async fn healthz() -> &'static str {
    "ok\n"
}

/// The process takes calls.
pub(super) async fn readyz(State(state): State<super::State>) -> Response {
    if *state.drain.borrow() {
        return Problem::unavailable("the server drains", RETRY_AFTER_S).into_response();
    }
    "ready\n".into_response()
}

/// Prometheus text.
pub(super) async fn metrics(State(state): State<super::State>) -> Response {
    ([(header::CONTENT_TYPE, CONTENT_TYPE)], state.metrics.render()).into_response()
}
