//! Health, readiness, metrics.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::header;

use super::problem::Problem;
use crate::telemetry::{CONTENT_TYPE, Metrics};

/// Seconds after which a balancer may look again.
const RETRY_AFTER_S: u32 = 5;

/// How long the database may take to show that it is there.
const DATABASE: Duration = Duration::from_secs(2);

/// The process is alive.
pub(super) async fn healthz() -> &'static str {
    "ok\n"
}

/// The process takes calls.
pub(super) async fn readyz(State(state): State<super::State>) -> Response {
    if *state.drain.borrow() {
        return Problem::unavailable("the server drains", RETRY_AFTER_S).into_response();
    }
    let answer = tokio::time::timeout(DATABASE, state.store.ping()).await;
    if !matches!(answer, Ok(Ok(()))) {
        return Problem::unavailable("the database does not answer", RETRY_AFTER_S).into_response();
    }
    "ready\n".into_response()
}

/// Prometheus text.
pub(super) async fn metrics(State(state): State<super::State>) -> Response {
    ([(header::CONTENT_TYPE, CONTENT_TYPE)], state.metrics.render()).into_response()
}

/// Counts every response and the time it took.
pub(super) async fn count(metrics: Arc<Metrics>, request: Request, next: Next) -> Response {
    let began = Instant::now();
    let response = next.run(request).await;
    metrics.http.responded(response.status().as_u16(), began.elapsed());
    response
}
