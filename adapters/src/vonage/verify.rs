//! Signed webhooks: a JSON Web Token (HS256) in `Authorization` that holds a hash of the body.
//!
//! Vonage documents neither an age limit nor what a retry keeps. A token counts for five minutes;
//! what comes twice within that time says nothing new, as facts have ids. The query of a GET is
//! covered by nothing; what protects it is the token in our address.

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::config::RawConfig;
use crate::explain::{Explanation, Trace};
use crate::hook::{Certainty, HookRequest, VerifyError};
use crate::jwt;
use crate::secret::Secret;

/// Longest distance between the time of a token and ours, in seconds.
const AGE_S_MAX: u64 = 300;

const HEADER: &str = "authorization";

/// Proves that Vonage sent the request.
pub(super) fn verify(request: &HookRequest<'_>, config: &RawConfig) -> Result<(), VerifyError> {
    examine(request, config, &mut Trace::off()).map_err(Fault::verdict)
}

/// Verifies and tells each step.
pub(super) fn explain(request: &HookRequest<'_>, config: &RawConfig) -> Explanation {
    crate::explain::explain(|trace| examine(request, config, trace).map_err(Fault::verdict))
}

/// What is wrong with a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    MissingAuthorization,
    NotBearer,
    NoSecretConfigured,
    MalformedToken,
    BadAlg,
    BadSignature,
    BadIssuer,
    AccountMismatch,
    ApplicationMismatch,
    Expired,
    NotYetValid,
    MissingIat,
    Stale,
    Future,
    MissingPayloadHash,
    PayloadMismatch,
    WrongCredential,
}

impl Fault {
    const fn verdict(self) -> VerifyError {
        match self {
            // After a fault of Vonage's own it comes so, and is sent again after a 5xx.
            Self::MissingAuthorization => VerifyError::Unsigned,
            Self::NotBearer | Self::MalformedToken | Self::MissingIat => {
                VerifyError::Malformed(HEADER)
            }
            Self::NoSecretConfigured => VerifyError::NoKey,
            Self::BadAlg => VerifyError::Method,
            Self::BadSignature => VerifyError::Signature,
            Self::BadIssuer | Self::AccountMismatch | Self::ApplicationMismatch => {
                VerifyError::Account
            }
            Self::Expired | Self::NotYetValid | Self::Stale | Self::Future => VerifyError::Stale,
            Self::MissingPayloadHash | Self::PayloadMismatch => VerifyError::Body,
            Self::WrongCredential => VerifyError::Credential,
        }
    }
}

/// The token of a request.
fn bearer<'r>(request: &HookRequest<'r>) -> Result<&'r str, Fault> {
    let value = request.header(HEADER).ok_or(Fault::MissingAuthorization)?;
    let (scheme, token) = value.split_once(' ').ok_or(Fault::NotBearer)?;
    if scheme.eq_ignore_ascii_case("bearer") { Ok(token.trim()) } else { Err(Fault::NotBearer) }
}

/// The claims of a request's token before anything is proven: good for finding the configuration.
pub(super) fn unverified_claims(request: &HookRequest<'_>) -> Option<Map<String, Value>> {
    let token = bearer(request).ok()?;
    jwt::object(token.split('.').nth(1)?)
}

/// Goes through what makes a token good, in the order in which it is safe to say what is wrong.
pub(super) fn examine(
    request: &HookRequest<'_>,
    config: &RawConfig,
    trace: &mut Trace,
) -> Result<(), Fault> {
    if request.url.starts_with("ws://") || request.url.starts_with("wss://") {
        return examine_socket(request, config, trace);
    }
    trace.step("the header Authorization holds a bearer token");
    let token = bearer(request)?;
    trace.step("the configuration has a signature secret");
    let secret = config.secret("signature_secret").ok_or(Fault::NoSecretConfigured)?;
    let claims = proven(token, &secret, trace)?;
    trace.step("it is Vonage's, for this account and application");
    if text(&claims, "iss") != Some("Vonage") {
        return Err(Fault::BadIssuer);
    }
    let account = text(&claims, "api_key");
    if account.is_none() || account != config.text("api_key") {
        return Err(Fault::AccountMismatch);
    }
    // Neither need name one.
    let (told, ours) = (text(&claims, "application_id"), config.text("application_id"));
    if told.zip(ours).is_some_and(|(told, ours)| !told.eq_ignore_ascii_case(ours)) {
        return Err(Fault::ApplicationMismatch);
    }
    trace.step("its time is near");
    timely(&claims, request.unix_s)?;
    trace.step("the body is the one whose SHA-256 it holds");
    hashed(&claims, request.body, trace)
}

/// Proves that Vonage opens the socket: its token signs neither address nor body, and no document
/// says which other claims it has, so that only what is there is examined.
///
/// A value of one's own takes the place of the token, where the configuration has one.
pub(super) fn verify_socket(
    request: &HookRequest<'_>,
    config: &RawConfig,
) -> Result<Certainty, VerifyError> {
    if own_authorization(config).is_some() || signs_socket(config) {
        examine_socket(request, config, &mut Trace::off()).map_err(Fault::verdict)?;
    }
    Ok(Certainty::Proven)
}

