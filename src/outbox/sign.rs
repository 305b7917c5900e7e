//! The signature by which a receiver knows that a webhook is ours, and new.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::config::Secret;

/// What secrets of subscriptions begin with.
pub const SECRET_PREFIX: &str = "whsec_";
/// Bytes of randomness in a secret.
const SECRET_BYTES: usize = 32;

/// A new secret. `None` if there is no randomness.
pub fn new_secret() -> Option<Secret> {
    let mut bytes = [0; SECRET_BYTES];
    getrandom::fill(&mut bytes).ok()?;
    Some(Secret::new(format!("{SECRET_PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes))))
}

/// The value of the header that signs a body: `v1=` and the HMAC-SHA256 (RFC 2104) of
/// `<timestamp>.<body>` under the secret as it is written, in hexadecimal.
pub fn signature(secret: &Secret, timestamp: u64, body: &str) -> String {
    // A key of any length is one.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.expose().as_bytes()) else {
        return String::new();
    };
    mac.update(timestamp.to_string().as_bytes());
    mac.update(b".");
    mac.update(body.as_bytes());
    let mut text = String::from("v1=");
    for byte in mac.finalize().into_bytes() {
        text.push(char::from_digit(u32::from(byte >> 4), 16).unwrap_or('0'));
        text.push(char::from_digit(u32::from(byte & 15), 16).unwrap_or('0'));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As another implementation signs it (OpenSSL: `printf '1700000000.{"a":1}' | openssl dgst
    /// -sha256 -hmac whsec_test`).
    #[test]
    fn as_others_sign_it() {
        let secret = Secret::new("whsec_test".to_owned());
        let expected = "v1=38877139021993b830af32feea6e18a8da83eb2f6e49ee50bd9e4cf4ca4d3789";
        assert_eq!(signature(&secret, 1_700_000_000, "{\"a\":1}"), expected);
    }

    /// Secrets are long, differ and say what they are.
    #[test]
    fn secrets() {
        let (one, two) = (new_secret().unwrap(), new_secret().unwrap());
        assert!(one.expose().starts_with(SECRET_PREFIX) && one.expose().len() > 40);
        assert_ne!(one.expose(), two.expose());
    }
}
