//! A secured call.

use webrtc_srtp::context::Context;
use webrtc_srtp::protection_profile::ProtectionProfile;

use super::{Keying, Suite};
use crate::error::{PerfError, Result};

const fn profile(suite: Suite) -> ProtectionProfile {
    match suite {
        Suite::Cm80 => ProtectionProfile::Aes128CmHmacSha1_80,
        Suite::Cm32 => ProtectionProfile::Aes128CmHmacSha1_32,
        Suite::Gcm128 => ProtectionProfile::AeadAes128Gcm,
        Suite::Gcm256 => ProtectionProfile::AeadAes256Gcm,
    }
}

fn context(keying: &Keying) -> Result<Context> {
    let (key, salt) = keying.split();
    Context::new(key, salt, profile(keying.suite), None, None)
        .map_err(|error| PerfError::Usage(format!("SRTP: {error}")))
}

/// Both directions of a call.
pub(crate) struct Session {
    out: Context,
    from: Context,
}

impl Session {
    /// Ours, and the peer's.
    pub(crate) fn new(ours: &Keying, theirs: &Keying) -> Result<Self> {
        Ok(Self { out: context(ours)?, from: context(theirs)? })
    }

    /// A packet as it goes on the wire.
    pub(crate) fn protect(&mut self, packet: &[u8]) -> Result<impl AsRef<[u8]> + use<>> {
        self.out.encrypt_rtp(packet).map_err(|error| PerfError::Usage(format!("SRTP: {error}")))
    }

    /// A packet as it was before it went on the wire; none if it is not the peer's.
    pub(crate) fn unprotect(&mut self, packet: &[u8]) -> Option<impl AsRef<[u8]> + use<>> {
        self.from.decrypt_rtp(packet).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The library wants keys and salts of the lengths that SDES carries.
    #[test]
    fn lengths_are_those_of_the_library() {
        for suite in [Suite::Cm80, Suite::Cm32, Suite::Gcm128, Suite::Gcm256] {
            let of = profile(suite);
            assert_eq!(suite.lengths(), (of.key_len(), of.salt_len()));
        }
    }
}
