//! HTTP: the API, the agents that attach, health and metrics.

mod api;
mod attach;
mod auth;
mod capture;
mod ops;
mod orders;
pub mod problem;
mod recording;
pub mod server;

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::routing::{get, post};
use tokio::sync::watch;

use crate::calls::request::Handle;
use crate::capture::Registry;
use crate::keys::Keys;
use crate::recording::Store as Recordings;
use crate::store::Store;
use crate::telemetry::Metrics;

/// What every request may need.
#[derive(Clone)]
pub struct State {
    /// Reaches the calls.
    pub calls: Handle,
    /// API keys.
    pub keys: Keys,
    /// What is kept.
    pub store: Store,
    /// Recordings.
    pub recordings: Recordings,
    /// Captures.
    pub captures: Arc<Mutex<Registry>>,
    /// Counters.
    pub metrics: Arc<Metrics>,
    /// True once the server drains.
    pub drain: watch::Receiver<bool>,
}

/// Every route of the server.
pub fn router(state: State) -> Router {
    let mut router = Router::new()
        .route("/healthz", get(ops::healthz))
        .route("/readyz", get(ops::readyz))
        .route("/metrics", get(ops::metrics))
        .route("/api/v1/calls", get(api::list).post(api::place))
        .route("/api/v1/calls/{id}", get(api::show))
        .route("/api/v1/calls/{id}/hangup", post(api::hang_up))
        .route("/api/v1/calls/{id}/transfer", post(orders::transfer))
        .route("/api/v1/calls/{id}/dtmf", post(orders::dtmf))
        .route("/api/v1/calls/{id}/mute", post(orders::mute))
        .route("/api/v1/calls/{id}/clear", post(orders::clear))
        .route("/api/v1/calls/{id}/hold", post(orders::hold))
        .route("/api/v1/calls/{id}/record", post(recording::record))
        .route("/api/v1/calls/{id}/recording", get(recording::fetch))
        .route("/api/v1/calls/{id}/capture", get(capture::fetch).post(capture::start))
        .route("/api/v1/calls/{id}/messages", get(capture::messages))
        .route("/api/v1/calls/{id}/stream", get(attach::attach));
    for (index, rest) in adapters::dialect::AGENT_REST.iter().enumerate() {
        router = router
            .route(rest.path, post(move |state, request| api::agent_rest(index, state, request)));
    }
    let metrics = Arc::clone(&state.metrics);
    router.fallback(api::nothing).with_state(state).layer(axum::middleware::from_fn(
        move |request, next| ops::count(Arc::clone(&metrics), request, next),
    ))
}
