//! SRTP of the generator's calls (RFC 3711, RFC 7714), keys by SDES (RFC 4568), over a library
//! that is not the server's. Without the feature `srtp` a secured call is an error.

#[cfg(not(feature = "srtp"))]
mod absent;
#[cfg(feature = "srtp")]
mod session;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

#[cfg(not(feature = "srtp"))]
pub(crate) use absent::Session;
#[cfg(feature = "srtp")]
pub(crate) use session::Session;

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

    /// Bytes of the master key and of its salt (RFC 4568 6.2, RFC 7714 14.2).
    const fn lengths(self) -> (usize, usize) {
        match self {
            Self::Cm80 | Self::Cm32 => (16, 14),
            Self::Gcm128 => (16, 12),
            Self::Gcm256 => (32, 12),
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
        let (key, salt) = self.suite.lengths();
        let (key, rest) = self.bytes.split_at(key);
        (key, rest.get(..salt).unwrap_or_default())
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
        let (key, salt) = suite.lengths();
        let right = name == suite.name() && read.len() == key + salt;
        keying.bytes.get_mut(..read.len()).filter(|_| right)?.copy_from_slice(&read);
        Some(keying)
    }
}
