//! `[park]`: calls that are put aside.

use std::path::PathBuf;
use std::time::Duration;

use super::section::Section;

/// Longest time that a call is put aside: a day.
pub const PARK_TIMEOUT_S_MAX: u64 = 24 * 3_600;
/// Default of `timeout_s`.
const TIMEOUT: Duration = Duration::from_secs(120);

/// `[park]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParkConfig {
    /// How long a call is put aside before it goes back to its agent.
    pub timeout: Duration,
    /// WAV file that callers hear meanwhile; that of their agent if absent.
    pub hold_music: Option<PathBuf>,
}

pub(super) fn park(section: Section<'_>) -> ParkConfig {
    let timeout = section.seconds("timeout_s", 1..=PARK_TIMEOUT_S_MAX).unwrap_or(TIMEOUT);
    let hold_music = section.file("hold_music");
    section.finish();
    ParkConfig { timeout, hold_music }
}
