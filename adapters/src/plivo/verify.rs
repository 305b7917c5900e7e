//! Signatures of webhooks and of the media socket's upgrade: HMAC-SHA-256 over the address, the
//! parameters and a number of one use.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use http::Method;
use sha2::Sha256;

use crate::config::RawConfig;
use crate::explain::{Explanation, Trace};
use crate::hook::{HookRequest, VerifyError};
use crate::pairs::pairs;
use crate::secret::Secret;

/// Header with signatures by the token of the account that the call belongs to.
pub(super) const SIGNATURE_V3: &str = "x-plivo-signature-v3";
/// The same by the token of the main account.
pub(super) const SIGNATURE_MA_V3: &str = "x-plivo-signature-ma-v3";
const NONCE_V3: &str = "x-plivo-signature-v3-nonce";
/// The older kind, which covers neither query nor body.
const SIGNATURE_V2: &str = "x-plivo-signature-v2";
const SIGNATURE_MA_V2: &str = "x-plivo-signature-ma-v2";
const NONCE_V2: &str = "x-plivo-signature-v2-nonce";

/// Most signatures in one header.
const SIGNATURES_MAX: usize = 8;

pub(super) fn verify(request: &HookRequest<'_>, config: &RawConfig) -> Result<(), VerifyError> {
    examine(request, config, &mut Trace::off())
}

pub(super) fn explain(request: &HookRequest<'_>, config: &RawConfig) -> Explanation {
    crate::explain::explain(|trace| examine(request, config, trace))
}

/// Verifies the upgrade of a media socket, if the configuration wants that: it is signed as a GET
/// of the stream's address with `http` for a scheme, which no document of the carrier says.
pub(super) fn verify_socket(
    request: &HookRequest<'_>,
    config: &RawConfig,
) -> Result<(), VerifyError> {
    if config.text("socket_signature") != Some("require") {
        return Ok(());
    }
    let rest = request.url.split_once("://").map_or(request.url, |(_, rest)| rest);
    let url = format!("http://{rest}");
    let get = HookRequest { method: &Method::GET, url: &url, body: b"", ..*request };
    verify(&get, config)
}

/// The tokens that may have signed: of the account, and of the main account.
struct Keys {
    own: Secret,
    main: Option<Secret>,
}

fn keys(config: &RawConfig) -> Option<Keys> {
    let token = |name| config.secret(name).filter(|token| !token.expose().is_empty());
    let own = token("auth_token")?;
    let is_main = config.text("auth_id").is_some_and(|id| id.starts_with("MA"));
    let main = token("main_auth_token").or_else(|| is_main.then(|| own.clone()));
    Some(Keys { own, main })
}

fn examine(
    request: &HookRequest<'_>,
    config: &RawConfig,
    trace: &mut Trace,
) -> Result<(), VerifyError> {
    trace.step("the configuration has a token");
    let keys = keys(config).ok_or(VerifyError::NoKey)?;
    trace.step("a signature and its nonce are there, once");
    let has = |name| request.headers.contains_key(name);
    if has(SIGNATURE_V3) || has(SIGNATURE_MA_V3) {
        let nonce = header(request, NONCE_V3)?;
        let signed = signed_v3(request, nonce);
        return either(request, [SIGNATURE_V3, SIGNATURE_MA_V3], &keys, &signed, trace);
    }
    if !(has(SIGNATURE_V2) || has(SIGNATURE_MA_V2)) {
        return Err(VerifyError::Missing(SIGNATURE_V3));
    }
    trace.step("signatures of the older kind are accepted");
    if !config.flag("accept_v2") {
        return Err(VerifyError::Method);
    }
    let nonce = header(request, NONCE_V2)?;
    let signed = format!("{}{nonce}", base(request.url));
    either(request, [SIGNATURE_V2, SIGNATURE_MA_V2], &keys, &signed, trace)
}

fn header<'a>(request: &HookRequest<'a>, name: &'static str) -> Result<&'a str, VerifyError> {
    let value = request.header(name).map(str::trim).filter(|value| !value.is_empty());
    value.ok_or(VerifyError::Missing(name))
}

/// Looks at the account's own signature, then at that of the main account.
fn either(
    request: &HookRequest<'_>,
    [own, main]: [&'static str; 2],
    keys: &Keys,
    signed: &str,
    trace: &mut Trace,
) -> Result<(), VerifyError> {
    trace.signed(|| signed.to_owned());
    let mut result = Err(VerifyError::Missing(own));
    for (name, key) in [(own, Some(&keys.own)), (main, keys.main.as_ref())] {
        if !request.headers.contains_key(name) {
            continue;
        }
        trace.step(name);
        let signatures = header(request, name)?;
        // A signature that there is no key for is another account's.
        let Some(key) = key else {
            result = Err(VerifyError::Account);
            continue;
        };
        let expected = Secret::new(sign(key, signed));
        trace.expected(expected.expose());
        trace.got(signatures.split(',').next().unwrap_or_default().trim());
        // While a token is being exchanged there is one signature of each.
        let mut all = signatures.split(',').take(SIGNATURES_MAX).map(str::trim);
        if all.any(|signature| Secret::new(signature) == expected) {
            trace.got(expected.expose());
            return Ok(());
        }
        result = Err(VerifyError::Signature);
    }
    result
}

/// The signature of a string: base64 of its keyed hash.
pub(super) fn sign(key: &Secret, signed: &str) -> String {
    let mac = Hmac::<Sha256>::new_from_slice(key.expose().as_bytes());
    // Keys of any length are keys (RFC 2104).
    let Ok(mac) = mac else { return String::new() };
    STANDARD.encode(mac.chain_update(signed).finalize().into_bytes())
}

/// Scheme, authority and path as they were given: without query, fragment and parameters of the
/// last segment.
fn base(url: &str) -> &str {
    let url = url.split('#').next().unwrap_or_default();
    let url = url.split('?').next().unwrap_or_default();
    let last = url.rfind('/').unwrap_or(0);
    let end = url.get(last..).and_then(|segment| segment.find(';')).map(|at| last + at);
    end.and_then(|end| url.get(..end)).unwrap_or(url)
}

fn sorted(text: &str) -> Vec<(String, String)> {
    let mut all: Vec<_> = pairs(text).collect();
    all.sort();
    all
}

pub(super) fn signed_v3(request: &HookRequest<'_>, nonce: &str) -> String {
    let url = request.url.split('#').next().unwrap_or_default();
    let query = url.split_once('?').map_or("", |(_, query)| query);
    let query: Vec<_> =
        sorted(query).iter().map(|(name, value)| format!("{name}={value}")).collect();
    let query = query.join("&");
    let body = if request.method == Method::GET {
        Vec::new()
    } else {
        sorted(&String::from_utf8_lossy(request.body))
    };
    let mut signed = base(url).to_owned();
    if !query.is_empty() || !body.is_empty() {
        signed.push('?');
        signed.push_str(&query);
    }
    if !query.is_empty() && !body.is_empty() {
        signed.push('.');
    }
    for (name, value) in &body {
        signed.push_str(name);
        signed.push_str(value);
    }
    signed.push('.');
    signed.push_str(nonce);
    signed
}
