//! What `[[trunks]]` say of calls that we place through them.

use std::sync::Arc;
use std::time::Duration;

use adapters::secret::Pii;
use adapters::sip::{CallerIdHeader, NumberFormat, in_order};

use super::section::Section;
use crate::calls::caller_ids::{DAILY_CAP_MAX, NUMBERS_MAX, Policy, Rotation};
use crate::calls::presented::{Privacy, is_identity_uri};
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
    /// Path of WebSockets that we open (RFC 7118); `/` if absent.
    pub ws_path: Option<Arc<str>>,
    /// The name that certificates of its servers have to prove, whatever they are called by.
    pub tls_name: Option<Arc<str>>,
    /// Host of our From; our own address if absent.
    pub from_domain: Option<String>,
    /// How often the targets are asked whether they are there; never if absent.
    pub options_interval: Option<Duration>,
    /// Calls placed at once.
    pub max_calls: Option<u32>,
    /// Calls placed a second.
    pub calls_per_second: Option<u32>,
    /// Priorities and weights of the targets, in their order; if empty that order is theirs.
    pub shares: Vec<(u16, u16)>,
    /// The calling number or user when a call names none.
    pub caller_id: Option<String>,
    /// Numbers or users that such calls are placed from, `caller_id` first; empty unless one is
    /// picked for each call.
    pub caller_ids: Vec<String>,
    /// How it is picked.
    pub rotation: Rotation,
    /// Where the calling number stands.
    pub caller_id_header: CallerIdHeader,
    /// How numbers are written.
    pub number_format: NumberFormat,
    /// What a header other than From says: a number, or a `sip:`, `sips:` or `tel:` URI; the
    /// calling number if absent.
    pub asserted_identity: Option<String>,
    /// Whether the caller is withheld from those who are called, unless the call says otherwise.
    pub privacy: Privacy,
    /// Header fields that agents and the API may add to messages, in the case they were written.
    pub headers_out: Vec<String>,
    /// Headers added to each INVITE, by name.
    pub headers: Vec<(String, Pii)>,
}

impl Outbound {
    /// The targets in the order to try them for one call.
    pub fn order(&self) -> Vec<&str> {
        let share = |(at, _): &(usize, &String)| {
            // Without shares their order is that of the list.
            let own = self.shares.get(*at).copied();
            own.unwrap_or((u16::try_from(*at).unwrap_or(u16::MAX), 0))
        };
        let random = |most: u32| fastrand::u32(0..=most);
        let order = in_order(self.targets.iter().enumerate(), share, random);
        order.into_iter().map(|(_, target)| target.as_str()).collect()
    }
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
    let weights = section.numbers("weights", 0..=u16::MAX).unwrap_or_default();
    let mut outbound = Outbound {
        from_domain: section.text("from_domain", "a host, such as \"example.com\"", host),
        tls_name: section.text("tls_server_name", super::peers::TLS_NAME, |text| {
            super::peers::tls_name(text).map(Into::into)
        }),
        ws_path: section.text("ws_path", "a path, such as \"/ws\"", ws_path),
        options_interval: section.seconds("options_interval_s", 1..=3_600),
        max_calls: section.number("max_calls", 1..=100_000),
        calls_per_second: section.number("calls_per_second", 1..=100_000),
        route: proxy.into_iter().chain(route).collect(),
        caller_id: section.text("caller_id", "a number or user", caller_id),
        caller_ids: section.list("caller_ids", CALLER_IDS, caller_id).unwrap_or_default(),
        rotation: Rotation {
            policy: section.word("caller_id_policy", &POLICIES).unwrap_or_default(),
            daily_cap: section.number("caller_id_daily_cap", 1..=DAILY_CAP_MAX),
        },
        caller_id_header: section.word("caller_id_header", CALLER_ID_HEADERS).unwrap_or_default(),
        number_format: section.word("number_format", NUMBER_FORMATS).unwrap_or_default(),
        shares: weights.iter().map(|weight| (0, *weight)).collect(),
        headers: Vec::new(),
        targets,
        asserted_identity: section.text("asserted_identity", IDENTITY, identity),
        privacy: section.word("privacy", PRIVACIES).unwrap_or_default(),
        headers_out: section.list("headers_out", HEADERS_OUT, header_out).unwrap_or_default(),
    };
    if outbound.asserted_identity.is_some() && outbound.caller_id_header == CallerIdHeader::From {
        section.conflict("asserted_identity", "means nothing without caller_id_header".to_owned());
    }
    check_caller_ids(section, &mut outbound);
    for (key, uris) in [("targets", &outbound.targets), ("route", &outbound.route)] {
        if uris.len() > URIS_MAX {
            section.conflict(key, format!("{} URIs; allowed: up to {URIS_MAX}", uris.len()));
        }
    }
    let (shares, targets) = (weights.len(), outbound.targets.len());
    if shares != targets && shares != 0 && targets != 0 {
        section.conflict("weights", format!("{shares} for {targets} targets; allowed: one each"));
    }
    if outbound.targets.is_empty() {
        let keys = [
            "outbound_proxy",
            "route",
            "options_interval_s",
            "max_calls",
            "calls_per_second",
            "caller_id",
            "caller_ids",
            "caller_id_header",
            "number_format",
            "weights",
        ];
        if let Some(key) = keys.into_iter().find(|key| section.has(key)) {
            section.conflict(key, "means nothing without targets".to_owned());
        }
    }
    outbound
}

