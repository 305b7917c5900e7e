//! Accepts HTTP connections, bounds them and lets them finish on drain.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};

/// Connections served at once; more wait in the kernel's backlog.
pub const CONNECTIONS_MAX: usize = 4_096;
/// How long a client may take to send the head of a request, in milliseconds.
pub const HEADER_READ_TIMEOUT_MS: u64 = 5_000;
/// How long connections may take to finish once the server drains, in milliseconds.
pub const GRACEFUL_CLOSE_MS: u64 = 2_000;

/// Serves `router` on `listener` until `drain` turns true, then lets open requests finish.
///
/// HTTP/1.1 only: it is what WebSocket upgrades and webhooks speak. An upgraded connection leaves
/// this function's care.
pub async fn serve(listener: TcpListener, router: Router, mut drain: watch::Receiver<bool>) {
    let slots = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let Ok(slot) = Arc::clone(&slots).acquire_owned().await else { return };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = drained(&mut drain) => break,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                // Out of descriptors, most likely: a pause lets others close theirs.
                tracing::warn!(%error, "cannot accept an HTTP connection");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        // Media follows on this socket after an upgrade: small messages must not wait.
        let _ = stream.set_nodelay(true);
        let router = router.clone();
        let mut drain = drain.clone();
        tokio::spawn(async move {
            let service = hyper_util::service::TowerToHyperService::new(router);
            let connection = hyper::server::conn::http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(Duration::from_millis(HEADER_READ_TIMEOUT_MS))
                .serve_connection(TokioIo::new(stream), service)
                .with_upgrades();
            let mut connection = std::pin::pin!(connection);
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
            drop(slot);
        });
    }
    let all = u32::try_from(CONNECTIONS_MAX).unwrap_or(u32::MAX);
    let finish = slots.acquire_many(all);
    let _ = tokio::time::timeout(Duration::from_millis(GRACEFUL_CLOSE_MS), finish).await;
}

/// Waits until the server drains, or whoever could say so has gone.
async fn drained(drain: &mut watch::Receiver<bool>) {
    let _ = drain.wait_for(|drain| *drain).await;
}
