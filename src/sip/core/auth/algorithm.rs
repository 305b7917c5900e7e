//! Hash algorithms of digest authentication (RFC 7616 6.1, RFC 8760 2.1).

use std::fmt::Write as _;

use md5::Md5;
use sha2::{Digest as _, Sha256, Sha512_256};

/// An algorithm of digest authentication.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// MD5 (RFC 2617): what every telephone has.
    Md5,
    /// MD5 over a key of the session.
    Md5Sess,
    /// SHA-256 (RFC 8760).
    Sha256,
    /// SHA-256 over a key of the session.
    Sha256Sess,
    /// SHA-512/256 (RFC 8760).
    Sha512t256,
    /// SHA-512/256 over a key of the session.
    Sha512t256Sess,
}

impl Algorithm {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Md5,
        Self::Md5Sess,
        Self::Sha256,
        Self::Sha256Sess,
        Self::Sha512t256,
        Self::Sha512t256Sess,
    ];

    /// The algorithm that `name` means, in any case.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.as_str().eq_ignore_ascii_case(name))
    }

    /// Its name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Md5 => "MD5",
            Self::Md5Sess => "MD5-sess",
            Self::Sha256 => "SHA-256",
            Self::Sha256Sess => "SHA-256-sess",
            Self::Sha512t256 => "SHA-512-256",
            Self::Sha512t256Sess => "SHA-512-256-sess",
        }
    }

    /// Whether the key is one of the session (RFC 7616 3.4.2).
    pub const fn is_session(self) -> bool {
        matches!(self, Self::Md5Sess | Self::Sha256Sess | Self::Sha512t256Sess)
    }

    /// The hash of `parts` with colons between them, in hexadecimal digits.
    pub(super) fn hash(self, parts: &[&[u8]]) -> String {
        match self {
            Self::Md5 | Self::Md5Sess => hex(&joined(Md5::new(), parts)),
            Self::Sha256 | Self::Sha256Sess => hex(&joined(Sha256::new(), parts)),
            Self::Sha512t256 | Self::Sha512t256Sess => hex(&joined(Sha512_256::new(), parts)),
        }
    }
}

fn joined<H: sha2::Digest>(mut hasher: H, parts: &[&[u8]]) -> Vec<u8> {
    for (index, part) in parts.iter().enumerate() {
        if index > 0 {
            hasher.update(b":");
        }
        hasher.update(part);
    }
    hasher.finalize().to_vec()
}

/// Octets as hexadecimal digits in small letters.
pub(super) fn hex(octets: &[u8]) -> String {
    let mut text = String::with_capacity(octets.len() * 2);
    for octet in octets {
        // Writing into a `String` cannot fail.
        let _ = write!(text, "{octet:02x}");
    }
    text
}
