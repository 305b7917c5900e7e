//! `[retention]`: how long what is over is kept.

use std::time::Duration;

use super::section::Section;

/// Longest period: a hundred years.
const DAYS_MAX: u64 = 36_500;
/// Default of `deliveries_days`.
const DELIVERIES: Duration = days(30);
/// Default of `dead_deliveries_days`.
const DEAD_DELIVERIES: Duration = days(90);

/// `[retention]`. What has no period is kept for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetentionConfig {
    /// Calls with everything that is known of them, their recordings too.
    pub calls: Option<Duration>,
    /// Their facts.
    pub call_events: Option<Duration>,
    /// How their media fared.
    pub quality: Option<Duration>,
    /// Their SIP messages, of those that were captured.
    pub messages: Option<Duration>,
    /// Their recordings.
    pub recordings: Option<Duration>,
    /// Messages that callers have left.
    pub voicemails: Option<Duration>,
    /// Webhooks that were delivered.
    pub deliveries: Option<Duration>,
    /// Webhooks that were given up.
    pub dead_deliveries: Option<Duration>,
    /// Who changed what.
    pub audit: Option<Duration>,
}

const fn days(days: u64) -> Duration {
    Duration::from_secs(days * 86_400)
}

pub(super) fn retention(section: Section<'_>) -> RetentionConfig {
    // Nothing is kept for less than the longest call.
    let period = |key| section.integer(key, 0..=DAYS_MAX).filter(|n| *n > 0).map(days);
    let usual = |key, usual| match section.integer(key, 0..=DAYS_MAX) {
        None => Some(usual),
        Some(wanted) => Some(days(wanted)).filter(|period| !period.is_zero()),
    };
    let config = RetentionConfig {
        calls: period("calls_days"),
        call_events: period("call_events_days"),
        quality: period("quality_days"),
        messages: period("messages_days"),
        recordings: period("recordings_days"),
        voicemails: period("voicemails_days"),
        deliveries: usual("deliveries_days", DELIVERIES),
        dead_deliveries: usual("dead_deliveries_days", DEAD_DELIVERIES),
        audit: period("audit_days"),
    };
    section.finish();
    config
}
