//! `builtin = "voicemail"`: an agent that takes a message.

use std::path::PathBuf;
use std::time::Duration;

use super::section::Section;

/// Longest message that may be allowed, in seconds.
pub const MESSAGE_S_MAX: u64 = 3_600;
/// Longest silence that may be waited through, in seconds.
pub const SILENCE_S_MAX: u64 = 60;
/// Default of `max_s`.
const LONGEST: Duration = Duration::from_secs(180);
/// Default of `silence_s`.
const SILENCE: Duration = Duration::from_secs(5);

/// How messages are taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Voicemail {
    /// WAV file that callers hear before the beep; the beep alone if absent.
    pub greeting: Option<PathBuf>,
    /// Longest message.
    pub longest: Duration,
    /// Silence of the caller that ends it.
    pub silence: Duration,
}

/// Reads `greeting`, `max_s` and `silence_s`.
pub(super) fn voicemail(section: &Section<'_>) -> Voicemail {
    let greeting = section.file("greeting");
    let longest = section.seconds("max_s", 1..=MESSAGE_S_MAX).unwrap_or(LONGEST);
    let silence = section.seconds("silence_s", 1..=SILENCE_S_MAX).unwrap_or(SILENCE);
    Voicemail { greeting, longest, silence }
}
