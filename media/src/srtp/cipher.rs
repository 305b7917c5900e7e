//! A suite's transform of one packet: encrypt and tag, check and decrypt.

use std::fmt;

use aws_lc_rs::aead::{AES_128_GCM, AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::hmac;
use zeroize::Zeroizing;

use super::SrtpError;
use super::derive::{CounterMode, Label, derive};
use super::key::MasterKey;

/// Bytes of an HMAC-SHA1 key (RFC 3711 5.2).
const AUTH_KEY_BYTES: usize = 20;

/// Which of a master key's two sets of session keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Use {
    /// RTP.
    Rtp,
    /// RTCP.
    Rtcp,
}

/// Session keys for RTP or RTCP. The library zeroes them when they are dropped.
pub(super) struct Cipher {
    transform: Transform,
    tag_bytes: usize,
}

#[expect(clippy::large_enum_variant, reason = "one a leg and direction, and not to be chased")]
enum Transform {
    /// AES in counter mode and HMAC-SHA1 (RFC 3711 4.1.1, 4.2.1).
    CounterMode { key: CounterMode, salt: [u8; 14], auth: hmac::Key },
    /// AES-GCM (RFC 7714).
    Gcm { key: LessSafeKey, salt: [u8; 12] },
}

impl fmt::Debug for Cipher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Cipher([secret])")
    }
}

impl Cipher {
    /// Derives the session keys of `master`.
    pub(super) fn new(master: &MasterKey, purpose: Use) -> Option<Self> {
        let suite = master.suite();
        let [cipher, auth, salt] = match purpose {
            Use::Rtp => [Label::RtpCipher, Label::RtpAuth, Label::RtpSalt],
            Use::Rtcp => [Label::RtcpCipher, Label::RtcpAuth, Label::RtcpSalt],
        };
        let mut key = Zeroizing::new([0; 32]);
        let key = key.get_mut(..suite.key_bytes())?;
        derive(master, cipher, key)?;
        let mut salt_bytes = [0; 14];
        derive(master, salt, salt_bytes.get_mut(..suite.salt_bytes())?)?;
        let mut auth_key = Zeroizing::new([0; AUTH_KEY_BYTES]);
        derive(master, auth, auth_key.as_mut())?;
        let tag_bytes = match purpose {
            Use::Rtp => suite.rtp_tag_bytes(),
            Use::Rtcp => suite.rtcp_tag_bytes(),
        };
        Self::from_session_keys(key, &salt_bytes, auth_key.as_slice(), tag_bytes, suite.is_gcm())
    }

