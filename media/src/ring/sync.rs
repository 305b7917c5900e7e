//! What the ring is built of: the real thing, or the model checker's under `cfg(loom)`.

#[cfg(not(loom))]
pub(super) use real::*;

#[cfg(loom)]
pub(super) use modelled::*;

use super::{LINE_BYTES, Line};
use std::cell::UnsafeCell;

/// The memory of all slots.
pub(super) type Lines = Box<[UnsafeCell<Line>]>;

/// `count` lines of zeros.
pub(super) fn lines(count: usize) -> Lines {
    (0..count).map(|_| UnsafeCell::new(Line([0; LINE_BYTES]))).collect()
}

/// The first line; pointers to all others follow from it.
#[inline]
pub(super) fn base(lines: &Lines) -> *mut Line {
    UnsafeCell::raw_get(lines.as_ptr())
}

#[cfg(not(loom))]
mod real {
    pub(in crate::ring) use std::sync::Arc;
    pub(in crate::ring) use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

    /// Nothing: the type system and the comments carry the proof.
    #[derive(Debug)]
    pub(in crate::ring) struct SlotCell;

    impl SlotCell {
        pub(in crate::ring) const fn new() -> Self {
            Self
        }

        #[inline]
        pub(in crate::ring) const fn read(&self) {}

        #[inline]
        pub(in crate::ring) const fn write(&self) {}
    }
}

#[cfg(loom)]
mod modelled {
    pub(in crate::ring) use loom::sync::Arc;
    pub(in crate::ring) use loom::sync::atomic::{AtomicU32, AtomicU64, Ordering};

    use loom::cell::UnsafeCell;

    /// Stands for the slot's bytes, so that the checker finds reads and writes without an order.
    #[derive(Debug)]
    pub(in crate::ring) struct SlotCell(UnsafeCell<()>);

    impl SlotCell {
        pub(in crate::ring) fn new() -> Self {
            Self(UnsafeCell::new(()))
        }

        pub(in crate::ring) fn read(&self) {
            self.0.with(|_| ());
        }

        pub(in crate::ring) fn write(&self) {
            self.0.with_mut(|_| ());
        }
    }
}
