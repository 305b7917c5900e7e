//! The crypto suites and their sizes.

/// A crypto suite of SDP security descriptions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Suite {
    /// `AES_CM_128_HMAC_SHA1_80` (RFC 4568 6.2.1): what everybody has.
    AesCm128Sha1Tag80,
    /// `AES_CM_128_HMAC_SHA1_32` (RFC 4568 6.2.2).
    AesCm128Sha1Tag32,
    /// `AES_256_CM_HMAC_SHA1_80` (RFC 6188 2).
    AesCm256Sha1Tag80,
    /// `AES_256_CM_HMAC_SHA1_32` (RFC 6188 2).
    AesCm256Sha1Tag32,
    /// `AEAD_AES_128_GCM` (RFC 7714 14.1).
    AesGcm128,
    /// `AEAD_AES_256_GCM` (RFC 7714 14.1).
    AesGcm256,
}

impl Suite {
    /// All of them, the strongest first; of equal strength, the quicker first.
    pub const ALL: [Self; 6] = [
        Self::AesGcm256,
        Self::AesGcm128,
        Self::AesCm256Sha1Tag80,
        Self::AesCm128Sha1Tag80,
        Self::AesCm256Sha1Tag32,
        Self::AesCm128Sha1Tag32,
    ];

    /// The name in `a=crypto`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::AesCm128Sha1Tag80 => "AES_CM_128_HMAC_SHA1_80",
            Self::AesCm128Sha1Tag32 => "AES_CM_128_HMAC_SHA1_32",
            Self::AesCm256Sha1Tag80 => "AES_256_CM_HMAC_SHA1_80",
            Self::AesCm256Sha1Tag32 => "AES_256_CM_HMAC_SHA1_32",
            Self::AesGcm128 => "AEAD_AES_128_GCM",
            Self::AesGcm256 => "AEAD_AES_256_GCM",
        }
    }

    /// The suite of this name. Case counts (RFC 4568 9.1), but some phones write RFC 6188's names
    /// in the manner of RFC 4568.
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "AES_CM_256_HMAC_SHA1_80" => Some(Self::AesCm256Sha1Tag80),
            "AES_CM_256_HMAC_SHA1_32" => Some(Self::AesCm256Sha1Tag32),
            _ => Self::ALL.into_iter().find(|suite| suite.name() == name),
        }
    }

    /// Bytes of the master key, and of the session keys for the cipher.
    pub const fn key_bytes(self) -> usize {
        match self {
            Self::AesCm128Sha1Tag80 | Self::AesCm128Sha1Tag32 | Self::AesGcm128 => 16,
            Self::AesCm256Sha1Tag80 | Self::AesCm256Sha1Tag32 | Self::AesGcm256 => 32,
        }
    }

    /// Bytes of the salt.
    pub const fn salt_bytes(self) -> usize {
        if self.is_gcm() { 12 } else { 14 }
    }

    /// Bytes of an RTP packet's tag.
    pub const fn rtp_tag_bytes(self) -> usize {
        match self {
            Self::AesCm128Sha1Tag32 | Self::AesCm256Sha1Tag32 => 4,
            Self::AesCm128Sha1Tag80 | Self::AesCm256Sha1Tag80 => 10,
            Self::AesGcm128 | Self::AesGcm256 => 16,
        }
    }

    /// Bytes of a report's tag: 80 bits with HMAC even where RTP has 32 (RFC 4568 6.2.2).
    pub const fn rtcp_tag_bytes(self) -> usize {
        if self.is_gcm() { 16 } else { 10 }
    }

    /// Encrypts and authenticates in one.
    pub(super) const fn is_gcm(self) -> bool {
        matches!(self, Self::AesGcm128 | Self::AesGcm256)
    }
}
