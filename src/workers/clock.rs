//! The wall clock, for the reports that tell it and the stamps of the kernel.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use media::rtcp::Ntp;

/// The wall clock now, since 1970.
pub(super) fn unix() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// The wall clock now, as RTCP tells it.
pub(super) fn ntp() -> Ntp {
    Ntp::from_unix(unix())
}
