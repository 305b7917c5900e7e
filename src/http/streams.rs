//! How many streams of events there are at once, and of whom.

use std::sync::Arc;

use crate::shares::{Share, Shares};
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
pub struct Streams(Arc<Shares>);

impl Default for Streams {
    fn default() -> Self {
        Self::with_room(STREAMS_MAX, STREAMS_PER_ORGANISATION_MAX)
    }
}

/// The place of one stream, until it is dropped.
pub(super) type Place = Share<Arc<Shares>>;

impl Streams {
    /// Room for tests of agents: whoever asks for one keeps a connection open elsewhere.
    pub fn of_tests() -> Self {
        Self::with_room(TESTS_MAX, TESTS_PER_ORGANISATION_MAX)
    }

    fn with_room(max: usize, own_max: usize) -> Self {
        Self(Arc::new(Shares::new(max, own_max)))
    }

    /// A place for a stream of an organisation, if there is room.
    pub fn take(&self, organisation: OrganisationId) -> Option<Place> {
        self.0.take_one(organisation.0)
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
        let all: Vec<_> = (0..STREAMS_MAX).map(|_| streams.take(OrganisationId::new())).collect();
        assert!(all.iter().all(Option::is_some) && streams.take(other).is_none());
    }
}