/// What Vonage is to send when it opens its socket, as it stands, in the place of its token.
pub(super) fn own_authorization(config: &RawConfig) -> Option<Secret> {
    config.secret("socket_authorization")
}

fn examine_socket(
    request: &HookRequest<'_>,
    config: &RawConfig,
    trace: &mut Trace,
) -> Result<(), Fault> {
    if let Some(own) = own_authorization(config) {
        trace.step("the header Authorization holds what was asked for");
        let got = request.header(HEADER).ok_or(Fault::MissingAuthorization)?;
        trace.got(got);
        trace.expected(own.expose());
        return if equal(own.expose(), got) { Ok(()) } else { Err(Fault::WrongCredential) };
    }
    trace.step("the header Authorization holds a bearer token");
    let token = bearer(request)?;
    trace.step("the configuration has a signature secret");
    let secret = config.secret("signature_secret").ok_or(Fault::NoSecretConfigured)?;
    let claims = proven(token, &secret, trace)?;
    trace.step("if it names an account, it is this one");
    let account = text(&claims, "api_key");
    if account.is_some() && account != config.text("api_key") {
        return Err(Fault::AccountMismatch);
    }
    trace.step("if it has a time, that is near");
    match timely(&claims, request.unix_s) {
        Err(Fault::MissingIat) => Ok(()),
        other => other,
    }
}

/// True if Vonage is asked to sign the opening of its socket.
pub(super) fn signs_socket(config: &RawConfig) -> bool {
    config.flag("sign_socket") && config.text("signature_secret").is_some()
}

/// The claims of a token that is signed with the secret.
fn proven(token: &str, secret: &Secret, trace: &mut Trace) -> Result<Map<String, Value>, Fault> {
    trace.step("the token is a JSON Web Token");
    let (signed, signature) = token.rsplit_once('.').ok_or(Fault::MalformedToken)?;
    let (header, claims) = signed.split_once('.').ok_or(Fault::MalformedToken)?;
    let header = jwt::object(header).ok_or(Fault::MalformedToken)?;
    let claims = jwt::object(claims).ok_or(Fault::MalformedToken)?;
    trace.step("it is signed with HS256");
    if text(&header, "alg") != Some("HS256") {
        return Err(Fault::BadAlg);
    }
    trace.step("the signature is that of its first two parts, by the signature secret");
    trace.signed(|| signed.to_owned());
    trace.got(signature);
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.expose().as_bytes());
    let expected = URL_SAFE_NO_PAD.encode(hmac::sign(&key, signed.as_bytes()));
    trace.expected(&expected);
    if equal(&expected, signature) { Ok(claims) } else { Err(Fault::BadSignature) }
}

fn text<'c>(claims: &'c Map<String, Value>, name: &str) -> Option<&'c str> {
    claims.get(name).and_then(Value::as_str)
}

/// Whole seconds since 1970 of a time (RFC 7519 2), which may have a fraction.
fn seconds(time: &Value) -> Option<u64> {
    time.as_u64().or_else(|| {
        let whole = time.as_f64().filter(|time| (0.0..1e15).contains(time))?;
        format!("{whole:.0}").parse().ok()
    })
}

fn timely(claims: &Map<String, Value>, now_s: u64) -> Result<(), Fault> {
    let time = |name| claims.get(name).map(|time| seconds(time).ok_or(Fault::MalformedToken));
    if time("exp").transpose()?.is_some_and(|exp| exp <= now_s) {
        return Err(Fault::Expired);
    }
    if time("nbf").transpose()?.is_some_and(|nbf| nbf > now_s) {
        return Err(Fault::NotYetValid);
    }
    let iat = time("iat").ok_or(Fault::MissingIat)??;
    if now_s.saturating_sub(iat) > AGE_S_MAX {
        return Err(Fault::Stale);
    }
    if iat.saturating_sub(now_s) > AGE_S_MAX {
        return Err(Fault::Future);
    }
    Ok(())
}

fn hashed(claims: &Map<String, Value>, body: &[u8], trace: &mut Trace) -> Result<(), Fault> {
    let hash = match text(claims, "payload_hash") {
        Some(hash) => hash,
        // A GET and the opening of a socket have no body, and perhaps no hash.
        None if body.is_empty() => return Ok(()),
        None => return Err(Fault::MissingPayloadHash),
    };
    let digest = Sha256::digest(body);
    let expected: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    trace.got(hash);
    trace.expected(&expected);
    if equal(&expected, hash) { Ok(()) } else { Err(Fault::PayloadMismatch) }
}

/// Equality in a time that depends on the lengths alone.
fn equal(expected: &str, got: &str) -> bool {
    expected.as_bytes().ct_eq(got.as_bytes()).into()
}
