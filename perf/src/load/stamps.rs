//! Where an echo agent in this process notes when each packet reached it and when it was sent
//! back, so that the way to the agent and the way back are measured apart, the agent's own
//! lateness in neither.

use std::sync::atomic::{AtomicU64, Ordering};

/// Packets of one call remembered: 5 s of 20 ms packets.
const DEPTH: u32 = 256;

#[derive(Default)]
struct Entry {
    tag: AtomicU64,
    arrived_ns: AtomicU64,
    sent_ns: AtomicU64,
}

/// Stamps of every call's last packets; written by the agent's thread, read by the generator's.
pub(crate) struct Stamps(Vec<Entry>);

impl Stamps {
    /// Room for `calls` calls.
    pub(crate) fn new(calls: usize) -> Self {
        let count = calls.saturating_mul(DEPTH as usize);
        Self((0..count).map(|_| Entry::default()).collect())
    }

    fn entry(&self, call: u32, index: u32) -> Option<&Entry> {
        let at = u64::from(call) * u64::from(DEPTH) + u64::from(index % DEPTH);
        self.0.get(usize::try_from(at).ok()?)
    }

    /// Notes a packet, before it is sent back.
    pub(crate) fn note(&self, call: u32, index: u32, arrived_ns: u64, sent_ns: u64) {
        if let Some(entry) = self.entry(call, index) {
            entry.arrived_ns.store(arrived_ns, Ordering::Relaxed);
            entry.sent_ns.store(sent_ns, Ordering::Relaxed);
            entry.tag.store(u64::from(index) + 1, Ordering::Release);
        }
    }

    /// Arrival at the agent and sending by it of a packet that has come back.
    pub(crate) fn get(&self, call: u32, index: u32) -> Option<(u64, u64)> {
        let entry = self.entry(call, index)?;
        (entry.tag.load(Ordering::Acquire) == u64::from(index) + 1).then(|| {
            (entry.arrived_ns.load(Ordering::Relaxed), entry.sent_ns.load(Ordering::Relaxed))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A note is found under its own call and index only, and calls out of range do no harm.
    #[test]
    fn notes_belong_to_one_packet() {
        let stamps = Stamps::new(2);
        stamps.note(1, 300, 5, 6);
        stamps.note(2, 0, 7, 8);
        assert_eq!(stamps.get(1, 300), Some((5, 6)));
        assert_eq!(stamps.get(1, 300 - DEPTH), None);
        assert_eq!((stamps.get(0, 300), stamps.get(2, 0)), (None, None));
    }
}
