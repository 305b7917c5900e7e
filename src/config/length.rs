//! How long the calls of an agent last, and who is told before they end.

use std::time::Duration;

use super::section::Section;
use super::server::MAX_DURATION_S_MAX;

/// Earliest warning before the end of a call, in seconds.
pub const EXPIRING_S_MAX: u64 = 3_600;

/// How long the calls of an agent last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CallLength {
    /// Longest call, from its answer; as long as the server allows if absent.
    pub longest: Option<Duration>,
    /// How long before a call's end by its limit the agent is told; never if nothing.
    pub warning: Duration,
    /// The peer then hears two short tones.
    pub tone: bool,
}

/// Reads `max_duration_s`, `expiring_s` and `expiring_tone`.
pub(super) fn length(section: &Section<'_>) -> CallLength {
    let longest = section.seconds("max_duration_s", 1..=MAX_DURATION_S_MAX);
    let warning = section.seconds("expiring_s", 0..=EXPIRING_S_MAX).unwrap_or_default();
    let tone = section.flag("expiring_tone");
    if tone == Some(true) && warning.is_zero() {
        section.conflict("expiring_tone", "means nothing without expiring_s".to_owned());
    }
    CallLength { longest, warning, tone: tone.unwrap_or(false) }
}
