//! When each call wants to be looked at next.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use media::time::MonoTime;

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
