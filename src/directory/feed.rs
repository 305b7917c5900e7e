//! Keeps the directory as the store is.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;

use super::stored::Stored;
use super::{Directory, Snapshot};
use crate::config::Config;
use crate::store::{Store, StoreError};

/// How long changes are gathered before they are read: whoever makes many makes them one after the
/// other.
const GATHER: Duration = Duration::from_millis(20);
/// How long the store is left alone after it could not be read.
const AGAIN: Duration = Duration::from_secs(1);

/// What the file and the store say now. What of the store is not used is told in the log.
///
/// # Errors
///
/// If the store cannot be read.
pub async fn read(store: &Store, config: &Config) -> Result<Snapshot, StoreError> {
    let stored = Stored::read(store).await?;
    let (snapshot, faults) = Snapshot::of(config, store.default_organisation().0, &stored);
    for fault in faults {
        tracing::warn!(id = %fault.id, what = fault.what, why = fault.why, "stored, but not used");
    }
    Ok(snapshot)
}

/// Replaces the snapshot whenever the store has changed, until the store is closed.
pub async fn follow(store: Store, config: Arc<Config>, directory: Directory) {
    let mut changes = store.changes();
    // What has changed since the directory was made is read at once.
    changes.mark_changed();
    while changes.changed().await.is_ok() {
        sleep(GATHER).await;
        let revision = *changes.borrow_and_update();
        match read(&store, &config).await {
            Ok(snapshot) => {
                directory.replace(snapshot);
                directory.applied(revision);
            }
            Err(error) if store.is_closed() => {
                tracing::debug!(%error, "the server stops; its directory follows the store no more");
                return;
            }
            Err(error) => {
                tracing::error!(%error, "the store cannot be read; calls are routed as before");
                sleep(AGAIN).await;
                changes.mark_changed();
            }
        }
    }
}