    /// From session keys; of `salt` GCM takes the first 12 bytes, and it has no use for `auth`.
    pub(super) fn from_session_keys(
        key: &[u8],
        salt: &[u8; 14],
        auth: &[u8],
        tag_bytes: usize,
        gcm: bool,
    ) -> Option<Self> {
        let transform = if gcm {
            let algorithm = if key.len() == 32 { &AES_256_GCM } else { &AES_128_GCM };
            let key = LessSafeKey::new(UnboundKey::new(algorithm, key).ok()?);
            Transform::Gcm { key, salt: *salt.first_chunk()? }
        } else {
            let auth = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, auth);
            Transform::CounterMode { key: CounterMode::new(key)?, salt: *salt, auth }
        };
        Some(Self { transform, tag_bytes })
    }

    /// Bytes of the tag.
    pub(super) const fn tag_bytes(&self) -> usize {
        self.tag_bytes
    }

    /// True if the tag belongs to the ciphertext, in front of what follows it.
    pub(super) const fn is_gcm(&self) -> bool {
        matches!(self.transform, Transform::Gcm { .. })
    }

    /// Encrypts `packet` from `clear` on and tells its tag. `index` has 48 bits, or 31 for RTCP;
    /// `trailer` is authenticated behind the packet: the rollover counter, or the word of E flag
    /// and SRTCP index. GCM has the former in its nonce instead.
    #[inline]
    pub(super) fn seal(
        &self,
        packet: &mut [u8],
        clear: usize,
        ssrc: u32,
        index: u64,
        trailer: Trailer,
        tag: &mut [u8],
    ) -> Result<(), SrtpError> {
        let (header, payload) = packet.split_at_mut_checked(clear).ok_or(SrtpError::Truncated)?;
        match &self.transform {
            Transform::CounterMode { key, salt, auth } => {
                key.apply(counter(salt, ssrc, index), payload);
                let mac = hmac_of(auth, packet, trailer);
                tag.copy_from_slice(mac.as_ref().get(..tag.len()).ok_or(SrtpError::NoRoom)?);
            }
            Transform::Gcm { key, salt } => {
                let nonce = nonce(salt, ssrc, index);
                let sealed = match trailer {
                    Trailer::RollOver(_) => {
                        key.seal_in_place_separate_tag(nonce, Aad::from(&*header), payload)
                    }
                    Trailer::RtcpIndex(word) => {
                        let aad = rtcp_aad(header, word)?;
                        key.seal_in_place_separate_tag(nonce, Aad::from(aad), payload)
                    }
                };
                let sealed = sealed.map_err(|_| SrtpError::KeyExpired)?;
                tag.copy_from_slice(sealed.as_ref().get(..tag.len()).ok_or(SrtpError::NoRoom)?);
            }
        }
        Ok(())
    }

    /// Checks the tag and decrypts `packet` from `clear` on. With GCM the tag lies at the end of
    /// `packet` and `tag` is not used; with HMAC it is `tag`.
    ///
    /// A packet that is not authentic may be destroyed.
    #[inline]
    pub(super) fn open(
        &self,
        packet: &mut [u8],
        clear: usize,
        ssrc: u32,
        index: u64,
        trailer: Trailer,
        tag: &[u8],
    ) -> Result<(), SrtpError> {
        match &self.transform {
            Transform::CounterMode { key, salt, auth } => {
                let mac = hmac_of(auth, packet, trailer);
                let expected = mac.as_ref().get(..tag.len()).ok_or(SrtpError::Forged)?;
                verify_slices_are_equal(expected, tag).map_err(|_| SrtpError::Forged)?;
                let payload = packet.get_mut(clear..).ok_or(SrtpError::Truncated)?;
                key.apply(counter(salt, ssrc, index), payload);
            }
            Transform::Gcm { key, salt } => {
                let (header, payload) =
                    packet.split_at_mut_checked(clear).ok_or(SrtpError::Truncated)?;
                let nonce = nonce(salt, ssrc, index);
                let opened = match trailer {
                    Trailer::RollOver(_) => key.open_in_place(nonce, Aad::from(&*header), payload),
                    Trailer::RtcpIndex(word) => {
                        key.open_in_place(nonce, Aad::from(rtcp_aad(header, word)?), payload)
                    }
                };
                opened.map_err(|_| SrtpError::Forged)?;
            }
        }
        Ok(())
    }
}

/// What is authenticated behind a packet.
#[derive(Clone, Copy, Debug)]
pub(super) enum Trailer {
    /// The rollover counter of RTP (RFC 3711 4.2).
    RollOver(u32),
    /// E flag and index of RTCP (RFC 3711 3.4).
    RtcpIndex(u32),
}

#[inline]
fn hmac_of(auth: &hmac::Key, packet: &[u8], trailer: Trailer) -> hmac::Tag {
    let (Trailer::RollOver(word) | Trailer::RtcpIndex(word)) = trailer;
    let mut context = hmac::Context::with_key(auth);
    context.update(packet);
    context.update(&word.to_be_bytes());
    context.sign()
}

/// Where the key stream of a packet starts (RFC 3711 4.1.1).
pub(super) const fn counter(salt: &[u8; 14], ssrc: u32, index: u64) -> [u8; 16] {
    let mut bytes = [0; 16];
    let (high, _) = bytes.split_at_mut(14);
    high.copy_from_slice(salt);
    let salted = u128::from_be_bytes(bytes);
    (salted ^ (ssrc as u128) << 64 ^ (index as u128) << 16).to_be_bytes()
}

/// The nonce of a packet: SSRC and index, salted (RFC 7714 8.1, 9.1).
fn nonce(salt: &[u8; 12], ssrc: u32, index: u64) -> Nonce {
    let mut bytes = [0; 16];
    let (_, low) = bytes.split_at_mut(4);
    low.copy_from_slice(salt);
    let salted = u128::from_be_bytes(bytes) ^ u128::from(ssrc) << 48 ^ u128::from(index);
    let [_, _, _, _, nonce @ ..] = salted.to_be_bytes();
    Nonce::assume_unique_for_key(nonce)
}

/// What GCM authenticates of a report besides the payload (RFC 7714 9.2).
fn rtcp_aad(header: &[u8], word: u32) -> Result<[u8; 12], SrtpError> {
    let mut aad = [0; 12];
    let (front, back) = aad.split_at_mut(8);
    front.copy_from_slice(header.first_chunk::<8>().ok_or(SrtpError::Truncated)?);
    back.copy_from_slice(&word.to_be_bytes());
    Ok(aad)
}
