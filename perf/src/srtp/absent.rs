//! No secured calls: what is built into the server's command line does without a second library of
//! SRTP.

use super::Keying;
use crate::error::{PerfError, Result};

/// A secured call, of which there is none.
pub(crate) enum Session {}

impl Session {
    /// Says where it is to be had.
    pub(crate) fn new(_: &Keying, _: &Keying) -> Result<Self> {
        Err(PerfError::Usage("SRTP is measured by talkpath-perf alone".into()))
    }

    /// A packet as it goes on the wire.
    pub(crate) fn protect(&mut self, _: &[u8]) -> Result<Vec<u8>> {
        match *self {}
    }

    /// A packet as it was before it went on the wire.
    pub(crate) fn unprotect(&mut self, _: &[u8]) -> Option<Vec<u8>> {
        match *self {}
    }
}
