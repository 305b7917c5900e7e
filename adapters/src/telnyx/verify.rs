//! Signatures of webhooks: Ed25519 (RFC 8032) over the time and the raw body.

use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::config::RawConfig;
use crate::explain::{Explanation, Trace};
use crate::hook::{HookRequest, VerifyError};

/// Header with the signature, in base64.
pub(super) const SIGNATURE: &str = "telnyx-signature-ed25519";
/// Header with the time, in seconds since 1970.
pub(super) const TIMESTAMP: &str = "telnyx-timestamp";

/// Longest distance of a signature's time from ours, in seconds, to either side.
const AGE_S_MAX: u64 = 300;
/// Most digits of a time in seconds; more are milliseconds.
const TIME_DIGITS_MAX: usize = 12;
/// Bytes of a public key.
const KEY_BYTES: usize = 32;
/// Bytes of a signature.
const SIGNATURE_BYTES: usize = 64;

/// Public keys whose points have a small order, without the bit of the sign: whatever is signed
/// with one can be signed by everybody.
const SMALL_ORDER: [[u8; KEY_BYTES]; 7] = [
    edge(0x00, 0x00, 0x00),
    edge(0x01, 0x00, 0x00),
    edge(0xec, 0xff, 0x7f),
    edge(0xed, 0xff, 0x7f),
    edge(0xee, 0xff, 0x7f),
    [
        0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98,
        0xf0, 0xd5, 0xdf, 0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53,
        0xfc, 0x05,
    ],
    [
        0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67,
        0x0f, 0x2a, 0x20, 0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac,
        0x03, 0x7a,
    ],
];

const fn edge(first: u8, middle: u8, last: u8) -> [u8; KEY_BYTES] {
    let mut bytes = [middle; KEY_BYTES];
    bytes[0] = first;
    bytes[KEY_BYTES - 1] = last;
    bytes
}

pub(super) fn verify(request: &HookRequest<'_>, config: &RawConfig) -> Result<(), VerifyError> {
    examine(request, config, &mut Trace::off())
}

pub(super) fn explain(request: &HookRequest<'_>, config: &RawConfig) -> Explanation {
    crate::explain::explain(|trace| examine(request, config, trace))
}

/// The public key that `text` is: base64 of 32 bytes, and no point of small order.
pub(super) fn public_key(text: &str) -> Option<[u8; KEY_BYTES]> {
    let key: [u8; KEY_BYTES] = STANDARD.decode(text.trim()).ok()?.try_into().ok()?;
    let mut unsigned = key;
    if let Some(last) = unsigned.last_mut() {
        *last &= 0x7f;
    }
    (!SMALL_ORDER.contains(&unsigned)).then_some(key)
}

fn examine(
    request: &HookRequest<'_>,
    config: &RawConfig,
    trace: &mut Trace,
) -> Result<(), VerifyError> {
    trace.step("the configuration has a public key");
    let key = config.text("webhook_public_key").filter(|key| !key.trim().is_empty());
    let key = key.ok_or(VerifyError::NoKey)?;
    trace.step("both headers are there, once");
    let header = |name| {
        let value = request.header(name).map(str::trim).filter(|value| !value.is_empty());
        value.ok_or(VerifyError::Missing(name))
    };
    let signature = header(SIGNATURE)?;
    trace.got(signature);
    let timestamp = header(TIMESTAMP)?;
    trace.step("the time is in whole seconds");
    let digits = timestamp.bytes().all(|byte| byte.is_ascii_digit());
    let unix_s = (digits && timestamp.len() <= TIME_DIGITS_MAX)
        .then(|| timestamp.parse::<u64>().ok())
        .flatten()
        .ok_or(VerifyError::Malformed(TIMESTAMP))?;
    trace.step("the time is near");
    if unix_s.abs_diff(request.unix_s) > AGE_S_MAX {
        return Err(VerifyError::Stale);
    }
    trace.step("the public key is 32 bytes in base64");
    let key = public_key(key).ok_or(VerifyError::NoKey)?;
    trace.step("the signature is 64 bytes in base64");
    let raw: [u8; SIGNATURE_BYTES] = STANDARD
        .decode(signature)
        .ok()
        .and_then(|raw| raw.try_into().ok())
        .ok_or(VerifyError::Malformed(SIGNATURE))?;
    trace.step("the signature is that of time, | and body by the account's key");
    // The text of the header is what was signed, not the number that it is.
    let signed = [timestamp.as_bytes(), b"|", request.body].concat();
    trace.signed(|| String::from_utf8_lossy(&signed).into_owned());
    UnparsedPublicKey::new(&ED25519, key)
        .verify(&signed, &raw)
        .map_err(|_| VerifyError::Signature)?;
    // What another signature should be, only the carrier can tell.
    trace.expected(signature);
    Ok(())
}
