//! How many streams of events there are at once, and of whom.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::store::OrganisationId;

/// Streams at once.
pub(super) const STREAMS_MAX: usize = 256;
/// Streams of one organisation at once: no organisation keeps the others from listening.
pub(super) const STREAMS_PER_ORGANISATION_MAX: usize = 64;

/// Agents that are tested at once, each for seconds at most.
const TESTS_MAX: usize = 16;
/// Those of one organisation.
const TESTS_PER_ORGANISATION_MAX: usize = 4;

/// Room for streams. Clones are the same room.
#[derive(Clone, Debug)]
pub struct Streams {
    held: Arc<Mutex<HashMap<OrganisationId, usize>>>,
    max: usize,
    own_max: usize,
}

impl Default for Streams {
    fn default() -> Self {
        Self::with_room(STREAMS_MAX, STREAMS_PER_ORGANISATION_MAX)
    }
}

/// The place of one stream, until it is dropped.
#[derive(Debug)]
pub struct Place {
    streams: Streams,
    organisation: OrganisationId,
}

impl Streams {
    /// Room for tests of agents: whoever asks for one keeps a connection open elsewhere.
    pub fn of_tests() -> Self {
        Self::with_room(TESTS_MAX, TESTS_PER_ORGANISATION_MAX)
    }

    fn with_room(max: usize, own_max: usize) -> Self {
        Self { held: Arc::default(), max, own_max }
    }

    /// A place for a stream of an organisation, if there is room.
    pub fn take(&self, organisation: OrganisationId) -> Option<Place> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let own = held.get(&organisation).copied().unwrap_or(0);
        if own >= self.own_max || held.values().sum::<usize>() >= self.max {
            return None;
        }
        held.insert(organisation, own + 1);
        Some(Place { streams: self.clone(), organisation })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut held = self.streams.held.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = held.get_mut(&self.organisation) {
            *own -= 1;
            if *own == 0 {
                held.remove(&self.organisation);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One organisation has its share, all together have theirs, and places come back.
    #[test]
    fn places_are_limited_and_come_back() {
        let streams = Streams::default();
        let [one, other] = [OrganisationId::new(), OrganisationId::new()];
        let held: Vec<_> = std::iter::from_fn(|| streams.take(one)).collect();
        assert_eq!(held.len(), STREAMS_PER_ORGANISATION_MAX);
        assert!(streams.take(other).is_some());
        drop(held);
        assert!(streams.held.lock().unwrap().is_empty());
        let all: Vec<_> = (0..STREAMS_MAX).map(|_| streams.take(OrganisationId::new())).collect();
        assert!(all.iter().all(Option::is_some) && streams.take(other).is_none());
    }
}
