//! Digits that go to a carrier as messages, one after the other.

use std::collections::VecDeque;
use std::time::Duration;

use media::dtmf::{DIGITS_MAX, DtmfError};
use media::time::MonoTime;

/// Digits that wait for those before them to be over.
#[derive(Default)]
pub(in crate::workers) struct Keys {
    waiting: VecDeque<(char, Duration)>,
    /// When the next may leave.
    free_at: MonoTime,
}

impl Keys {
    /// Puts digits behind those that wait. Each lasts `duration_ms` and is followed by a pause of
    /// `gap_ms`.
    ///
    /// # Errors
    ///
    /// [`DtmfError`] if too many would wait.
    pub(in crate::workers) fn queue(
        &mut self,
        digits: &str,
        duration_ms: u32,
        gap_ms: u32,
    ) -> Result<(), DtmfError> {
        if self.waiting.len() + digits.len() > DIGITS_MAX {
            return Err(DtmfError::TooMany);
        }
        let lasts = Duration::from_millis(u64::from(duration_ms) + u64::from(gap_ms));
        self.waiting.extend(digits.chars().map(|digit| (digit, lasts)));
        Ok(())
    }

    /// The digit that leaves now, if one does.
    pub(in crate::workers) fn poll(&mut self, now: MonoTime) -> Option<char> {
        if self.free_at > now {
            return None;
        }
        let (digit, lasts) = self.waiting.pop_front()?;
        self.free_at = now + lasts;
        Some(digit)
    }

    /// When the next leaves.
    pub(in crate::workers) fn deadline(&self) -> MonoTime {
        if self.waiting.is_empty() { MonoTime::MAX } else { self.free_at }
    }
}
