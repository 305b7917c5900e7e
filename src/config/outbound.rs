//! What `[[trunks]]` say of calls that we place through them.

use std::time::Duration;

use super::section::Section;
use crate::calls::presented::{Assertion, Privacy, is_identity_uri};
use crate::sip::core::custom;
use crate::sip::core::headers::NameAddr;
use crate::sip::core::uri::{Host, Scheme, Uri};

/// How calls are placed through a trunk.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outbound {
    /// SIP URIs without user, tried in order; without any, no calls are placed through the trunk.
    pub targets: Vec<String>,
    /// Preset route (RFC 3261 8.1.2): SIP URIs, the outbound proxy first.
    pub route: Vec<String>,
    /// Host of our From; our own address if absent.
    pub from_domain: Option<String>,
    /// How often the targets are asked whether they are there; never if absent.
    pub options_interval: Option<Duration>,
    /// Calls placed at once.
    pub max_calls: Option<u32>,
    /// Calls placed a second.
    pub calls_per_second: Option<u32>,
    /// Where the trunk is told who calls, besides From.
    pub assertion: Assertion,
    /// What it is told: a number, or a `sip:`, `sips:` or `tel:` URI; that of From if absent.
    pub identity: Option<String>,
    /// Whether it is withheld from those who are called, unless the call says otherwise.
    pub privacy: Privacy,
    /// Header fields that agents and the API may add to messages, in the case they were written.
    pub headers_out: Vec<String>,
}

/// URIs that a trunk may name.
const URIS_MAX: usize = 8;
const TARGET: &str = "SIP URIs without user, such as \"sip:gw.example.com;transport=tls\"";
const ROUTE: &str = "SIP URIs, such as \"sip:proxy.example.com;lr\"";

pub(super) fn outbound(section: &Section<'_>) -> Outbound {
    let uris = |key, allowed| section.list(key, allowed, |text| sip_uri(text, false));
    let targets = uris("targets", TARGET).unwrap_or_default();
    let proxy = section.text("outbound_proxy", ROUTE, |text| sip_uri(text, true));
    let route = section.list("route", ROUTE, |text| sip_uri(text, true)).unwrap_or_default();
    let host = |text: &str| match Host::parse(text) {
        Some(_) => Ok(text.to_owned()),
        None => Err("not a host".to_owned()),
    };
    let outbound = Outbound {
        from_domain: section.text("from_domain", "a host, such as \"example.com\"", host),
        options_interval: section.seconds("options_interval_s", 1..=3_600),
        max_calls: section.number("max_calls", 1..=100_000),
        calls_per_second: section.number("calls_per_second", 1..=100_000),
        route: proxy.into_iter().chain(route).collect(),
        targets,
        assertion: section.word("asserted_identity", ASSERTIONS).unwrap_or_default(),
        identity: section.text("identity", IDENTITY, identity),
        privacy: section.word("privacy", PRIVACIES).unwrap_or_default(),
        headers_out: section.list("headers_out", HEADERS_OUT, header_out).unwrap_or_default(),
    };
    if outbound.identity.is_some() && outbound.assertion == Assertion::None {
        section.conflict("identity", "means nothing without asserted_identity".to_owned());
    }
    for (key, uris) in [("targets", &outbound.targets), ("route", &outbound.route)] {
        if uris.len() > URIS_MAX {
            section.conflict(key, format!("{} URIs; allowed: up to {URIS_MAX}", uris.len()));
        }
    }
    if outbound.targets.is_empty() {
        let keys =
            ["outbound_proxy", "route", "options_interval_s", "max_calls", "calls_per_second"];
        if let Some(key) = keys.into_iter().find(|key| section.has(key)) {
            section.conflict(key, "means nothing without targets".to_owned());
        }
    }
    outbound
}

/// Words for `asserted_identity`.
const ASSERTIONS: &[(&str, Assertion)] = &[
    ("none", Assertion::None),
    ("asserted", Assertion::Asserted),
    ("preferred", Assertion::Preferred),
];
/// Words for `privacy`.
const PRIVACIES: &[(&str, Privacy)] = &[("none", Privacy::None), ("id", Privacy::Id)];
const IDENTITY: &str = "a number, such as \"+493012345\", or a sip:, sips: or tel: URI";
const HEADERS_OUT: &str = "names of SIP headers that do not steer the call, such as \"X-Tenant\"";

fn identity(text: &str) -> Result<String, String> {
    let number = |byte: u8| byte.is_ascii_alphanumeric() || b"+-_.".contains(&byte);
    let is_number = !text.is_empty() && text.len() <= 64 && text.bytes().all(number);
    if is_number || is_identity_uri(text) {
        return Ok(text.to_owned());
    }
    Err("names no caller".to_owned())
}

fn header_out(text: &str) -> Result<String, String> {
    custom::check_name(text).map_err(|error| error.to_string())?;
    Ok(text.to_owned())
}

/// A SIP URI that requests can be sent to.
fn sip_uri(text: &str, user: bool) -> Result<String, String> {
    // As a Route would hold it, so that nothing in it ends the URI before its end.
    let bracketed = format!("<{text}>");
    NameAddr::parse(&bracketed).map_err(|error| error.to_string())?;
    let uri = Uri::parse(text).map_err(|error| error.to_string())?;
    if !matches!(uri.scheme, Scheme::Sip | Scheme::Sips) {
        return Err("neither sip: nor sips:".to_owned());
    }
    if uri.user.is_some() && !user {
        return Err("a user does not belong into it: the called number takes its place".to_owned());
    }
    if uri.headers.is_some() {
        return Err("headers do not belong into it".to_owned());
    }
    Ok(text.to_owned())
}
