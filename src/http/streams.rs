//! How many streams of events there are at once, and of whom.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::store::OrganisationId;

/// Streams at once.
pub(super) const STREAMS_MAX: usize = 256;
/// Streams of one organisation at once: no organisation keeps the others from listening.
pub(super) const STREAMS_PER_ORGANISATION_MAX: usize = 64;

/// Room for streams. Clones are the same room.
#[derive(Clone, Debug, Default)]
pub struct Streams(Arc<Mutex<HashMap<OrganisationId, usize>>>);

/// The place of one stream, until it is dropped.
#[derive(Debug)]
pub struct Place {
    streams: Streams,
    organisation: OrganisationId,
}

impl Streams {
    /// A place for a stream of an organisation, if there is room.
    pub fn take(&self, organisation: OrganisationId) -> Option<Place> {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let own = held.get(&organisation).copied().unwrap_or(0);
        if own >= STREAMS_PER_ORGANISATION_MAX || held.values().sum::<usize>() >= STREAMS_MAX {
            return None;
        }
        held.insert(organisation, own + 1);
        Some(Place { streams: self.clone(), organisation })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut held = self.streams.0.lock().unwrap_or_else(PoisonError::into_inner);
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
        assert!(streams.0.lock().unwrap().is_empty());
        let all: Vec<_> = (0..STREAMS_MAX).map(|_| streams.take(OrganisationId::new())).collect();
        assert!(all.iter().all(Option::is_some) && streams.take(other).is_none());
    }
}
