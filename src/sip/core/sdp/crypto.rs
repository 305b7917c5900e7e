//! Security descriptions: keys for SRTP in `a=crypto` (RFC 4568).

use std::fmt::Write as _;

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use media::srtp::{MKI_BYTES_MAX, MasterKey, Mki, Suite};

/// Longest list of session parameters that is looked at.
const PARAMETERS_MAX: usize = 16;
/// Most packets a key may be declared good for, as a power of two (RFC 3711 9.2).
const LIFETIME_POWER_MAX: u32 = 48;

/// Padding is demanded by RFC 4568, and left out by some.
const KEYS: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// One `a=crypto` line that can be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Crypto {
    /// Its number in the description.
    pub tag: u32,
    /// Suite and key of whoever wrote the line: what it sends is protected with it.
    pub key: MasterKey,
    /// The identifier that stands in each packet of the writer.
    pub mki: Option<Mki>,
}

/// Why a line cannot be used; the others of its description still can.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CryptoError {
    /// Not `tag suite inline:key`.
    #[error("crypto line is malformed")]
    Malformed,
    /// A suite that is not known.
    #[error("crypto line names an unknown suite")]
    Suite,
    /// A key that is no base64, or not of the suite's length.
    #[error("crypto line has no key of the suite's length")]
    Key,
    /// More than one key: which one is in force could not be told.
    #[error("crypto line has several keys")]
    SeveralKeys,
    /// A lifetime of zero or of more packets than a key may have.
    #[error("crypto line has an impossible lifetime")]
    Lifetime,
    /// An identifier that is longer than the RFC allows or does not fit its length.
    #[error("crypto line has an impossible key identifier")]
    Mki,
    /// A parameter that would switch protection off, or that is not known and not optional.
    #[error("crypto line demands what is not supported")]
    Parameter,
}

impl Crypto {
    /// Reads what follows `a=crypto:`.
    ///
    /// # Errors
    ///
    /// A [`CryptoError`]; the line is passed over then (RFC 4568 7.1.2).
    pub fn parse(value: &str) -> Result<Self, CryptoError> {
        let mut words = value.split_ascii_whitespace();
        let tag = words.next().filter(|tag| (1..=9).contains(&tag.len()));
        let tag = tag.and_then(digits).ok_or(CryptoError::Malformed)?;
        let tag = u32::try_from(tag).map_err(|_| CryptoError::Malformed)?;
        let suite = words.next().ok_or(CryptoError::Malformed)?;
        let key = words.next().ok_or(CryptoError::Malformed)?;
        let suite = Suite::from_name(suite).ok_or(CryptoError::Suite)?;
        let (method, info) = key.split_once(':').ok_or(CryptoError::Malformed)?;
        if !method.eq_ignore_ascii_case("inline") {
            return Err(CryptoError::Malformed);
        }
        if info.contains(';') {
            return Err(CryptoError::SeveralKeys);
        }
        let (key, mki) = key_info(suite, info)?;
        let mut parameters = words.take(PARAMETERS_MAX);
        if parameters.all(is_bearable) {
            Ok(Self { tag, key, mki })
        } else {
            Err(CryptoError::Parameter)
        }
    }
}

/// Writes a line with our key.
pub fn write(out: &mut String, tag: u32, key: &MasterKey) {
    // Writing to a string cannot fail.
    let _ = write!(out, "a=crypto:{tag} {} inline:", key.suite().name());
    KEYS.encode_string(key.expose(), out);
    out.push_str("\r\n");
}

/// `key-and-salt["|" lifetime]["|" mki ":" length]` (RFC 4568 9.2).
fn key_info(suite: Suite, info: &str) -> Result<(MasterKey, Option<Mki>), CryptoError> {
    let mut parts = info.split('|');
    let text = parts.next().unwrap_or_default();
    // Longer than any key; what is decoded stays on the stack.
    let mut bytes = zeroize::Zeroizing::new([0; 64]);
    let decoded = KEYS.decode_slice(text, bytes.as_mut_slice());
    let length = decoded.map_err(|_| CryptoError::Key)?;
    let key = MasterKey::new(suite, bytes.get(..length).unwrap_or_default());
    let key = key.ok_or(CryptoError::Key)?;
    let mut mki = None;
    for (at, part) in parts.enumerate() {
        match part.split_once(':') {
            Some(_) if mki.is_some() => return Err(CryptoError::Malformed),
            Some((value, bytes)) => mki = Some(identifier(value, bytes)?),
            None if at == 0 => lifetime(part)?,
            None => return Err(CryptoError::Malformed),
        }
    }
    Ok((key, mki))
}

/// Packets that the writer's key is good for. It is for the writer to change its key in time.
fn lifetime(text: &str) -> Result<(), CryptoError> {
    let packets = match text.split_once('^') {
        Some(("2", power)) => digits(power)
            .and_then(|power| u32::try_from(power).ok())
            .filter(|power| *power <= LIFETIME_POWER_MAX)
            .map(|power| 1 << power),
        Some(_) => None,
        None => digits(text),
    };
    match packets {
        Some(1..) if packets <= Some(1 << LIFETIME_POWER_MAX) => Ok(()),
        _ => Err(CryptoError::Lifetime),
    }
}

