//! Master keys, which are never shown.

use std::fmt;

use zeroize::Zeroize;

use super::suite::Suite;

/// Longest master key with its salt.
const KEY_AND_SALT_BYTES_MAX: usize = 32 + 14;
/// Longest master key identifier (RFC 4568 6.1).
pub const MKI_BYTES_MAX: usize = 128;

/// A suite's master key and salt. Zeroed when dropped; `Debug` shows the suite alone.
#[derive(Clone)]
pub struct MasterKey {
    suite: Suite,
    bytes: [u8; KEY_AND_SALT_BYTES_MAX],
}

impl MasterKey {
    /// The key for `suite` from key and salt one behind the other, as SDP carries them; `None` if
    /// their length is not the suite's.
    pub fn new(suite: Suite, key_and_salt: &[u8]) -> Option<Self> {
        if key_and_salt.len() != Self::bytes(suite) {
            return None;
        }
        let mut key = Self { suite, bytes: [0; KEY_AND_SALT_BYTES_MAX] };
        key.bytes.get_mut(..key_and_salt.len())?.copy_from_slice(key_and_salt);
        Some(key)
    }

    /// Bytes of key and salt of `suite`.
    pub const fn bytes(suite: Suite) -> usize {
        suite.key_bytes() + suite.salt_bytes()
    }

    /// The suite.
    pub const fn suite(&self) -> Suite {
        self.suite
    }

    /// Key and salt one behind the other, for the one place that writes them into SDP.
    pub fn expose(&self) -> &[u8] {
        self.bytes.get(..Self::bytes(self.suite)).unwrap_or_default()
    }

    /// The key, without the salt.
    pub(super) fn key(&self) -> &[u8] {
        self.expose().get(..self.suite.key_bytes()).unwrap_or_default()
    }

    /// The salt.
    pub(super) fn salt(&self) -> &[u8] {
        self.expose().get(self.suite.key_bytes()..).unwrap_or_default()
    }
}

impl Drop for MasterKey {
    fn drop(&mut self) {
        self.bytes.zeroize();
    }
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MasterKey({}, [secret])", self.suite.name())
    }
}

/// Equality in a time that depends on the suites alone.
impl PartialEq for MasterKey {
    fn eq(&self, other: &Self) -> bool {
        let same = aws_lc_rs::constant_time::verify_slices_are_equal(&self.bytes, &other.bytes);
        self.suite == other.suite && same.is_ok()
    }
}

impl Eq for MasterKey {}

/// The keys of a stream's two directions, of the same suite.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SrtpKeys {
    /// Protects what we send.
    pub ours: MasterKey,
    /// Protects what the peer sends.
    pub theirs: MasterKey,
    /// The identifier in each of the peer's packets.
    pub mki: Option<Mki>,
}

/// A master key identifier: a number that stands in each packet under that key (RFC 3711 3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mki {
    /// Its value; what is longer than eight bytes has zeros in front.
    pub value: u64,
    /// Its bytes in a packet, 1 to [`MKI_BYTES_MAX`].
    pub bytes: u8,
}

impl Mki {
    /// True if `field` holds this identifier.
    pub(super) fn is(self, field: &[u8]) -> bool {
        let zeros = field.len().saturating_sub(8);
        let (front, back) = field.split_at(zeros);
        let value = back.iter().fold(0, |value, byte| value << 8 | u64::from(*byte));
        field.len() == usize::from(self.bytes)
            && front.iter().all(|byte| *byte == 0)
            && value == self.value
    }
}
