//! HTTP: the API, the agents that attach, health and metrics.
//!
//! A part of the API is a `Resource` in `api`: its endpoints, each with its handler, the scope that
//! a key must reach, and what the OpenAPI document tells of it.

mod api;
pub mod auth;
mod body;
mod client;
mod guard;
mod hooks;
pub mod idempotency;
mod known;
pub mod openapi;
pub mod page;
mod path;
pub mod problem;
mod range;
mod rate;
mod seat;
pub mod server;
mod session;
mod socket;
mod standing;
mod streams;
mod told;

use std::sync::{Arc, Mutex, OnceLock};

use axum::Router;
use axum::middleware::from_fn_with_state;
use bytes::Bytes;
use tokio::sync::{Notify, watch};

pub use guard::Guard;
pub use known::{Known, follow as follow_keys};
pub use streams::Streams;
pub use told::Told;

use crate::calls::log::LogHandle;
use crate::calls::request::Handle;
use crate::capture::Registry;
use crate::carrier::Exchanges;
use crate::config::PublicUrl;
use crate::directory::Directory;
use crate::keys::Keys;
use crate::outbox::Targets;
use crate::outward::OutwardPolicy;
use crate::recording::Store as Recordings;
use crate::store::Store;
use crate::telemetry::Metrics;

/// What every request may need.
#[derive(Clone)]
pub struct State {
    /// Reaches the calls.
    pub calls: Handle,
    /// What calls are routed by.
    pub directory: Directory,
    /// API keys.
    pub keys: Keys,
    /// What is kept.
    pub store: Store,
    /// The log of calls.
    pub log: LogHandle,
    /// Counts the commits of the log.
    pub commits: watch::Receiver<u64>,
    /// How far what organisations make reaches.
    pub outward: OutwardPolicy,
    /// Where webhooks may go.
    pub webhooks: Targets,
    /// Told when calls are ordered.
    pub orders: Arc<Notify>,
    /// Room for streams of events.
    pub streams: Streams,
    /// Room for people who listen in.
    pub listeners: Streams,
    /// Room for tests of agents.
    pub agent_tests: Streams,
    /// Recordings.
    pub recordings: Recordings,
    /// Messages that callers have left.
    pub voicemails: Recordings,
    /// Captures.
    pub captures: Arc<Mutex<Registry>>,
    /// Counters.
    pub metrics: Arc<Metrics>,
    /// True once the server drains.
    pub drain: watch::Receiver<bool>,
    /// What requests are judged by.
    pub guard: Arc<Guard>,
    /// Address of this server as others see it: every URL that is handed out begins with it.
    pub public_url: Option<Arc<PublicUrl>>,
    /// The same, or where HTTP listens: addresses that carriers are given begin with it.
    pub base_url: Arc<str>,
    /// Asks carriers.
    pub exchanges: Exchanges,
    /// What this server tells of itself.
    pub told: Arc<Told>,
    /// The OpenAPI document, once somebody has asked for it.
    pub document: Arc<OnceLock<Bytes>>,
}

/// Every route of the server.
pub fn router(state: State) -> Router {
    let pass = (Arc::clone(&state.guard), Arc::clone(&state.metrics));
    openapi::routes(&state, api::resources())
        .merge(crate::ui::routes())
        .method_not_allowed_fallback(api::no_such_method)
        .fallback(api::no_such_path)
        .layer(from_fn_with_state(pass, guard::pass))
        .with_state(state)
}
