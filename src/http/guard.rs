//! What every request passes before it reaches its endpoint, and every answer on its way back.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use tracing::Instrument;

use super::client::{Client, Peer};
use super::known::Known;
use super::rate::Buckets;
use crate::config::{Cidr, HttpConfig};
use crate::telemetry::few::Few;
use crate::telemetry::{CarrierMetrics, Metrics};
use crate::workers::poller::now;

/// Names a request in answer, log and audit.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Log lines a second about requests that prove nothing.
const STRANGERS_PER_SECOND: u32 = 5;
/// Log lines a second about requests that failed.
const FAILURES_PER_SECOND: u32 = 50;
/// Longest id of a request that a proxy gives.
const REQUEST_ID_BYTES_MAX: usize = 128;

/// What requests are judged by.
#[derive(Debug)]
pub struct Guard {
    trusted: Vec<Cidr>,
    pub(super) keys: Buckets<String>,
    pub(super) addresses: Buckets<IpAddr>,
    /// Keys and sessions that hold.
    pub known: Known,
    strangers: Buckets<()>,
    /// Lines about requests that failed: without a database, every stranger's does.
    failures: Few,
    /// Nobody but programs on this machine reaches the API.
    pub(super) is_local: bool,
}

impl Guard {
    /// As configured; `is_local` if nobody but programs on this machine reaches the API.
    pub fn new(config: &HttpConfig, is_local: bool) -> Self {
        Self {
            trusted: config.trusted_proxies.clone(),
            keys: Buckets::new(config.key_requests_per_second),
            addresses: Buckets::new(config.address_requests_per_second),
            known: Known::default(),
            strangers: Buckets::new(STRANGERS_PER_SECOND),
            failures: Few::new(FAILURES_PER_SECOND),
            is_local,
        }
    }

    /// Whether a request of somebody who proved nothing gets a line in the log; those that get none
    /// are counted. Anybody can send as many of them as he likes.
    pub(super) fn logs_stranger(&self, metrics: &CarrierMetrics) -> bool {
        let logs = self.strangers.take(now(), ()).is_ok();
        if !logs {
            metrics.unlogged.inc();
        }
        logs
    }
}

/// Finds out for whom a request is, names it, counts its answer and the time it took.
pub(super) async fn pass(
    State((guard, metrics)): State<(Arc<Guard>, Arc<Metrics>)>,
    mut request: Request,
    next: Next,
) -> Response {
    let began = Instant::now();
    let peer = request.extensions().get::<Peer>().copied();
    let client = peer.map(|peer| Client::of(peer, request.headers(), &guard.trusted));
    let proxied = client.is_some_and(|client| client.proxied);
    let id = given_id(request.headers())
        .filter(|_| proxied)
        .unwrap_or_else(|| uuid::Uuid::now_v7().to_string());
    // The path itself may hold a secret.
    let path = request.extensions().get::<MatchedPath>().map(|path| path.as_str().to_owned());
    let key = tracing::field::Empty;
    let span = tracing::debug_span!("request", %id, method = %request.method(), path, key);
    if let Some(client) = client {
        request.extensions_mut().insert(client);
    }
    let mut response = next.run(request).instrument(span.clone()).await;
    let (status, took) = (response.status(), began.elapsed());
    metrics.http.responded(status.as_u16(), took);
    span.in_scope(|| {
        let client = client.map(|client| tracing::field::display(client.address));
        let failed = status.is_server_error();
        if let Some(unlogged) = failed.then(|| guard.failures.line(now())).flatten() {
            let status = status.as_u16();
            tracing::warn!(status, ?took, client, unlogged, "a request failed");
        } else {
            tracing::debug!(status = status.as_u16(), ?took, client, "answered");
        }
    });
    let headers = response.headers_mut();
    if let Ok(id) = HeaderValue::try_from(id) {
        headers.insert(REQUEST_ID, id);
    }
    // Answers are of one moment and one caller, and never anything else than they say.
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    headers.entry(header::X_CONTENT_TYPE_OPTIONS).or_insert(HeaderValue::from_static("nosniff"));
    response
}

/// The id that a proxy gave, if it is fit for a log line.
fn given_id(headers: &HeaderMap) -> Option<String> {
    let id = headers.get(REQUEST_ID)?.to_str().ok()?;
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:/+=".contains(&byte);
    let length = (1..=REQUEST_ID_BYTES_MAX).contains(&id.len());
    (length && id.bytes().all(fits)).then(|| id.to_owned())
}
