//! Accepts HTTP connections, bounds them and lets them finish on drain.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::response::Response;
use http::Request;
use hyper::body::Incoming;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio_rustls::TlsAcceptor;
use tower_service::Service;

use super::client::Peer;
use super::socket::{Line, Socket};
use crate::config::Cidr;
use crate::listen::alpn;
use crate::listen::sources::Sources;
use crate::listen::tls::ServerTls;
use crate::telemetry::Metrics;
use crate::telemetry::few::Few;
use crate::workers::poller::now;

/// Connections served at once; more wait in the kernel's backlog.
pub const CONNECTIONS_MAX: usize = 4_096;
/// Connections of one source, but for trusted proxies; more are closed.
pub const CONNECTIONS_PER_SOURCE_MAX: usize = 1_024;
/// How long a TLS handshake may take, in milliseconds.
pub const HANDSHAKE_TIMEOUT_MS: u64 = 5_000;
/// How long a client may take to send the head of a request, in milliseconds.
pub const HEADER_READ_TIMEOUT_MS: u64 = 5_000;
/// The longest head of a request, in bytes.
pub const HEADER_BYTES_MAX: usize = 32 * 1024;
/// Most fields in the head of a request.
pub const HEADERS_MAX: usize = 100;
/// How long connections may take to finish once the server drains, in milliseconds.
pub const GRACEFUL_CLOSE_MS: u64 = 2_000;
/// How long nothing is accepted after the system could not give a connection, in milliseconds.
const ACCEPT_PAUSE_MS: u64 = 50;

/// What the connections of all listeners share.
#[derive(Clone)]
pub struct Server {
    router: Router,
    drain: watch::Receiver<bool>,
    metrics: Arc<Metrics>,
    slots: Arc<Semaphore>,
    sources: Sources,
    refusals: Arc<Few>,
    trusted: Arc<[Cidr]>,
}

impl Server {
    /// Serves `router` until `drain` turns true. `trusted` proxies may have any number of
    /// connections.
    pub fn new(
        router: Router,
        trusted: &[Cidr],
        metrics: Arc<Metrics>,
        drain: watch::Receiver<bool>,
    ) -> Self {
        Self {
            router,
            drain,
            metrics,
            slots: Arc::new(Semaphore::new(CONNECTIONS_MAX)),
            sources: Sources::new(CONNECTIONS_PER_SOURCE_MAX),
            refusals: Arc::default(),
            trusted: trusted.into(),
        }
    }

    /// Serves what comes to `listener`, over TLS if there is any, until the server drains; then
    /// lets open requests finish.
    ///
    /// HTTP/1.1 only: it is what WebSocket upgrades and webhooks speak. An upgraded connection
    /// leaves this function's care.
    pub async fn run(self, listener: TcpListener, tls: Option<Arc<ServerTls>>) {
        let mut drain = self.drain.clone();
        loop {
            let Ok(slot) = Arc::clone(&self.slots).acquire_owned().await else { return };
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = drained(&mut drain) => break,
            };
            let (stream, peer) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    // Out of descriptors, most likely: a pause lets others close theirs.
                    tracing::warn!(%error, "cannot accept an HTTP connection");
                    tokio::time::sleep(Duration::from_millis(ACCEPT_PAUSE_MS)).await;
                    continue;
                }
            };
            let trusted = self.trusted.iter().any(|network| network.contains(peer.ip()));
            let place = self.sources.take(peer.ip());
            if place.is_none() && !trusted {
                if let Some(unlogged) = self.refusals.line(now()) {
                    tracing::warn!(
                        source = %peer.ip(),
                        unlogged,
                        "HTTP connection refused: the source has {CONNECTIONS_PER_SOURCE_MAX}"
                    );
                }
                continue;
            }
            let (server, tls) = (self.clone(), tls.clone());
            tokio::spawn(async move {
                server.metrics.http.connections.add(1);
                server.serve(stream, peer, tls).await;
                server.metrics.http.connections.add(-1);
                drop((slot, place));
            });
        }
        let all = u32::try_from(CONNECTIONS_MAX).unwrap_or(u32::MAX);
        let finish = self.slots.acquire_many(all);
        let _ = tokio::time::timeout(Duration::from_millis(GRACEFUL_CLOSE_MS), finish).await;
    }

    /// Serves one connection to its end.
    async fn serve(&self, stream: TcpStream, peer: SocketAddr, tls: Option<Arc<ServerTls>>) {
        // Media follows on this socket after an upgrade: small messages must not wait.
        let _ = stream.set_nodelay(true);
        let secure = tls.is_some();
        let line = match tls {
            None => Line::Plain(stream),
            Some(tls) => {
                let handshake = TlsAcceptor::from(tls.config()).accept(stream);
                let limit = Duration::from_millis(HANDSHAKE_TIMEOUT_MS);
                match tokio::time::timeout(limit, handshake).await {
                    Ok(Ok(stream)) => {
                        // An authority has seen what it came for: there is nothing to be said.
                        if stream.get_ref().1.alpn_protocol() == Some(alpn::PROTOCOL) {
                            return;
                        }
                        Line::Secure(Box::new(stream))
                    }
                    Ok(Err(error)) => return tracing::debug!(%peer, %error, "no TLS handshake"),
                    Err(_) => return tracing::debug!(%peer, "the TLS handshake took too long"),
                }
            }
        };
        let peer = Peer { address: peer.ip(), secure };
        let router = self.router.clone();
        let service = hyper::service::service_fn(move |request| answer(&router, peer, request));
        let connection = hyper::server::conn::http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(Duration::from_millis(HEADER_READ_TIMEOUT_MS))
            .max_buf_size(HEADER_BYTES_MAX)
            .max_headers(HEADERS_MAX)
            .serve_connection(TokioIo::new(Socket::new(line)), service)
            .with_upgrades();
        let mut connection = std::pin::pin!(connection);
        let mut drain = self.drain.clone();
        let finished = tokio::select! {
            result = connection.as_mut() => Some(result),
            () = drained(&mut drain) => None,
        };
        let result = match finished {
            Some(result) => result,
            None => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = result {
            tracing::debug!(%error, "HTTP connection failed");
        }
    }
}

/// Lets the router answer, which is ready at any time.
fn answer(
    router: &Router,
    peer: Peer,
    mut request: Request<Incoming>,
) -> impl Future<Output = Result<Response, Infallible>> + use<> {
    request.extensions_mut().insert(peer);
    router.clone().call(request)
}

/// Waits until the server drains, or whoever could say so has gone.
async fn drained(drain: &mut watch::Receiver<bool>) {
    let _ = drain.wait_for(|drain| *drain).await;
}
