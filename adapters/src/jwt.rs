//! JSON Web Tokens (RFC 7519): signed with RS256 for carriers whose API wants them, and what is
//! common to reading them.

use std::fmt::Write as _;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Map, Value, json};

use crate::exchange::CarrierError;
use crate::secret::Secret;

/// A token with these claims, signed with RS256 (RFC 7518 3.3) by the RSA key `pem`.
///
/// # Errors
///
/// [`CarrierError::Config`] if the key is none.
pub fn sign_rs256(pem: &Secret, claims: &[(&str, Value)]) -> Result<Secret, CarrierError> {
    let key = rsa_key(pem.expose()).map_err(CarrierError::Config)?;
    // Written by hand: a map would sort the claims, and what is signed would differ from what
    // others sign.
    let mut text = String::from("{");
    for (index, (name, value)) in claims.iter().enumerate() {
        let comma = if index == 0 { "" } else { "," };
        let _ = write!(text, "{comma}{}:{value}", json!(name));
    }
    text.push('}');
    let mut token = URL_SAFE_NO_PAD.encode(br#"{"alg":"RS256","typ":"JWT"}"#);
    token.push('.');
    URL_SAFE_NO_PAD.encode_string(text, &mut token);
    let mut signature = vec![0; key.public_modulus_len()];
    key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), token.as_bytes(), &mut signature)
        .map_err(|_| CarrierError::Config("the private key cannot sign"))?;
    token.push('.');
    URL_SAFE_NO_PAD.encode_string(signature, &mut token);
    Ok(Secret::new(token))
}

/// The JSON object in a part of a token.
pub fn object(part: &str) -> Option<Map<String, Value>> {
    match serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).ok()?) {
        Ok(Value::Object(object)) => Some(object),
        Ok(_) | Err(_) => None,
    }
}

/// The form of a random UUID (RFC 9562 5.4) with the bits of `random`.
pub fn random_uuid(random: [u8; 16]) -> String {
    let bits = u128::from_be_bytes(random);
    let bits = bits & !(0xf << 76) & !(0b11 << 62) | (0x4 << 76) | (0b10 << 62);
    let mut text = String::with_capacity(36);
    for (index, digit) in format!("{bits:032x}").chars().enumerate() {
        if matches!(index, 8 | 12 | 16 | 20) {
            text.push('-');
        }
        text.push(digit);
    }
    text
}

/// Reads an RSA private key in PEM: PKCS#8 (RFC 5958) or PKCS#1 (RFC 8017).
///
/// # Errors
///
/// What is wrong, without a part of the key.
pub fn rsa_key(pem: &str) -> Result<RsaKeyPair, &'static str> {
    type Read = fn(&[u8]) -> Option<RsaKeyPair>;
    const FORMATS: [(&str, Read); 2] = [
        ("PRIVATE KEY", |der| RsaKeyPair::from_pkcs8(der).ok()),
        ("RSA PRIVATE KEY", |der| RsaKeyPair::from_der(der).ok()),
    ];
    for (label, read) in FORMATS {
        let body = pem
            .trim()
            .strip_prefix(&format!("-----BEGIN {label}-----"))
            .and_then(|rest| rest.strip_suffix(&format!("-----END {label}-----")));
        let Some(body) = body else { continue };
        let text: String = body.chars().filter(|c| !c.is_ascii_whitespace()).collect();
        let der = STANDARD.decode(text).map_err(|_| "the private key is not in base64")?;
        return read(&der).ok_or("not an RSA private key of 2048 to 8192 bits");
    }
    Err("not a private key in PEM: -----BEGIN PRIVATE KEY-----, lines of base64, …")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Version and variant are those of a random UUID, all other bits are the random ones.
    #[test]
    fn random_bits_become_uuids() {
        assert_eq!(random_uuid([0xff; 16]), "ffffffff-ffff-4fff-bfff-ffffffffffff");
        assert_eq!(random_uuid([0; 16]), "00000000-0000-4000-8000-000000000000");
        let random = 0x6a2f_41a3_c54c_4a6e_9a6f_0d0b_5f4c_1e2d_u128.to_be_bytes();
        assert_eq!(random_uuid(random), "6a2f41a3-c54c-4a6e-9a6f-0d0b5f4c1e2d");
    }

    /// What is no key is refused and not repeated.
    #[test]
    fn keys_are_refused_discreetly() {
        for pem in ["", "hush", "-----BEGIN PRIVATE KEY-----\nhush\n-----END PRIVATE KEY-----"] {
            let why = rsa_key(pem).err().unwrap();
            assert!(!why.contains("hush"), "{why}");
            assert!(matches!(sign_rs256(&Secret::new(pem), &[]), Err(CarrierError::Config(_))));
        }
    }

    /// Only objects in base64 without padding are parts of a token.
    #[test]
    fn parts_are_objects() {
        assert_eq!(object("eyJhIjoxfQ").unwrap().get("a"), Some(&json!(1)));
        for bad in ["eyJhIjoxfQ==", "W10", "bnVsbA", "e30x", "", "e", "äöü"] {
            assert_eq!(object(bad), None, "{bad}");
        }
    }
}
