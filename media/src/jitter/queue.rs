//! Packets that wait for their time, in order, in pooled blocks.

use std::collections::VecDeque;

use crate::blocks::{BlockPool, Chain};
use crate::time::MonoTime;

/// What a packet holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// Audio, and a number by which the decoder knows its format.
    Audio(u8),
    /// Comfort noise (RFC 3389): silence from here on.
    Comfort,
    /// Nothing that is heard: a telephone event. It has its place in the order.
    Other,
}

/// A packet that waits.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) seq: u64,
    pub(super) ts: u64,
    /// Media time that it holds, in clock units.
    pub(super) units: u32,
    pub(super) content: Content,
    /// It does not continue what is before it: another source.
    pub(super) splice: bool,
    /// When it came.
    pub(super) at: MonoTime,
    pub(super) payload: Chain,
}

/// The packets that wait, oldest first.
#[derive(Debug)]
pub(super) struct Queue {
    slots: VecDeque<Slot>,
    limit: usize,
}

impl Queue {
    /// Of at most `limit` packets.
    pub(super) fn new(limit: usize) -> Self {
        Self { slots: VecDeque::with_capacity(limit + 1), limit }
    }

    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }

    pub(super) fn is_full(&self) -> bool {
        self.slots.len() >= self.limit
    }

    pub(super) fn head(&self) -> Option<&Slot> {
        self.slots.front()
    }

    pub(super) fn pop(&mut self) -> Option<Slot> {
        self.slots.pop_front()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Slot> {
        self.slots.iter()
    }

    /// Where a packet of number `seq` belongs; `None` if it is there already.
    pub(super) fn place(&self, seq: u64) -> Option<usize> {
        let behind = self.slots.iter().rev().take_while(|slot| slot.seq > seq).count();
        let place = self.slots.len() - behind;
        let before = place.checked_sub(1).and_then(|before| self.slots.get(before));
        if before.is_some_and(|slot| slot.seq == seq) { None } else { Some(place) }
    }

    /// Puts a packet at its place.
    pub(super) fn insert(&mut self, place: usize, slot: Slot) {
        self.slots.insert(place, slot);
    }

    /// Gives all blocks back.
    pub(super) fn clear(&mut self, blocks: &mut BlockPool) -> usize {
        let dropped = self.slots.len();
        while let Some(mut slot) = self.slots.pop_front() {
            slot.payload.clear(blocks);
        }
        dropped
    }
}
