//! When each call wants to be looked at next.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use media::time::MonoTime;

/// What need not be exact is due at whole multiples of this, so that one wake-up serves all calls.
const ROUND_MS: u64 = 10;

/// The next time at which what is due at `at`, and need not be exact, is looked after.
#[inline]
pub(super) fn rounded(at: MonoTime) -> MonoTime {
    const ROUND_NANOS: u64 = ROUND_MS * 1_000_000;
    let nanos = at.as_nanos().checked_next_multiple_of(ROUND_NANOS);
    nanos.map_or(MonoTime::MAX, MonoTime::from_nanos)
}

/// A heap of deadlines in which a call may stand more than once: an entry that is no longer the
/// call's earliest is skipped when it comes up, which is cheaper than taking it out.
#[derive(Debug, Default)]
pub(super) struct Deadlines {
    heap: BinaryHeap<Reverse<(MonoTime, u32)>>,
}

impl Deadlines {
    /// An empty heap with room for `calls` calls, so that none is allocated while frames flow.
    pub(super) fn with_capacity(calls: usize) -> Self {
        Self { heap: BinaryHeap::with_capacity(calls * 2) }
    }

    /// Sets call `index` to be looked at when `at` has come.
    pub(super) fn push(&mut self, at: MonoTime, index: u32) {
        if at < MonoTime::MAX {
            self.heap.push(Reverse((at, index)));
        }
    }

    /// The earliest deadline.
    pub(super) fn next(&self) -> MonoTime {
        self.heap.peek().map_or(MonoTime::MAX, |Reverse((at, _))| *at)
    }

    /// Takes out an entry that is due, with its time.
    pub(super) fn pop_due(&mut self, now: MonoTime) -> Option<(MonoTime, u32)> {
        if self.next() > now {
            return None;
        }
        self.heap.pop().map(|Reverse(entry)| entry)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is rounded is never early, and late by less than the grain; never stays never.
    #[test]
    fn rounds_up() {
        let at = MonoTime::from_nanos;
        for (nanos, rounded_nanos) in
            [(0, 0), (1, 10_000_000), (10_000_000, 10_000_000), (10_000_001, 20_000_000)]
        {
            assert_eq!(rounded(at(nanos)), at(rounded_nanos));
        }
        assert_eq!(rounded(MonoTime::MAX), MonoTime::MAX);
    }

    /// Entries come out in the order of their times, and not before.
    #[test]
    fn entries_come_out_when_due() {
        let at = MonoTime::from_nanos;
        let mut heap = Deadlines::with_capacity(4);
        heap.push(at(30), 3);
        heap.push(at(10), 1);
        heap.push(at(20), 2);
        heap.push(MonoTime::MAX, 9);
        assert_eq!(heap.next(), at(10));
        assert_eq!(heap.pop_due(at(9)), None);
        assert_eq!(heap.pop_due(at(20)), Some((at(10), 1)));
        assert_eq!(heap.pop_due(at(20)), Some((at(20), 2)));
        assert_eq!(heap.pop_due(at(20)), None);
        assert_eq!(heap.pop_due(at(30)), Some((at(30), 3)));
        assert_eq!(heap.next(), MonoTime::MAX);
    }
}
