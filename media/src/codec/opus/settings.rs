//! What a receiver wants of an encoder (RFC 7587 6.1).

use super::RATE_HZ;

/// What a peer asked for: how Opus for it is to be coded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Settings {
    /// `maxplaybackrate`: what is above half of it is not heard.
    pub max_rate_hz: u32,
    /// `maxaveragebitrate`, in bits a second, if there is a limit.
    pub max_bitrate_bps: Option<u32>,
    /// `useinbandfec`: it makes up for losses with what packets repeat.
    pub redundancy: bool,
    /// `usedtx`: nothing need be sent while nobody speaks.
    pub pauses: bool,
    /// `cbr`: every packet is of the same size.
    pub constant: bool,
}

impl Default for Settings {
    /// What RFC 7587 6.1 says of a peer that asks for nothing.
    fn default() -> Self {
        Self {
            max_rate_hz: RATE_HZ,
            max_bitrate_bps: None,
            redundancy: false,
            pauses: false,
            constant: false,
        }
    }
}