fn identifier(value: &str, bytes: &str) -> Result<Mki, CryptoError> {
    let (value, bytes) = digits(value).zip(digits(bytes)).ok_or(CryptoError::Mki)?;
    let bytes = u8::try_from(bytes).map_err(|_| CryptoError::Mki)?;
    let known = (1..=MKI_BYTES_MAX).contains(&usize::from(bytes));
    if known && (bytes >= 8 || value >> (u32::from(bytes) * 8) == 0) {
        Ok(Mki { value, bytes })
    } else {
        Err(CryptoError::Mki)
    }
}

/// True if a session parameter changes nothing that matters here (RFC 4568 6.3): a hint about the
/// replay window, a derivation rate of zero, or an extension that may be ignored.
fn is_bearable(parameter: &str) -> bool {
    let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
    parameter.starts_with('-')
        || (name == "WSH" && digits(value).is_some())
        || (name == "KDR" && value == "0")
}

/// A number without sign.
fn digits(text: &str) -> Option<u64> {
    let plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if plain { text.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz";

    /// The examples of RFC 4568 (4, 7.1.1, 10) and what phones write.
    #[test]
    fn reads_lines() {
        let mki = |value, bytes| Some(Mki { value, bytes });
        for (rest, expected) in [
            ("|2^20|1:4 FEC_ORDER=FEC_SRTP", Err(CryptoError::Parameter)),
            ("|2^20|1:4", Ok(mki(1, 4))),
            ("|1:32", Ok(mki(1, 32))),
            ("|2^31|1:1", Ok(mki(1, 1))),
            ("|2^31", Ok(None)),
            ("|1048576", Ok(None)),
            ("", Ok(None)),
            (" WSH=128", Ok(None)),
            (" -vendor=1 KDR=0", Ok(None)),
            ("|2^20|1:4;inline:xyz|2^20|2:4", Err(CryptoError::SeveralKeys)),
            (" UNENCRYPTED_SRTP", Err(CryptoError::Parameter)),
            (" UNENCRYPTED_SRTCP", Err(CryptoError::Parameter)),
            (" UNAUTHENTICATED_SRTP", Err(CryptoError::Parameter)),
            (" KDR=1", Err(CryptoError::Parameter)),
            (" vendor=1", Err(CryptoError::Parameter)),
            ("|2^49", Err(CryptoError::Lifetime)),
            ("|0", Err(CryptoError::Lifetime)),
            ("|3^4", Err(CryptoError::Lifetime)),
            ("|256:1", Err(CryptoError::Mki)),
            ("|1:0", Err(CryptoError::Mki)),
            ("|1:129", Err(CryptoError::Mki)),
            ("|1:1|2^20", Err(CryptoError::Malformed)),
            ("|1:1|1:1", Err(CryptoError::Malformed)),
        ] {
            let line = format!("1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}{rest}");
            let read = Crypto::parse(&line).map(|crypto| crypto.mki);
            assert_eq!(read, expected, "{rest}");
        }
        for (line, fault) in [
            ("", CryptoError::Malformed),
            ("x AES_CM_128_HMAC_SHA1_80 inline:a", CryptoError::Malformed),
            ("1234567890 AES_CM_128_HMAC_SHA1_80 inline:a", CryptoError::Malformed),
            ("+1 AES_CM_128_HMAC_SHA1_80 inline:a", CryptoError::Malformed),
            ("1 AES_CM_128_HMAC_SHA1_80", CryptoError::Malformed),
            ("1 AES_CM_128_HMAC_SHA1_80 uri:a", CryptoError::Malformed),
            ("1 F8_128_HMAC_SHA1_80 inline:a", CryptoError::Suite),
            ("1 aes_cm_128_hmac_sha1_80 inline:a", CryptoError::Suite),
            ("1 AES_CM_128_HMAC_SHA1_80 inline:AAAA", CryptoError::Key),
            ("1 AES_CM_128_HMAC_SHA1_80 inline:!", CryptoError::Key),
        ] {
            assert_eq!(Crypto::parse(line).map(|c| c.tag), Err(fault), "{line}");
        }
    }

    /// What is written is read again, for every suite, with and without padding; no cut of it
    /// panics, and none but the padding's gives a key.
    #[test]
    fn reads_what_it_writes() {
        for (tag, suite) in (1..).zip(Suite::ALL) {
            let bytes: Vec<u8> = (0..MasterKey::bytes(suite)).map(|n| n as u8 * 5).collect();
            let key = MasterKey::new(suite, &bytes).unwrap();
            let mut line = String::new();
            write(&mut line, tag, &key);
            let value = line.trim_end().strip_prefix("a=crypto:").unwrap();
            let bare = value.trim_end_matches('=');
            for text in [value, bare] {
                let read = Crypto::parse(text).unwrap();
                assert_eq!(read, Crypto { tag, key: key.clone(), mki: None });
                assert!(!format!("{read:?}").contains("inline"));
            }
            for cut in 0..bare.len() {
                assert!(Crypto::parse(&bare[..cut]).is_err(), "{cut}");
            }
        }
    }
}
