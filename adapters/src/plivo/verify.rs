//! Signatures of webhooks and of the media socket's upgrade: HMAC-SHA-256 over the address, the
//! parameters and a number of one use.

use http::Method;
use serde_json::Value;

use crate::config::RawConfig;
use crate::explain::{Explanation, Trace};
use crate::hook::{Certainty, HookRequest, VerifyError};
use crate::secret::Secret;
use crate::signed_form::{base, header, sign, signed_v3};

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

/// Verifies the upgrade of a media socket, if the configuration wants that. How it is signed is not
/// documented, and may change without notice: what only notes it takes no call down.
pub(super) fn verify_socket(
    request: &HookRequest<'_>,
    config: &RawConfig,
) -> Result<Certainty, VerifyError> {
    let mode = config.text("socket_signature").unwrap_or("log");
    if mode == "off" {
        return Ok(Certainty::Proven);
    }
    match verify(request, config) {
        Ok(()) => Ok(Certainty::Proven),
        Err(error) if mode == "require" => Err(error),
        Err(error) => Ok(Certainty::Doubtful { error, hint: other_form(request, config) }),
    }
}

/// What the signature of an upgrade would be right for, if not for the address with `http`.
fn other_form(request: &HookRequest<'_>, config: &RawConfig) -> Option<&'static str> {
    let (_, rest) = request.url.split_once("://")?;
    let forms = [
        ("https://", "it is that of the address with https"),
        ("wss://", "it is that of the address with wss"),
    ];
    let keys = keys(config)?;
    let fits = |(scheme, _): &(&str, &str)| {
        let url = format!("{scheme}{rest}");
        let form = HookRequest { method: &Method::GET, url: &url, body: b"", ..*request };
        inspect(&form, config, &keys, &mut Trace::off()).is_ok()
    };
    forms.into_iter().find(fits).map(|(_, hint)| hint)
}

/// The address of a media socket as its upgrade is signed: with `http` for a scheme, which no
/// document of the carrier says. `None` for an address of something else.
fn socket_url(url: &str) -> Option<String> {
    let rest = url.strip_prefix("wss://").or_else(|| url.strip_prefix("ws://"))?;
    Some(format!("http://{rest}"))
}

/// The tokens that may have signed: of the account, and of the main account.
struct Keys {
    own: Secret,
    main: Option<Secret>,
}

fn keys(config: &RawConfig) -> Option<Keys> {
    let own = config.secret("auth_token")?;
    let is_main = config.text("auth_id").is_some_and(|id| id.starts_with("MA"));
    let main = config.secret("main_auth_token").or_else(|| is_main.then(|| own.clone()));
    Some(Keys { own, main })
}

fn examine(
    request: &HookRequest<'_>,
    config: &RawConfig,
    trace: &mut Trace,
) -> Result<(), VerifyError> {
    trace.step("the configuration has a token");
    let keys = keys(config).ok_or(VerifyError::NoKey)?;
    let plain = socket_url(request.url);
    let upgrade = plain.as_deref().map(|url| HookRequest {
        method: &Method::GET,
        url,
        body: b"",
        ..*request
    });
    inspect(upgrade.as_ref().unwrap_or(request), config, &keys, trace)
}

/// Looks at the signatures of a request whose address is the one that was signed.
fn inspect(
    request: &HookRequest<'_>,
    config: &RawConfig,
    keys: &Keys,
    trace: &mut Trace,
) -> Result<(), VerifyError> {
    trace.step("a signature and its nonce are there, once");
    let has = |name| request.headers.contains_key(name);
    if has(SIGNATURE_V3) || has(SIGNATURE_MA_V3) {
        let nonce = header(request, NONCE_V3)?;
        let signed = signed_v3(request, nonce);
        return either(request, [SIGNATURE_V3, SIGNATURE_MA_V3], keys, &signed, trace);
    }
    if !(has(SIGNATURE_V2) || has(SIGNATURE_MA_V2)) {
        return Err(VerifyError::Missing(SIGNATURE_V3));
    }
    trace.step("signatures of the older kind are accepted");
    // One that says nothing is no configuration of the server's but credentials in a file, and asks
    // what was signed.
    if config.get("accept_v2") == Some(&Value::Bool(false)) {
        return Err(VerifyError::Method);
    }
    let nonce = header(request, NONCE_V2)?;
    let signed = format!("{}{nonce}", base(request.url));
    either(request, [SIGNATURE_V2, SIGNATURE_MA_V2], keys, &signed, trace)
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
