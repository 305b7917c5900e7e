//! Signatures of requests.
//!
//! `X-Twilio-Signature` is the base64 of an HMAC-SHA-1, keyed with the auth token, over the address
//! that was called, and of a form the names and values of its fields, sorted by name. Of any other
//! body the address holds a hash (`bodySHA256`). Accounts with shared keys say which key it was,
//! and use SHA-256 (`X-Twilio-Webhooks-Signature-Settings`). The sender is of two minds about
//! ports, so that the address counts with and without its own or its scheme's usual one.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use http::{Method, header};
use sha1::Sha1;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::config::RawConfig;
use crate::explain::{Explanation, Trace};
use crate::hook::{Certainty, HookRequest, VerifyError};
use crate::pairs::pairs;
use crate::secret::Secret;

const SIGNATURE: &str = "x-twilio-signature";
const SETTINGS: &str = "x-twilio-webhooks-signature-settings";
const BODY_HASH: &str = "bodySHA256";

/// Proves a webhook.
pub(super) fn verify(request: &HookRequest<'_>, config: &RawConfig) -> Result<(), VerifyError> {
    examine(request, config, &mut Trace::off())
}

/// The same, told step by step.
pub(super) fn explain(request: &HookRequest<'_>, config: &RawConfig) -> Explanation {
    crate::explain::explain(|trace| examine(request, config, trace))
}

/// Proves the upgrade request of a media socket.
pub(super) fn socket(
    request: &HookRequest<'_>,
    config: &RawConfig,
) -> Result<Certainty, VerifyError> {
    match config.text("stream_signature") {
        Some("off") => Ok(Certainty::Proven),
        _ => verify(request, config).map(|()| Certainty::Proven),
    }
}

/// What a signature was made with.
enum Keys {
    Sha1(Vec<Secret>),
    Sha256(Secret),
}

fn examine(
    request: &HookRequest<'_>,
    config: &RawConfig,
    trace: &mut Trace,
) -> Result<(), VerifyError> {
    trace.step("the configuration has a key");
    let tokens = ["auth_token", "secondary_auth_token"];
    let tokens: Vec<_> = tokens.iter().filter_map(|name| config.secret(name)).collect();
    let shared = config.map("webhook_shared_keys");
    if tokens.is_empty() && shared.is_empty() {
        return Err(VerifyError::NoKey);
    }
    trace.step("the signature is there, once");
    let name = config.text("signature_header").unwrap_or(SIGNATURE);
    let got = request.header(name).ok_or(VerifyError::Missing(SIGNATURE))?;
    trace.got(got);
    trace.step("it was made by a method and a key that are known");
    let keys = keys(request, tokens, &shared)?;
    trace.step("it is the base64 of a hash");
    let length = match keys {
        Keys::Sha1(_) => 20,
        Keys::Sha256(_) => 32,
    };
    if !STANDARD.decode(got).is_ok_and(|bytes| bytes.len() == length) {
        return Err(VerifyError::Malformed(SIGNATURE));
    }
    trace.step("the body is a form, or the address holds its hash");
    let fields = fields(request)?;
    trace.step("the signature is that of address and fields");
    let mut accepted = subtle::Choice::from(0);
    // All are computed, so that time tells nothing; the address as it is comes last, as that is
    // what the trace is left with.
    for url in addresses(request.url).iter().rev() {
        for expected in keys.sign(url.as_bytes(), fields.as_bytes()) {
            let fits = expected.as_bytes().ct_eq(got.as_bytes());
            if !bool::from(accepted) {
                trace.signed(|| format!("{url}{fields}"));
                trace.expected(&expected);
            }
            accepted |= fits;
        }
    }
    if accepted.into() { Ok(()) } else { Err(VerifyError::Signature) }
}

