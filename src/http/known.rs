//! Keys and sessions that hold, by their hashes.
//!
//! From an address that has shown too many that do not hold, only those are looked up: otherwise
//! whoever makes up keys has the database asked for each, or those who share the address with him
//! are kept out. What is known is read when the server starts, and again when the store has changed
//! and now and then; whether a key holds the database alone says.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};

use super::Guard;
use crate::store::{Store, StoreError, Timestamp};

/// Keys and sessions that are known; of more, the newest: 16 bytes each at most.
const KNOWN_MAX: u32 = 1_000_000;
/// How often they are read although nothing has changed: sessions end by themselves.
const READ_EVERY: Duration = Duration::from_secs(3_600);
/// Pause after they were read.
const PAUSE: Duration = Duration::from_secs(1);
/// The database does nothing else for this share of the time at most: one of so many.
const SHARE: u32 = 20;

/// So much of a hash is enough: nobody can look for a key that shares it with another.
type Short = u64;

/// Keys and sessions that hold.
#[derive(Default)]
pub struct Known(Mutex<Inner>);

#[derive(Default)]
struct Inner {
    all: HashSet<Short>,
    /// Those that were noted since reading began, which may not have seen them.
    since: HashSet<Short>,
}

/// Shows none.
impl std::fmt::Debug for Known {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Known").finish_non_exhaustive()
    }
}

impl Known {
    fn with<T>(&self, what: impl FnOnce(&mut Inner) -> T) -> T {
        what(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether this key or session has held.
    pub(super) fn has(&self, secret: &str) -> bool {
        let short = short(&Sha256::digest(secret).into());
        self.with(|known| known.all.contains(&short))
    }

    /// This key or session holds, or does no longer.
    pub(super) fn note(&self, secret: &str, holds: bool) {
        let short = short(&Sha256::digest(secret).into());
        self.with(|known| {
            if !holds {
                known.all.remove(&short);
                known.since.remove(&short);
            } else if known.all.len() < KNOWN_MAX as usize && known.all.insert(short) {
                known.since.insert(short);
            }
        });
    }

    /// Reads those that the store has.
    ///
    /// # Errors
    ///
    /// If the database cannot be reached.
    pub async fn read(&self, store: &Store) -> Result<(), StoreError> {
        self.with(|known| known.since.clear());
        let hashes = store.hashes_that_hold(Timestamp::now(), KNOWN_MAX).await?;
        let mut all: HashSet<Short> = hashes.iter().map(short).collect();
        self.with(|known| {
            all.extend(known.since.drain());
            known.all = all;
        });
        Ok(())
    }
}

/// Keeps up with what the store has, for as long as the server runs.
pub async fn follow(guard: Arc<Guard>, store: Store) {
    let mut changes = store.changes();
    loop {
        let _ = tokio::time::timeout(READ_EVERY, changes.changed()).await;
        changes.mark_unchanged();
        let began = Instant::now();
        // One that cannot be reached is asked again with the next change.
        let _ = guard.known.read(&store).await;
        tokio::time::sleep(PAUSE.max(began.elapsed() * SHARE)).await;
    }
}

/// The start of a hash.
fn short(hash: &[u8; 32]) -> Short {
    hash.first_chunk().map_or(0, |first| u64::from_le_bytes(*first))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A key is known from when it held until it does no longer, and no key shows.
    #[test]
    fn keys_are_known_while_they_hold() {
        let known = Known::default();
        assert!(!known.has("tp_a"));
        known.note("tp_a", true);
        assert!(known.has("tp_a") && !known.has("tp_b"));
        known.note("tp_a", false);
        assert!(!known.has("tp_a"));
        assert_eq!(format!("{known:?}"), "Known { .. }");
    }

    /// No more are kept than there may be.
    #[test]
    fn memory_is_bounded() {
        let known = Known::default();
        known.with(|known| known.all.extend(0..u64::from(KNOWN_MAX)));
        known.note("tp_a", true);
        known.with(|known| {
            assert_eq!(known.all.len(), KNOWN_MAX as usize);
            assert!(known.since.is_empty());
        });
    }
}
