//! How much nonsense is borne, and how often it is answered.

use media::time::MonoTime;

use super::limits::{FAULT_FORGIVEN_AFTER, FAULTS_MAX, QUEUE_FULL_TOLD_EVERY};

/// Counts faults and forgives them slowly.
#[derive(Debug)]
pub(super) struct Faults {
    count: u32,
    forgiven: MonoTime,
}

impl Faults {
    pub(super) const fn new(now: MonoTime) -> Self {
        Self { count: 0, forgiven: now }
    }

    /// Counts one; true if there have been too many.
    pub(super) fn add(&mut self, now: MonoTime) -> bool {
        let periods = now.since(self.forgiven).as_nanos() / FAULT_FORGIVEN_AFTER.as_nanos();
        let periods = u32::try_from(periods).unwrap_or(u32::MAX);
        self.forgiven += FAULT_FORGIVEN_AFTER.saturating_mul(periods);
        self.count = self.count.saturating_sub(periods).saturating_add(1);
        self.count >= FAULTS_MAX
    }
}

/// Sums up refused audio between two reports of it.
#[derive(Debug, Default)]
pub(super) struct Refusals {
    untold_bytes: usize,
    told: Option<MonoTime>,
}

impl Refusals {
    /// Adds `bytes`; returns the sum if it is time to tell it.
    pub(super) fn add(&mut self, now: MonoTime, bytes: usize) -> Option<usize> {
        self.untold_bytes = self.untold_bytes.saturating_add(bytes);
        if self.told.is_some_and(|told| now.since(told) < QUEUE_FULL_TOLD_EVERY) {
            return None;
        }
        self.told = Some(now);
        Some(std::mem::take(&mut self.untold_bytes))
    }
}
