//! `[captures]`: how many calls are captured, and how long captures stay in memory.

use std::time::Duration;

use super::section::Section;

/// Most captures that may be asked for: each takes up to 4 MB.
const CALLS_MAX: u64 = 4_096;
/// Longest time that captures may be kept in memory, in minutes: 30 days.
const KEEP_MAX_MINUTES: u64 = 43_200;
/// Default of `max_calls`.
const CALLS: usize = 64;
/// Default of `max_calls_per_organization`.
const CALLS_PER_ORGANISATION: usize = 16;
/// Default of `keep_minutes`: a day.
const KEEP: Duration = Duration::from_secs(24 * 3_600);

/// `[captures]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CapturesConfig {
    /// Captures at once, those of calls that are over included.
    pub calls: usize,
    /// Those of one organisation.
    pub calls_per_organisation: usize,
    /// How long the capture of a call that is over stays in memory; while there is room if absent.
    pub keep: Option<Duration>,
}

impl Default for CapturesConfig {
    fn default() -> Self {
        Self { calls: CALLS, calls_per_organisation: CALLS_PER_ORGANISATION, keep: Some(KEEP) }
    }
}

pub(super) fn captures(section: Section<'_>) -> CapturesConfig {
    let usual = CapturesConfig::default();
    let count = |key| {
        let wanted = section.integer(key, 1..=CALLS_MAX);
        wanted.map(|wanted| usize::try_from(wanted).unwrap_or(usize::MAX))
    };
    let keep = match section.integer("keep_minutes", 0..=KEEP_MAX_MINUTES) {
        None => usual.keep,
        Some(0) => None,
        Some(minutes) => Some(Duration::from_secs(minutes * 60)),
    };
    let calls = count("max_calls").unwrap_or(usual.calls);
    let own = count("max_calls_per_organization").unwrap_or(usual.calls_per_organisation);
    section.finish();
    CapturesConfig { calls, calls_per_organisation: own.min(calls), keep }
}
