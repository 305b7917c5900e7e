//! Bounded tables with handles that are never used twice, and one heap of their deadlines.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use media::time::MonoTime;
use slab::Slab;

/// Occupants for which there is room from the start. What is not used takes no memory yet, and a
/// table that grows by copying leaves holes.
const WARM: usize = 2_048;

/// A place in a [`Table`] and which of its occupants is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Handle {
    index: u32,
    generation: u32,
}

struct Slot<T> {
    generation: u32,
    /// The earliest entry of the schedule for this occupant; `MAX` if none counts.
    queued: MonoTime,
    value: T,
}

/// A slab with a bound.
pub(super) struct Table<T> {
    slots: Slab<Slot<T>>,
    generation: u32,
    max: usize,
}

impl<T> Table<T> {
    /// An empty table for `max` occupants.
    pub(super) fn new(max: usize) -> Self {
        // Handles count in 32 bits.
        Self {
            slots: Slab::with_capacity(max.min(WARM)),
            generation: 0,
            max: max.min(u32::MAX as usize),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }

    pub(super) fn is_full(&self) -> bool {
        self.slots.len() >= self.max
    }

    /// Takes an occupant; `None` if the table is full.
    pub(super) fn insert(&mut self, value: T) -> Option<Handle> {
        if self.is_full() {
            return None;
        }
        self.generation = self.generation.wrapping_add(1);
        let generation = self.generation;
        let index = self.slots.insert(Slot { generation, queued: MonoTime::MAX, value });
        Some(Handle { index: u32::try_from(index).ok()?, generation })
    }

    pub(super) fn get(&self, handle: Handle) -> Option<&T> {
        let slot = self.slots.get(handle.index as usize)?;
        (slot.generation == handle.generation).then_some(&slot.value)
    }

    pub(super) fn get_mut(&mut self, handle: Handle) -> Option<&mut T> {
        self.slot(handle).map(|slot| &mut slot.value)
    }

    pub(super) fn remove(&mut self, handle: Handle) -> Option<T> {
        self.get(handle)?;
        self.slots.try_remove(handle.index as usize).map(|slot| slot.value)
    }

    /// Every occupant, in order of place.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Handle, &T)> {
        self.slots.iter().filter_map(|(index, slot)| {
            let index = u32::try_from(index).ok()?;
            Some((Handle { index, generation: slot.generation }, &slot.value))
        })
    }

    fn slot(&mut self, handle: Handle) -> Option<&mut Slot<T>> {
        self.slots.get_mut(handle.index as usize).filter(|s| s.generation == handle.generation)
    }

    /// Whether the entry of the schedule for `at` is the one that counts; it is used up then.
    pub(super) fn take_due(&mut self, handle: Handle, at: MonoTime) -> bool {
        match self.slot(handle) {
            Some(slot) if slot.queued == at => {
                slot.queued = MonoTime::MAX;
                true
            }
            _ => false,
        }
    }

    fn counts(&self, handle: Handle, at: MonoTime) -> bool {
        self.slots
            .get(handle.index as usize)
            .is_some_and(|slot| slot.generation == handle.generation && slot.queued == at)
    }
}

/// What a deadline belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Timed {
    Call(Handle),
    Server(Handle),
    Client(Handle),
}

/// Deadlines of all tables. Entries are not removed when a deadline moves: an entry that does not
/// count any more is skipped when its time comes, and swept out when such entries prevail.
#[derive(Default)]
pub(super) struct Schedule {
    heap: BinaryHeap<Reverse<(MonoTime, Timed)>>,
}

/// Entries below which sweeping is not worth the trouble.
const SWEEP_MIN_ENTRIES: usize = 1024;

impl Schedule {
    /// Makes sure that an occupant is looked at by `deadline`.
    pub(super) fn arm<T>(
        &mut self,
        table: &mut Table<T>,
        handle: Handle,
        deadline: MonoTime,
        kind: fn(Handle) -> Timed,
    ) {
        let Some(slot) = table.slot(handle) else { return };
        if deadline < slot.queued {
            slot.queued = deadline;
            self.heap.push(Reverse((deadline, kind(handle))));
        }
    }

    /// The earliest entry.
    pub(super) fn next(&self) -> Option<MonoTime> {
        self.heap.peek().map(|Reverse((at, _))| *at)
    }

    /// Takes the earliest entry if its time has come.
    pub(super) fn pop(&mut self, now: MonoTime) -> Option<(MonoTime, Timed)> {
        if self.next()? > now {
            return None;
        }
        self.heap.pop().map(|Reverse(entry)| entry)
    }

    /// Sweeps out entries that do not count if there are more than thrice as many as occupants.
    pub(super) fn sweep<A, B, C>(
        &mut self,
        calls: &Table<A>,
        servers: &Table<B>,
        clients: &Table<C>,
    ) {
        let occupants = calls.len() + servers.len() + clients.len();
        if self.heap.len() < SWEEP_MIN_ENTRIES + 3 * occupants {
            return;
        }
        self.heap.retain(|Reverse((at, timed))| match *timed {
            Timed::Call(handle) => calls.counts(handle, *at),
            Timed::Server(handle) => servers.counts(handle, *at),
            Timed::Client(handle) => clients.counts(handle, *at),
        });
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.heap.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(n: u64) -> MonoTime {
        MonoTime::from_nanos(n)
    }

    /// A handle of a removed occupant finds nothing, also when its place is taken again.
    #[test]
    fn handles_are_not_reused() {
        let mut table = Table::new(2);
        let a = table.insert('a').unwrap();
        let b = table.insert('b').unwrap();
        assert_eq!(table.insert('c'), None);
        assert_eq!(table.remove(a), Some('a'));
        let c = table.insert('c').unwrap();
        assert_eq!((table.get(a), table.get(b), table.get(c)), (None, Some(&'b'), Some(&'c')));
        assert_eq!(table.remove(a), None);
        assert_eq!(table.len(), 2);
    }

    /// Only the earliest entry of an occupant counts, and none of a removed one.
    #[test]
    fn stale_entries_do_not_count() {
        let (mut table, mut schedule) = (Table::new(9), Schedule::default());
        let a = table.insert(()).unwrap();
        schedule.arm(&mut table, a, at(50), Timed::Call);
        schedule.arm(&mut table, a, at(60), Timed::Call);
        schedule.arm(&mut table, a, at(40), Timed::Call);
        assert_eq!(schedule.len(), 2);
        assert_eq!(schedule.next(), Some(at(40)));
        assert_eq!(schedule.pop(at(39)), None);
        assert_eq!(schedule.pop(at(40)), Some((at(40), Timed::Call(a))));
        assert!(table.take_due(a, at(40)));
        assert_eq!(schedule.pop(at(99)), Some((at(50), Timed::Call(a))));
        assert!(!table.take_due(a, at(50)));
        schedule.arm(&mut table, a, at(70), Timed::Call);
        table.remove(a);
        assert_eq!(schedule.pop(at(99)), Some((at(70), Timed::Call(a))));
        assert!(!table.take_due(a, at(70)));
    }

    /// Entries that do not count are swept out when they prevail; those that count stay.
    #[test]
    fn sweeping_keeps_what_counts() {
        let (mut table, mut schedule) = (Table::new(9), Schedule::default());
        let empty: Table<()> = Table::new(0);
        let a = table.insert(()).unwrap();
        for n in (0..2000).rev() {
            schedule.arm(&mut table, a, at(n), Timed::Client);
        }
        assert_eq!(schedule.len(), 2000);
        schedule.sweep(&empty, &empty, &table);
        assert_eq!((schedule.len(), schedule.next()), (1, Some(at(0))));
    }
}