/// The keys that a request may be signed with. Which hash it was is told by a header that is not
/// signed itself: it never makes a key for SHA-256 good for SHA-1.
fn keys(
    request: &HookRequest<'_>,
    mut tokens: Vec<Secret>,
    shared: &std::collections::BTreeMap<&str, &str>,
) -> Result<Keys, VerifyError> {
    let present = request.headers.contains_key(SETTINGS);
    let settings = request.header(SETTINGS).unwrap_or_default();
    if present && settings.is_empty() {
        return Err(VerifyError::Malformed(SETTINGS));
    }
    let setting = |name: &str| {
        let mut settings = settings.split(',').filter_map(|setting| setting.split_once('='));
        settings.find(|(key, _)| key.trim() == name).map(|(_, value)| value.trim())
    };
    match setting("algorithm") {
        None | Some("HMAC_SHA1") if tokens.is_empty() => Err(VerifyError::NoKey),
        None | Some("HMAC_SHA1") => Ok(Keys::Sha1(tokens)),
        // Without any shared key the token is what is shared.
        Some("HMAC_SHA256") if shared.is_empty() && !tokens.is_empty() => {
            Ok(Keys::Sha256(tokens.swap_remove(0)))
        }
        Some("HMAC_SHA256") => {
            let key = setting("key").and_then(|id| shared.get(id)).ok_or(VerifyError::Account)?;
            Ok(Keys::Sha256(Secret::new(*key)))
        }
        Some(_) => Err(VerifyError::Method),
    }
}

impl Keys {
    fn sign(&self, url: &[u8], fields: &[u8]) -> Vec<String> {
        match self {
            Self::Sha1(keys) => keys
                .iter()
                .filter_map(|key| {
                    let mac = Hmac::<Sha1>::new_from_slice(key.expose().as_bytes()).ok()?;
                    let mac = mac.chain_update(url).chain_update(fields).finalize();
                    Some(STANDARD.encode(mac.into_bytes()))
                })
                .collect(),
            Self::Sha256(key) => Hmac::<Sha256>::new_from_slice(key.expose().as_bytes())
                .map(|mac| mac.chain_update(url).chain_update(fields).finalize())
                .map(|mac| vec![STANDARD.encode(mac.into_bytes())])
                .unwrap_or_default(),
        }
    }
}

/// What is signed behind the address: of a form its fields; of any other body nothing, as its hash
/// is part of the address, which is compared here.
fn fields(request: &HookRequest<'_>) -> Result<String, VerifyError> {
    if request.method == Method::GET {
        // The fields are in the address. A body is nothing that the sender makes.
        return if request.body.is_empty() { Ok(String::new()) } else { Err(VerifyError::Body) };
    }
    let query = request.query().unwrap_or_default();
    let mut hashes = query.split('&').filter_map(|pair| pair.split_once('='));
    let named = hashes.find(|(name, _)| *name == BODY_HASH).map(|(_, hash)| hash);
    let kind = request.header(header::CONTENT_TYPE.as_str()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    let untold = kind.is_empty() && named.is_none();
    if untold || kind.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
        let body = str::from_utf8(request.body).map_err(|_| VerifyError::Body)?;
        let mut pairs: Vec<_> = pairs(body).collect();
        // By name, the values of one name by value, each value once.
        pairs.sort_unstable();
        pairs.dedup();
        return Ok(pairs.into_iter().flat_map(|(name, value)| [name, value]).collect());
    }
    match named {
        None if request.body.is_empty() => Ok(String::new()),
        None => Err(VerifyError::Body),
        Some(named) => {
            let hash: String =
                Sha256::digest(request.body).iter().map(|byte| format!("{byte:02x}")).collect();
            let same: bool = hash.as_bytes().ct_eq(named.as_bytes()).into();
            if same { Ok(String::new()) } else { Err(VerifyError::Body) }
        }
    }
}

/// The forms of an address that may have been signed; the one as it is first.
fn addresses(url: &str) -> Vec<Cow<'_, str>> {
    let url = url.split('#').next().unwrap_or_default();
    let mut forms = vec![Cow::Borrowed(url)];
    let Some((scheme, rest)) = url.split_once("://") else { return forms };
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at_checked(end).unwrap_or((rest, ""));
    // The last colon, unless it is one of an IPv6 address, or stands before a password.
    let is_port = |port: &str| !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit());
    match authority.rsplit_once(':').filter(|(_, port)| is_port(port)) {
        Some((host, _)) => forms.push(Cow::Owned(format!("{scheme}://{host}{path}"))),
        None => {
            let port = match scheme {
                "https" | "wss" => 443,
                _ => 80,
            };
            forms.push(Cow::Owned(format!("{scheme}://{authority}:{port}{path}")));
        }
    }
    forms
}
