//! Who has something for whom.

use std::sync::Arc;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Release};
use std::sync::atomic::{AtomicU32, AtomicU64};

use super::LINKS_MAX;
use crate::workers::poller::Waker;

/// One link of this process: its place among those that there are, and which of those that had it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LinkId {
    /// Below [`LINKS_MAX`].
    pub slot: u8,
    /// Differs from those before.
    pub generation: u32,
}

impl LinkId {
    /// Its bit in a mailbox.
    pub(super) const fn bit(self) -> u64 {
        1 << (self.slot as usize % LINKS_MAX)
    }
}

const _: () = assert!(LINKS_MAX == u64::BITS as usize, "a bit in a mailbox for each");

/// Where others mark that they have something for a worker.
#[derive(Debug)]
pub struct Mailbox {
    /// Links that have something for calls of this worker.
    down: AtomicU64,
    /// Links of this worker that calls have something for.
    up: AtomicU64,
    waker: Waker,
}

impl Mailbox {
    /// Of the worker that this wakes.
    pub(in crate::workers) const fn new(waker: Waker) -> Self {
        Self { down: AtomicU64::new(0), up: AtomicU64::new(0), waker }
    }

    /// A link has something for calls of this worker; `awake` if that looks anyway.
    pub(super) fn mark_down(&self, link: LinkId, awake: bool) {
        mark(&self.down, link, &self.waker, awake);
    }

    /// Calls have something for a link of this worker.
    pub(super) fn mark_up(&self, link: LinkId, awake: bool) {
        mark(&self.up, link, &self.waker, awake);
    }

    /// The links that have something for calls; what is put there from now on is marked anew.
    pub(super) fn take_down(&self) -> u64 {
        match self.down.load(Acquire) {
            0 => 0,
            _ => self.down.swap(0, AcqRel),
        }
    }

    /// The links that calls have something for.
    pub(super) fn up(&self) -> u64 {
        self.up.load(Acquire)
    }

    /// What is put there for these links from now on is marked anew.
    pub(super) fn take_up(&self, links: u64) {
        self.up.fetch_and(!links, AcqRel);
    }
}

fn mark(bits: &AtomicU64, link: LinkId, waker: &Waker, awake: bool) {
    // Whoever takes a mark that was there before sees what was written before it was made.
    if bits.fetch_or(link.bit(), AcqRel) & link.bit() == 0 && !awake {
        waker.wake();
    }
}

/// Whether a link is over, as all its ends see it.
#[derive(Debug, Default)]
pub(super) struct Over(AtomicU32);

/// It is over without a code.
const NO_CODE: u32 = 1 << 16;

impl Over {
    /// It is over: closed by its agent with this code, or lost.
    pub(super) fn set(&self, code: Option<u16>) {
        self.0.store(code.map_or(NO_CODE, |code| NO_CODE | u32::from(code)), Release);
    }

    /// With which code it is over, if it is.
    pub(super) fn get(&self) -> Option<Option<u16>> {
        match self.0.load(Acquire) {
            0 => None,
            over => Some(Some(over as u16).filter(|code| *code != 0)),
        }
    }
}

/// Whether a link is over, shared.
pub(super) type SharedOver = Arc<Over>;
