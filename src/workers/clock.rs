//! The wall clock, for the reports that tell it.

use std::time::{SystemTime, UNIX_EPOCH};

use media::rtcp::Ntp;

/// The wall clock now, as RTCP tells it.
pub(super) fn ntp() -> Ntp {
    Ntp::from_unix(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default())
}
