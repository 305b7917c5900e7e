//! Calls of carriers that are over here: what is said of one of them again is no news.

use std::collections::{HashSet, VecDeque};
use std::hash::Hash;

use adapters::event::CarrierCallId;
use uuid::Uuid;

use super::elsewhere::Elsewhere;

/// Calls that are remembered.
const CALLS_MAX: usize = 16_384;

/// What is remembered of calls at carriers that are none of ours any more.
#[derive(Debug, Default)]
pub(in crate::calls) struct Past {
    /// Those that are over there, or have been asked to end, by configuration and the carrier's id.
    pub(super) over: Recent<(Uuid, CarrierCallId)>,
    /// Those whose callers talk with somebody else, where their carriers have sent them.
    pub(super) left: Recent<Uuid>,
    /// What these count for, as long as they last.
    pub(in crate::calls) elsewhere: Elsewhere,
    /// Transfers by carriers that came to nothing after they had called somebody.
    pub(super) given_up: Recent<Uuid>,
}

/// Calls that are over, by whatever names them; the oldest are forgotten first.
#[derive(Debug)]
pub(super) struct Recent<T> {
    known: HashSet<T>,
    order: VecDeque<T>,
}

impl<T> Default for Recent<T> {
    fn default() -> Self {
        Self { known: HashSet::new(), order: VecDeque::new() }
    }
}

impl<T: Hash + Eq + Clone> Recent<T> {
    /// Remembers a call.
    pub(super) fn insert(&mut self, call: T) {
        if !self.known.insert(call.clone()) {
            return;
        }
        self.order.push_back(call);
        if self.order.len() > CALLS_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
    }

    /// Whether a call is remembered.
    pub(super) fn contains(&self, call: &T) -> bool {
        self.known.contains(call)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What was put in last is known, and there is an end to it.
    #[test]
    fn the_oldest_are_forgotten() {
        let mut recent = Recent::default();
        let call = |number: usize| (Uuid::nil(), CarrierCallId(number.to_string()));
        for number in 0..CALLS_MAX {
            recent.insert(call(number));
            recent.insert(call(number));
        }
        assert!(recent.contains(&call(0)) && recent.contains(&call(CALLS_MAX - 1)));
        recent.insert(call(CALLS_MAX));
        assert!(!recent.contains(&call(0)) && recent.contains(&call(1)));
        assert_eq!((recent.known.len(), recent.order.len()), (CALLS_MAX, CALLS_MAX));
    }
}
