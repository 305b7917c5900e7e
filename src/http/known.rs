//! Keys that have held a while ago, by their hashes.
//!
//! From an address that has shown too many that do not hold, only those are looked up: otherwise
//! whoever makes up keys has the database asked for each.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use sha2::{Digest, Sha256};

/// Keys that are remembered; beyond it all are forgotten, and known again when they are shown.
const KNOWN_MAX: usize = 65_536;

/// Keys that have held.
#[derive(Default)]
pub(super) struct Known(Mutex<HashSet<[u8; 32]>>);

/// Shows none.
impl std::fmt::Debug for Known {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Known").finish_non_exhaustive()
    }
}

impl Known {
    /// Whether this key has held before.
    pub(super) fn has(&self, key: &str) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).contains(&hash(key))
    }

    /// This key holds, or does no longer.
    pub(super) fn note(&self, key: &str, holds: bool) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !holds {
            known.remove(&hash(key));
            return;
        }
        if known.len() >= KNOWN_MAX {
            known.clear();
        }
        known.insert(hash(key));
    }
}

fn hash(key: &str) -> [u8; 32] {
    Sha256::digest(key).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A key is known from when it held until it does no longer; no more are kept than there may
    /// be, and no key shows.
    #[test]
    fn keys_are_known_while_they_hold() {
        let known = Known::default();
        assert!(!known.has("tp_a"));
        known.note("tp_a", true);
        assert!(known.has("tp_a") && !known.has("tp_b"));
        known.note("tp_a", false);
        assert!(!known.has("tp_a"));
        for number in 0..=KNOWN_MAX {
            known.note(&number.to_string(), true);
        }
        assert!(known.has(&KNOWN_MAX.to_string()));
        assert!(known.0.lock().unwrap().len() <= KNOWN_MAX);
        assert_eq!(format!("{known:?}"), "Known { .. }");
    }
}
