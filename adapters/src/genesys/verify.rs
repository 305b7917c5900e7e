//! Who connects: the organisation, the API key, and the signature of the request that opens the
//! socket.
//!
//! A nonce is not remembered: what is signed names the session, the first message must be of that
//! session, and a session becomes one call at most, on this server or another, ever.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;

use super::fields;
use super::message::is_uuid;
use super::signature::{Signed, signature};
use crate::config::RawConfig;
use crate::explain::{Explanation, Trace};
use crate::hook::{HookRequest, VerifyError};
use crate::secret::Secret;

pub(super) const ORGANISATION: &str = "audiohook-organization-id";
pub(super) const SESSION: &str = "audiohook-session-id";
pub(super) const CORRELATION: &str = "audiohook-correlation-id";
const API_KEY: &str = "x-api-key";
const SIGNATURE: &str = "signature";
const INPUT: &str = "signature-input";
/// The method of signing.
const METHOD: &str = "hmac-sha256";
/// Longest age of a signature, in seconds.
const AGE_S_MAX: u64 = 10;
/// By how much the clocks may differ, in seconds.
const SKEW_S_MAX: u64 = 3;
/// Fewest characters of a nonce.
const NONCE_CHARS_MIN: usize = 22;

/// Proves that Genesys opens the socket, for this organisation.
pub(super) fn verify(request: &HookRequest<'_>, config: &RawConfig) -> Result<(), VerifyError> {
    examine(request, config, &mut Trace::off())
}

/// Verifies and tells each step.
pub(super) fn explain(request: &HookRequest<'_>, config: &RawConfig) -> Explanation {
    crate::explain::explain(|trace| examine(request, config, trace))
}

fn examine(
    request: &HookRequest<'_>,
    config: &RawConfig,
    trace: &mut Trace,
) -> Result<(), VerifyError> {
    trace.step("the configuration has an API key");
    let key = config.secret("api_key").ok_or(VerifyError::NoKey)?;
    trace.step("organisation, session, correlation and key are named, once each");
    let header = |name: &'static str| request.header(name).ok_or(VerifyError::Missing(name));
    let (organisation, session) = (header(ORGANISATION)?, header(SESSION)?);
    for (name, value) in [(SESSION, session), (CORRELATION, header(CORRELATION)?)] {
        if !is_uuid(value) {
            return Err(VerifyError::Malformed(name));
        }
    }
    trace.step("the key is the one that was agreed");
    if Secret::new(header(API_KEY)?) != key {
        return Err(VerifyError::Credential);
    }
    trace.step("it is of the organisation of the configuration");
    if !config.text("organization_id").is_some_and(|ours| ours.eq_ignore_ascii_case(organisation)) {
        return Err(VerifyError::Account);
    }
    match config.secret("client_secret") {
        Some(secret) => examine_signature(request, (&key, &secret), trace),
        // The key is all that was agreed.
        None => Ok(()),
    }
}

fn examine_signature(
    request: &HookRequest<'_>,
    (key, secret): (&Secret, &Secret),
    trace: &mut Trace,
) -> Result<(), VerifyError> {
    trace.step("it is signed, once");
    let header = |name: &'static str| request.header(name).ok_or(VerifyError::Missing(name));
    let (input, got) = (header(INPUT)?, header(SIGNATURE)?);
    let signed = Signed::read(input).ok_or(VerifyError::Malformed(INPUT))?;
    let got = signature(got, signed.label).ok_or(VerifyError::Malformed(SIGNATURE))?;
    let bytes = STANDARD.decode(got).map_err(|_| VerifyError::Malformed(SIGNATURE))?;
    trace.got(got);
    trace.step("address, organisation, session, correlation and key are signed");
    if !signed.covers_all() {
        return Err(VerifyError::Malformed(INPUT));
    }
    trace.step("it is signed by this key, in the agreed way, with a nonce");
    if signed.alg.is_some_and(|alg| alg != METHOD) {
        return Err(VerifyError::Method);
    }
    if signed.keyid.map(Secret::new).as_ref() != Some(key) {
        return Err(VerifyError::Credential);
    }
    if signed.nonce.is_none_or(|nonce| nonce.len() < NONCE_CHARS_MIN) {
        return Err(VerifyError::Malformed(INPUT));
    }
    trace.step("the signature is that of this request");
    let base = signed.base(request).ok_or(VerifyError::Malformed(INPUT))?;
    trace.signed(|| base.replace(key.expose(), "[API key]"));
    let secret = fields::secret_bytes(secret.expose()).ok_or(VerifyError::NoKey)?;
    let mac = Hmac::<Sha256>::new_from_slice(&secret).map_err(|_| VerifyError::NoKey)?;
    let expected = mac.chain_update(&base).finalize().into_bytes();
    trace.expected(&STANDARD.encode(expected));
    if !bool::from(expected.ct_eq(&bytes)) {
        return Err(VerifyError::Signature);
    }
    trace.step("it is fresh");
    let (now, created) = (request.unix_s, signed.created.ok_or(VerifyError::Malformed(INPUT))?);
    let fresh = created <= now.saturating_add(SKEW_S_MAX)
        && now <= created.saturating_add(AGE_S_MAX + SKEW_S_MAX)
        && signed.expires.is_none_or(|expires| now < expires.saturating_add(SKEW_S_MAX));
    if fresh { Ok(()) } else { Err(VerifyError::Stale) }
}
