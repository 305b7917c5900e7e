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

/// What stands of a call in the heap, as far as it matters: the earliest entry, and the one that
/// was the earliest before it.
///
/// A call that is looked at out of turn, as with each frame of an agent's, has another deadline
/// after that, often the one that it had before: that is still in the heap, and need not get there
/// again with each frame.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entries {
    first: MonoTime,
    second: MonoTime,
}

impl Entries {
    /// Nothing.
    pub(super) const NONE: Self = Self { first: MonoTime::MAX, second: MonoTime::MAX };

    /// The call wants to be looked at when `deadline` has come. True if the heap needs an entry for
    /// that; otherwise there is one that comes up by then, at worst in vain.
    #[inline]
    pub(super) fn want(&mut self, deadline: MonoTime) -> bool {
        if self.first <= deadline {
            return false;
        }
        if self.second <= deadline {
            self.first = std::mem::replace(&mut self.second, MonoTime::MAX);
            return false;
        }
        if self.first < MonoTime::MAX {
            self.second = self.first;
        }
        self.first = deadline;
        true
    }

    /// An entry for `at` comes up. True if it is the earliest; others are left over.
    #[inline]
    pub(super) fn is_first(&mut self, at: MonoTime) -> bool {
        if self.first != at && self.second == at {
            self.second = MonoTime::MAX;
        }
        self.first == at
    }

    /// The earliest entry has been taken out.
    #[inline]
    pub(super) const fn take_first(&mut self) {
        self.first = MonoTime::MAX;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A call whose every frame wants to be looked at before its deadline of seconds later puts one
    /// entry a frame into the heap, which comes out with it.
    #[test]
    fn frames_leave_nothing_in_the_heap() {
        let at = MonoTime::from_nanos;
        let (mut heap, mut entries) = (Deadlines::with_capacity(4), Entries::NONE);
        assert!(entries.want(at(1_000)));
        heap.push(at(1_000), 0);
        for now in 1..900 {
            assert!(entries.want(at(now)));
            heap.push(at(now), 0);
            assert_eq!(heap.pop_due(at(now)), Some((at(now), 0)));
            assert!(entries.is_first(at(now)));
            entries.take_first();
            assert!(!entries.want(at(1_000)), "it stands there already");
            assert_eq!(heap.heap.len(), 1);
        }
        assert_eq!(heap.pop_due(at(1_000)), Some((at(1_000), 0)));
        assert!(entries.is_first(at(1_000)));
    }

    proptest! {
        /// Whatever a call wants, and whenever it is looked at besides, it is never looked at later
        /// than it wants to be.
        #[test]
        fn never_late(wishes in proptest::collection::vec((0..40_u64, 0..60_u64), 1..60)) {
            let at = MonoTime::from_nanos;
            let (mut heap, mut entries) = (Deadlines::with_capacity(4), Entries::NONE);
            let (mut now, mut deadline) = (0, MonoTime::MAX);
            for (passes, wish) in wishes {
                now += passes;
                while let Some((due, _)) = heap.pop_due(at(now)) {
                    if !entries.is_first(due) {
                        continue;
                    }
                    entries.take_first();
                    prop_assert!(due <= deadline, "{due:?} for {deadline:?}");
                    if due >= deadline {
                        deadline = MonoTime::MAX;
                    }
                    if entries.want(deadline) {
                        heap.push(deadline, 0);
                    }
                }
                prop_assert!(deadline > at(now), "missed {deadline:?} at {now}");
                deadline = at(now + 1 + wish);
                if entries.want(deadline) {
                    heap.push(deadline, 0);
                }
            }
        }
    }

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
