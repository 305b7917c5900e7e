//! Who sent a request or opens a socket. Nothing is signed: a name and a password of our choice
//! come back as a basic credential (RFC 7617), and the carrier comes from addresses that its
//! support tells. A configuration has at least one of the two; what it has is demanded, besides the
//! token in the path of every address.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::header::AUTHORIZATION;
use sha2::{Digest, Sha256};

use super::fields;
use crate::config::RawConfig;
use crate::explain::{Explanation, Trace};
use crate::hook::{Certainty, HookRequest, VerifyError};
use crate::network::Network;
use crate::secret::Secret;

const CREDENTIAL: &str = "authorization";
const SCHEME: &str = "basic";

pub(super) fn verify(request: &HookRequest<'_>, config: &RawConfig) -> Result<(), VerifyError> {
    examine(request, config, fields::over_https(config), &mut Trace::off())
}

pub(super) fn explain(request: &HookRequest<'_>, config: &RawConfig) -> Explanation {
    crate::explain::explain(|trace| examine(request, config, fields::over_https(config), trace))
}

pub(super) fn verify_socket(
    request: &HookRequest<'_>,
    config: &RawConfig,
) -> Result<Certainty, VerifyError> {
    examine(request, config, true, &mut Trace::off()).map(|()| Certainty::Proven)
}

fn examine(
    request: &HookRequest<'_>,
    config: &RawConfig,
    bears: bool,
    trace: &mut Trace,
) -> Result<(), VerifyError> {
    trace.step("the configuration has a name and a password, or addresses of the carrier");
    let pair = fields::credentials(config).filter(|_| bears);
    let networks = config.texts("allow_from");
    if pair.is_none() && networks.is_empty() {
        return Err(VerifyError::NoKey);
    }
    if let Some(pair) = pair {
        trace.step("a basic credential is there, once");
        let value = request.header(AUTHORIZATION.as_str());
        let value = value.ok_or(VerifyError::Missing(CREDENTIAL))?;
        let (scheme, given) = value.split_once(' ').ok_or(VerifyError::Malformed(CREDENTIAL))?;
        if !scheme.eq_ignore_ascii_case(SCHEME) {
            return Err(VerifyError::Malformed(CREDENTIAL));
        }
        trace.step("it is the name and the password that were agreed");
        let expected = STANDARD.encode(pair);
        trace.got(&shown(given));
        trace.expected(&shown(&expected));
        if Secret::new(given) != Secret::new(expected) {
            return Err(VerifyError::Credential);
        }
    }
    if !networks.is_empty() {
        trace.step("it comes from one of the carrier's addresses");
        let holds = |from| {
            networks.iter().filter_map(|it| it.parse().ok()).any(|it: Network| it.contains(from))
        };
        if !request.from.is_some_and(holds) {
            return Err(VerifyError::Sender);
        }
    }
    Ok(())
}

/// A credential as it may be shown: a part of it would still be a part of it.
fn shown(credential: &str) -> String {
    Sha256::digest(credential).iter().map(|byte| format!("{byte:02x}")).collect()
}