/// Refuses numbers that nothing picks from, and what picks from none.
fn check_caller_ids(section: &Section<'_>, outbound: &mut Outbound) {
    let count = outbound.caller_ids.len();
    if count > NUMBERS_MAX {
        let message = format!("{count} numbers; allowed: up to {NUMBERS_MAX}");
        section.conflict("caller_ids", message);
    }
    let keys = ["caller_id_policy", "caller_id_daily_cap"];
    let picks = keys.into_iter().find(|key| section.has(key));
    match picks {
        None if count > 0 => {
            let message = "means nothing without caller_id_policy or caller_id_daily_cap";
            section.conflict("caller_ids", message.to_owned());
        }
        Some(key) if count == 0 => {
            section.conflict(key, "means nothing without caller_ids".to_owned());
        }
        _ => {}
    }
    // The default is one of them, and the first.
    if let Some(own) = outbound.caller_id.clone().filter(|_| count > 0) {
        outbound.caller_ids.retain(|number| *number != own);
        outbound.caller_ids.insert(0, own);
    }
}

/// Words for `caller_id_policy`.
const POLICIES: [(&str, Policy); Policy::ALL.len()] = {
    let mut words = [("", Policy::Default); Policy::ALL.len()];
    let mut at = 0;
    while at < words.len() {
        words[at] = (Policy::ALL[at].as_str(), Policy::ALL[at]);
        at += 1;
    }
    words
};
const CALLER_IDS: &str = "numbers or users, such as \"+493012345\"";
/// Words for `privacy`.
const PRIVACIES: &[(&str, Privacy)] = &[("none", Privacy::None), ("id", Privacy::Id)];
const IDENTITY: &str = "a number, such as \"+493012345\", or a sip:, sips: or tel: URI";
const HEADERS_OUT: &str = "names of SIP headers that do not steer the call, such as \"X-Tenant\"";

fn ws_path(text: &str) -> Result<Arc<str>, String> {
    match text.parse::<http::uri::PathAndQuery>() {
        Ok(path) if text.starts_with('/') && path.as_str() == text => Ok(text.into()),
        _ => Err("not a path".to_owned()),
    }
}

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

const CALLER_ID_HEADERS: &[(&str, CallerIdHeader)] = &[
    ("from", CallerIdHeader::From),
    ("p_asserted_identity", CallerIdHeader::PAssertedIdentity),
    ("p_preferred_identity", CallerIdHeader::PPreferredIdentity),
    ("remote_party_id", CallerIdHeader::RemotePartyId),
];
const NUMBER_FORMATS: &[(&str, NumberFormat)] = &[
    ("plus", NumberFormat::Plus),
    ("digits", NumberFormat::Digits),
    ("as_given", NumberFormat::AsGiven),
];

/// A number or user that can stand in a From.
fn caller_id(text: &str) -> Result<String, String> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"+-_.".contains(&byte);
    match !text.is_empty() && text.len() <= 64 && text.bytes().all(fits) {
        true => Ok(text.to_owned()),
        false => Err("not a number or user".to_owned()),
    }
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
