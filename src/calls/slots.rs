//! Places at agents that take only so many calls at once.

use std::collections::HashMap;
use std::sync::Arc;

/// How many calls each agent with a limit has.
#[derive(Debug, Default)]
pub(super) struct Slots(HashMap<String, Arc<()>>);

/// A call's place at an agent. It is given back when the call lets go of it, whatever way the call
/// ends, so that no place is ever lost.
#[derive(Debug)]
pub(super) struct Slot(
    #[expect(dead_code, reason = "only counted: the references are the calls")] Arc<()>,
);

impl Slots {
    /// Whether an agent that takes `max` calls has a place.
    pub(super) fn has_room(&self, agent: &str, max: Option<u32>) -> bool {
        max.is_none_or(|max| self.0.get(agent).is_none_or(|held| calls(held) < max as usize))
    }

    /// Takes a place at an agent that takes `max` calls; none if there is none.
    pub(super) fn take(&mut self, agent: &str, max: u32) -> Option<Slot> {
        let held = self.0.entry(agent.to_owned()).or_default();
        (calls(held) < max as usize).then(|| Slot(Arc::clone(held)))
    }
}

/// Calls that hold a place: one reference is the table's own.
fn calls(held: &Arc<()>) -> usize {
    Arc::strong_count(held) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As many places as the limit says, and a place comes back when its call lets go of it.
    #[test]
    fn places_are_counted_and_come_back() {
        let mut slots = Slots::default();
        assert!(slots.has_room("a", Some(2)) && slots.has_room("a", None));
        let first = slots.take("a", 2).unwrap();
        let second = slots.take("a", 2).unwrap();
        assert!(slots.take("a", 2).is_none() && !slots.has_room("a", Some(2)));
        assert!(slots.take("b", 1).is_some(), "each agent has its own");
        drop(first);
        assert!(slots.has_room("a", Some(2)));
        let again = slots.take("a", 2).unwrap();
        assert!(slots.take("a", 2).is_none());
        drop((second, again));
        assert_eq!(calls(&slots.0["a"]), 0);
    }
}
