//! When a delivery that failed is tried again.

use std::time::Duration;

/// Attempts of one delivery; with [`pause`] they span about a day.
pub(super) const ATTEMPTS_MAX: u32 = 32;
/// The first pause, in milliseconds.
const PAUSE_MIN_MS: u64 = 5_000;
/// The longest pause, in milliseconds.
const PAUSE_MAX_MS: u64 = 3_600_000;

/// The pause after the failed attempt number `attempts`, counted from one: it doubles, and lies
/// between half of that and all of it, by `chance` from 0 to 1, so that what failed together does
/// not come back together. `None` once enough was tried.
pub(super) fn pause(attempts: u32, chance: f64) -> Option<Duration> {
    if attempts >= ATTEMPTS_MAX {
        return None;
    }
    let doubled = 1_u64.checked_shl(attempts.saturating_sub(1)).unwrap_or(u64::MAX);
    let whole = PAUSE_MIN_MS.saturating_mul(doubled).min(PAUSE_MAX_MS);
    Some(Duration::from_millis(whole).mul_f64(0.5 + chance.clamp(0.0, 1.0) / 2.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pauses double up to an hour, spread over their upper half, and end after about a day.
    #[test]
    fn pauses_double_and_end() {
        assert_eq!(pause(1, 1.0), Some(Duration::from_secs(5)));
        assert_eq!(pause(1, 0.0), Some(Duration::from_millis(2_500)));
        assert_eq!(pause(2, 1.0), Some(Duration::from_secs(10)));
        assert_eq!(pause(31, 1.0), Some(Duration::from_secs(3_600)));
        assert_eq!(pause(ATTEMPTS_MAX, 1.0), None);
        let all: Duration = (1..ATTEMPTS_MAX).filter_map(|attempts| pause(attempts, 0.5)).sum();
        assert!((12..36).contains(&(all.as_secs() / 3_600)), "{all:?}");
    }
}
