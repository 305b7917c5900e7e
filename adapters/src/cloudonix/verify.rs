//! Who sent a webhook. Nothing is signed: a key of our choice, set in the domain's profile, comes
//! back as a bearer credential, and the request names the domain.
//!
//! `X-Cx-Apikey` proves nothing by itself: it is a key of the application, which others know too.
//! Records of calls carry no credential at all. What proves them is the token in the path of their
//! address, by which the configuration was found, and that they are about its domain.

use http::header::AUTHORIZATION;
use serde_json::Value;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::fields::{is_domain, is_unknown};
use super::request::{Fields, header, text};
use crate::config::RawConfig;
use crate::explain::{Explanation, Trace};
use crate::hook::{HookRequest, VerifyError};

const CREDENTIAL: &str = "authorization";
const APP_KEY: &str = "x-cx-apikey";
const DOMAIN: &str = "x-cx-domain";
/// Stands in records of calls where the carrier knows no name.
const NO_DOMAIN: &str = "nullDomain";

/// What a request must have.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Demand {
    /// The credential, and the name of the domain.
    Whole,
    /// The credential; of the domain nothing is documented.
    Credential,
    /// The domain, in a record of a call.
    Record,
}

macro_rules! by {
    ($verify:ident, $explain:ident, $demand:expr) => {
        pub(super) fn $verify(
            request: &HookRequest<'_>,
            config: &RawConfig,
        ) -> Result<(), VerifyError> {
            examine(request, config, $demand, &mut Trace::off())
        }

        pub(super) fn $explain(request: &HookRequest<'_>, config: &RawConfig) -> Explanation {
            crate::explain::explain(|trace| examine(request, config, $demand, trace))
        }
    };
}

by!(verify, explain, Demand::Whole);
by!(verify_credential, explain_credential, Demand::Credential);
by!(verify_record, explain_record, Demand::Record);

fn examine(
    request: &HookRequest<'_>,
    config: &RawConfig,
    demand: Demand,
    trace: &mut Trace,
) -> Result<(), VerifyError> {
    trace.step("the configuration has a key and a domain");
    let key = config.secret("request_key").ok_or(VerifyError::NoKey)?;
    if is_domain(config, "").is_none() {
        return Err(VerifyError::NoKey);
    }
    // Where none is sent there is nothing to compare, but what is sent must be right.
    if demand != Demand::Record || request.headers.contains_key(AUTHORIZATION) {
        trace.step("a bearer credential is there, once");
        let given = bearer(request)?;
        trace.step("it is the key that was agreed");
        trace.got(&shown(given));
        trace.expected(&shown(key.expose().as_bytes()));
        let same: bool = given.ct_eq(key.expose().as_bytes()).into();
        if !same {
            return Err(VerifyError::Credential);
        }
    }
    trace.step("every domain that it names is the configuration's");
    let fields = Fields::read(request);
    let mut named = domains(request, fields.as_ref().ok(), demand);
    if demand == Demand::Record {
        // It is told by its name too.
        named.retain(|name| *name != NO_DOMAIN && !is_unknown(config, name));
    }
    if named.iter().any(|name| is_domain(config, name) != Some(true)) {
        return Err(VerifyError::Account);
    }
    if demand != Demand::Credential {
        trace.step("it names a domain");
        if named.is_empty() {
            return Err(VerifyError::Account);
        }
    }
    let pinned = config.secret("expected_app_key");
    if let Some(pinned) = pinned.filter(|_| demand != Demand::Record) {
        trace.step("the key of the application is the expected one");
        let given = header(request, APP_KEY).ok_or(VerifyError::Missing("x-cx-apikey"))?;
        let same: bool = given.as_bytes().ct_eq(pinned.expose().as_bytes()).into();
        if !same {
            return Err(VerifyError::Credential);
        }
    }
    Ok(())
}

/// The credential of the bearer scheme (RFC 6750 2.1), whatever characters it has.
fn bearer<'r>(request: &HookRequest<'r>) -> Result<&'r [u8], VerifyError> {
    let mut values = request.headers.get_all(AUTHORIZATION).iter();
    let value = values.next().ok_or(VerifyError::Missing(CREDENTIAL))?.as_bytes().trim_ascii();
    if values.next().is_some() {
        return Err(VerifyError::Missing(CREDENTIAL));
    }
    let (scheme, rest) = value.split_at_checked(6).ok_or(VerifyError::Malformed(CREDENTIAL))?;
    let credential = rest.trim_ascii_start();
    let is_bearer = scheme.eq_ignore_ascii_case(b"bearer") && credential.len() < rest.len();
    if is_bearer && !credential.is_empty() {
        Ok(credential)
    } else {
        Err(VerifyError::Malformed(CREDENTIAL))
    }
}

/// What people may see of a key: the beginning of its hash is not the beginning of the key.
fn shown(key: &[u8]) -> String {
    Sha256::digest(key).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Every domain that a request names.
fn domains<'f>(
    request: &HookRequest<'f>,
    fields: Option<&'f Fields>,
    demand: Demand,
) -> Vec<&'f str> {
    // What is no text names nothing that could be ours.
    let told = request.headers.get_all(DOMAIN).iter();
    let mut named: Vec<&str> = told.map(|value| value.to_str().unwrap_or_default()).collect();
    let Some(fields) = fields else { return named };
    named.extend(["Domain", "domain"].iter().filter_map(|name| fields.text(name)));
    if demand == Demand::Record {
        let owner = fields.within("owner", "domain");
        let owner = |name: &str| text(owner.and_then(|domain: &Value| domain.get(name)));
        named.extend(["uuid", "name"].iter().filter_map(|name| owner(name)));
    }
    named
}
