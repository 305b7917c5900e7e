//! SRTP of the generator's calls (RFC 3711, RFC 7714), keys by SDES (RFC 4568), over a library
//! that is not the server's.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use webrtc_srtp::context::Context;
use webrtc_srtp::protection_profile::ProtectionProfile;

use crate::error::{PerfError, Result};

/// Longest master key with its salt, in bytes.
const KEYING_BYTES_MAX: usize = 44;

/// A crypto suite.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Suite {
    /// AES in counter mode, tag of 80 bits.
    Cm80,
    /// AES in counter mode, tag of 32 bits.
    Cm32,
    /// AES in Galois mode, key of 128 bits.
    Gcm128,
    /// AES in Galois mode, key of 256 bits.
    Gcm256,
}

impl Suite {
    /// Name in `a=crypto`.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Cm80 => "AES_CM_128_HMAC_SHA1_80",
            Self::Cm32 => "AES_CM_128_HMAC_SHA1_32",
            Self::Gcm128 => "AEAD_AES_128_GCM",
            Self::Gcm256 => "AEAD_AES_256_GCM",
        }
    }

    const fn profile(self) -> ProtectionProfile {
        match self {
            Self::Cm80 => ProtectionProfile::Aes128CmHmacSha1_80,
            Self::Cm32 => ProtectionProfile::Aes128CmHmacSha1_32,
            Self::Gcm128 => ProtectionProfile::AeadAes128Gcm,
            Self::Gcm256 => ProtectionProfile::AeadAes256Gcm,
        }
    }
}

/// Master key and salt of one direction.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Keying {
    suite: Suite,
    bytes: [u8; KEYING_BYTES_MAX],
}

impl std::fmt::Debug for Keying {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Keying({})", self.suite.name())
    }
}

impl Keying {
    /// Keying of a load test's call; it guards nothing.
    pub(crate) fn random(suite: Suite) -> Self {
        let mut bytes = [0; KEYING_BYTES_MAX];
        fastrand::Rng::new().fill(&mut bytes);
        Self { suite, bytes }
    }

    fn split(&self) -> (&[u8], &[u8]) {
        let profile = self.suite.profile();
        let (key, rest) = self.bytes.split_at(profile.key_len());
        (key, rest.get(..profile.salt_len()).unwrap_or_default())
    }

    /// The `a=crypto` line of an offer.
    pub(crate) fn line(&self) -> String {
        let (key, salt) = self.split();
        let inline = STANDARD.encode([key, salt].concat());
        format!("a=crypto:1 {} inline:{inline}\r\n", self.suite.name())
    }

    /// Reads the `a=crypto` line of an answer to an offer of `suite`.
    pub(crate) fn of_answer(body: &str, suite: Suite) -> Option<Self> {
        let line = body.lines().find_map(|line| line.strip_prefix("a=crypto:1 "))?;
        let (name, rest) = line.split_once(' ')?;
        let key = rest.strip_prefix("inline:")?.split(['|', ' ']).next()?;
        let read = STANDARD.decode(key).ok()?;
        let mut keying = Self { suite, bytes: [0; KEYING_BYTES_MAX] };
        let profile = suite.profile();
        let right = name == suite.name() && read.len() == profile.key_len() + profile.salt_len();
        keying.bytes.get_mut(..read.len()).filter(|_| right)?.copy_from_slice(&read);
        Some(keying)
    }

    fn context(&self) -> Result<Context> {
        let (key, salt) = self.split();
        Context::new(key, salt, self.suite.profile(), None, None)
            .map_err(|error| PerfError::Usage(format!("SRTP: {error}")))
    }
}

/// Both directions of a call.
pub(crate) struct Session {
    out: Context,
    from: Context,
}

impl Session {
    /// Ours, and the peer's.
    pub(crate) fn new(ours: &Keying, theirs: &Keying) -> Result<Self> {
        Ok(Self { out: ours.context()?, from: theirs.context()? })
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
