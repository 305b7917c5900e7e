//! Signatures of webhooks: HMAC-SHA-256 over the address without its query, and a number of one
//! use.
//!
//! Neither method nor query nor body nor time is signed, as documented: what proves a request is
//! the token in the path of its address, and that it is about this account. The carrier's library
//! signs more in version 3, as Plivo does; documents and library disagree, and nobody has shown
//! what the carrier really does, so that either is believed.
//!
//! They disagree too whether all webhooks are signed. A configuration may accept those that are
//! not: then the token in the path is what proves them, and the address that they come from.

use super::fields::SENDERS;
use crate::config::RawConfig;
use crate::explain::{Explanation, Trace};
use crate::hook::{HookRequest, VerifyError};
use crate::network::Network;
use crate::secret::Secret;
use crate::signed_form::{header, sign, signed_v3};

/// Headers with signatures of version 3: by the token of the account that the call belongs to, and
/// by that of the main account.
pub(super) const V3: [&str; 2] = ["x-vobiz-signature-v3", "x-vobiz-signature-ma-v3"];
const NONCE_V3: &str = "x-vobiz-signature-v3-nonce";
/// The same of version 2.
pub(super) const V2: [&str; 2] = ["x-vobiz-signature-v2", "x-vobiz-signature-ma-v2"];
const NONCE_V2: &str = "x-vobiz-signature-v2-nonce";
/// The header of a kind that is not accepted.
const OLDEST: &str = "x-vobiz-signature";
/// What addresses of hooks that hold a token have in them.
const OWN_HOOKS: &str = "/api/v1/telephony/vobiz/";

pub(super) fn verify(request: &HookRequest<'_>, config: &RawConfig) -> Result<(), VerifyError> {
    examine(request, config, &mut Trace::off())
}

pub(super) fn explain(request: &HookRequest<'_>, config: &RawConfig) -> Explanation {
    crate::explain::explain(|trace| examine(request, config, trace))
}

fn examine(
    request: &HookRequest<'_>,
    config: &RawConfig,
    trace: &mut Trace,
) -> Result<(), VerifyError> {
    trace.step("the configuration has a token");
    let tokens = ["auth_token", "other_auth_token"].map(|name| config.secret(name));
    let tokens: Vec<_> = tokens.into_iter().flatten().collect();
    if tokens.is_empty() {
        return Err(VerifyError::NoKey);
    }
    trace.step("a signature is there, once");
    let (v3, v2) = (present(request, V3), present(request, V2));
    if v3.is_empty() && v2.is_empty() && config.flag("allow_unsigned") {
        return unsigned(request, config, trace);
    }
    if v3.is_empty() && v2.is_empty() {
        return Err(VerifyError::Missing(V3[0]));
    }
    let mut result = Err(VerifyError::Signature);
    // The older form comes first, as the trace is left with what is looked at last.
    for (signatures, nonce_header, step) in [
        (&v2, NONCE_V2, "a signature of version 2 is that of the address"),
        (&v3, NONCE_V3, "a signature of version 3 is that of the address"),
    ] {
        if signatures.is_empty() {
            continue;
        }
        trace.step(step);
        let nonce = match header(request, nonce_header) {
            Ok(nonce) => nonce,
            Err(error) => {
                result = Err(error);
                continue;
            }
        };
        let forms = if nonce_header == NONCE_V2 {
            vec![format!("{}{nonce}", base(request.url))]
        } else {
            vec![signed_v3(request, nonce), format!("{}.{nonce}", base(request.url))]
        };
        if forms.iter().any(|form| matches(signatures, &tokens, form, trace)) {
            return Ok(());
        }
        result = Err(VerifyError::Signature);
    }
    result
}

/// Believes a request that is not signed if it came to an address that holds the configuration's
/// token, from an address of the carrier's.
fn unsigned(
    request: &HookRequest<'_>,
    config: &RawConfig,
    trace: &mut Trace,
) -> Result<(), VerifyError> {
    trace
        .step("there is no signature at all, not even one that is malformed or of the oldest kind");
    let names = V3.iter().chain(&V2).chain(&[NONCE_V3, NONCE_V2, OLDEST]);
    if { names }.any(|name| request.headers.contains_key(*name)) {
        return Err(VerifyError::Missing(V3[0]));
    }
    trace.step("its address holds the token of a configuration");
    // The shared entry has none.
    if !base(request.url).contains(OWN_HOOKS) {
        return Err(VerifyError::Missing(V3[0]));
    }
    trace.step("it comes from one of the carrier's addresses");
    let mut networks = config.texts("unsigned_from");
    if networks.is_empty() {
        networks = SENDERS.to_vec();
    }
    let holds = |from| {
        networks.iter().filter_map(|it| it.parse().ok()).any(|it: Network| it.contains(from))
    };
    if request.from.is_some_and(holds) { Ok(()) } else { Err(VerifyError::Sender) }
}

/// The signatures that came in these headers.
fn present<'r>(request: &HookRequest<'r>, names: [&'static str; 2]) -> Vec<&'r str> {
    let values = names.iter().filter_map(|name| request.header(name));
    values.map(str::trim).filter(|value| !value.is_empty()).collect()
}

/// True if one of the signatures is that of `form` by one of the tokens.
fn matches(signatures: &[&str], tokens: &[Secret], form: &str, trace: &mut Trace) -> bool {
    trace.signed(|| form.to_owned());
    let mut found = false;
    for token in tokens {
        let expected = Secret::new(sign(token, form));
        trace.expected(expected.expose());
        for signature in signatures {
            trace.got(signature);
            if Secret::new(*signature) == expected {
                trace.got(expected.expose());
                found = true;
                break;
            }
        }
        if found {
            break;
        }
    }
    found
}

/// Scheme, authority and path as they were given.
fn base(url: &str) -> &str {
    let url = url.split('#').next().unwrap_or_default();
    url.split('?').next().unwrap_or_default()
}
