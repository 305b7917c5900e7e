//! Whom calls may come from and go to: agents, trunks, numbers and routes, from the configuration
//! file and from the store.
//!
//! Readers take a [`Snapshot`] without waiting and keep to it for as long as one decision takes.
//! What changes makes a new snapshot; calls that live keep what they began with.

mod agent;
mod callers;
mod carriers;
mod feed;
mod file;
mod ids;
mod profile;
mod rotation;
mod snapshot;
mod stored;
#[cfg(test)]
mod tests;
mod trunk;

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::watch;

pub use agent::Agent;
pub use callers::Caller;
pub use carriers::Carriers;
pub use feed::{follow, read};
pub use ids::{Named, file_id};
pub use profile::{Unsupported, trunk as trunk_of_profile, written};
pub use rotation::{CappedLine, Choice};
pub use snapshot::{Account, CallerId, Chance, Fallback, Snapshot, Treatment};
pub use stored::{Fault, Stored};
pub use trunk::Trunk;

/// The snapshot that holds now. Clones share it.
#[derive(Clone, Debug)]
pub struct Directory {
    current: Arc<ArcSwap<Snapshot>>,
    revision: Arc<watch::Sender<u64>>,
    /// The store's revision that is part of what holds.
    applied: Arc<watch::Sender<u64>>,
}

impl Directory {
    /// A directory that begins with this.
    pub fn new(snapshot: Snapshot) -> Self {
        let (revision, _) = watch::channel(0);
        let (applied, _) = watch::channel(0);
        let current = Arc::new(ArcSwap::from_pointee(snapshot));
        Self { current, revision: Arc::new(revision), applied: Arc::new(applied) }
    }

    /// What holds now.
    pub fn load(&self) -> Arc<Snapshot> {
        self.current.load_full()
    }

    /// From now on this holds; who watches is told.
    pub fn replace(&self, snapshot: Snapshot) {
        self.current.store(Arc::new(snapshot));
        self.revision.send_modify(|revision| *revision += 1);
    }

    /// What the store had at this revision is part of what holds.
    pub fn applied(&self, revision: u64) {
        self.applied.send_modify(|applied| *applied = revision.max(*applied));
    }

    /// Waits until what the store had at this revision holds for calls, but no longer than `most`.
    pub async fn wait(&self, revision: u64, most: Duration) {
        let mut applied = self.applied.subscribe();
        let holds = applied.wait_for(|applied| *applied >= revision);
        // Who waits in vain goes on all the same: it will hold.
        let _ = tokio::time::timeout(most, holds).await;
    }

    /// Tells when another snapshot holds.
    pub fn watch(&self) -> watch::Receiver<u64> {
        self.revision.subscribe()
    }
}
