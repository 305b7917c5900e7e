//! Signatures of webhooks: base64 of an HMAC-SHA-1 (RFC 2104) over the address and, sorted by name,
//! each field's name and value.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha1::{Digest as _, Sha1};

/// Block of SHA-1, in bytes.
const BLOCK_BYTES: usize = 64;

/// HMAC-SHA-1 of `text` under `key`.
fn hmac(key: &[u8], text: &[u8]) -> [u8; 20] {
    let mut block = [0; BLOCK_BYTES];
    if let Some(room) = block.get_mut(..key.len()) {
        room.copy_from_slice(key);
    } else if let Some(room) = block.first_chunk_mut() {
        *room = <[u8; 20]>::from(Sha1::digest(key));
    }
    let pad = |byte: u8| block.map(|key| key ^ byte);
    let inner = Sha1::new().chain_update(pad(0x36)).chain_update(text).finalize();
    Sha1::new().chain_update(pad(0x5C)).chain_update(inner).finalize().into()
}

/// The signature of a request to `url` with these fields.
pub(crate) fn signature(token: &str, url: &str, fields: &[(&str, &str)]) -> String {
    let mut sorted = fields.to_vec();
    sorted.sort_unstable();
    let mut signed = url.to_owned();
    for (name, value) in sorted {
        signed.push_str(name);
        signed.push_str(value);
    }
    STANDARD.encode(hmac(token.as_bytes(), signed.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 2202, cases 1, 2 and 6 (a key longer than a block).
    #[test]
    fn vectors_of_the_rfc() {
        let hex = |bytes: [u8; 20]| bytes.map(|byte| format!("{byte:02x}")).concat();
        let one = hmac(&[0x0B; 20], b"Hi There");
        assert_eq!(hex(one), "b617318655057264e28bc0b6fb378c8ef146be00");
        let two = hmac(b"Jefe", b"what do ya want for nothing?");
        assert_eq!(hex(two), "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79");
        let long = hmac(&[0xAA; 80], b"Test Using Larger Than Block-Size Key - Hash Key First");
        assert_eq!(hex(long), "aa4ae5e15272d00e95705637ce8a3b55ed402112");
    }

    /// The example of the carrier's documentation.
    #[test]
    fn the_documented_example() {
        let fields = [
            ("CallSid", "CA1234567890ABCDE"),
            ("Caller", "+14158675309"),
            ("Digits", "1234"),
            ("From", "+14158675309"),
            ("To", "+18005551212"),
        ];
        let url = "https://mycompany.com/myapp.php?foo=1&bar=2";
        assert_eq!(signature("12345", url, &fields), "RSOYDt4T1cUTdK1PDd93/VVr8B8=");
    }
}
