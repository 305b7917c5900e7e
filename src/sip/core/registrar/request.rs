//! What a REGISTER wants (RFC 3261 10.2, 10.3).

use super::binding::Binding;
use super::{CONTACTS_MAX, Expiry};
use crate::sip::core::headers::{HeaderName, NameAddr};
use crate::sip::core::lex;
use crate::sip::core::message::Message;
use crate::sip::core::uri::Uri;
use crate::sip::core::validate::Refusal;

/// Most text of one contact or hop of a path, in bytes.
const TEXT_MAX_BYTES: usize = 1024;
/// Most hops of a path.
const PATH_MAX: usize = 8;
/// Below this a registrar may refuse an interval as too brief (RFC 3261 10.3 7).
const HOUR_S: u32 = 3_600;

/// What changes.
pub(super) struct Change<'m> {
    pub(super) call_id: &'m str,
    pub(super) cseq: u32,
    /// `Contact: *`: everything is removed.
    pub(super) all: bool,
    pub(super) contacts: Vec<Contact<'m>>,
    pub(super) path: Vec<&'m str>,
    /// The telephone knows of paths, and is told of its own.
    pub(super) knows_path: bool,
    /// It is to be reached by the flow that it came over (RFC 5626 6), and is told that it is.
    pub(super) outbound: bool,
}

/// A contact to be kept or removed.
pub(super) struct Contact<'m> {
    pub(super) uri: &'m str,
    pub(super) instance: Option<&'m str>,
    pub(super) reg_id: Option<&'m str>,
    pub(super) q_milli: u16,
    /// 0 to remove it.
    pub(super) expires_s: u32,
}

impl Contact<'_> {
    /// Whether it is this one: the same flow of the same telephone (RFC 5626 6), or the same URI.
    pub(super) fn is(&self, binding: &Binding) -> bool {
        if let (Some(_), Some(_)) = (self.instance, self.reg_id)
            && self.instance == binding.instance.as_deref()
            && self.reg_id == binding.reg_id.as_deref()
        {
            return true;
        }
        let (Ok(one), Ok(two)) = (Uri::parse(self.uri), Uri::parse(&binding.uri)) else {
            return false;
        };
        one.equivalent(&two)
    }
}

/// Reads a REGISTER of `user`.
pub(super) fn read<'m>(
    request: &'m Message,
    user: &str,
    expiry: &Expiry,
) -> Result<Change<'m>, Refusal> {
    let to = request.to()?;
    if to.uri.user_decoded().as_deref() != Some(user) {
        // RFC 3261 10.3 4: nobody registers others.
        return Err(Refusal::new(403, "Not Your Address"));
    }
    let path = path(request)?;
    let elements: Vec<&str> = request.values(HeaderName::Contact).take(CONTACTS_MAX + 1).collect();
    let all = elements.contains(&"*");
    let expires = request.header(HeaderName::Expires);
    if all && (elements.len() > 1 || expires.and_then(seconds) != Some(0)) {
        return Err(Refusal::new(400, "Contact * Needs Expires 0"));
    }
    if elements.len() > CONTACTS_MAX {
        return Err(Refusal::new(403, "Too Many Contacts"));
    }
    let mut contacts = Vec::new();
    for element in elements.iter().filter(|_| !all) {
        contacts.push(contact(element, expires, expiry)?);
    }
    let cseq = request.cseq()?.number;
    let knows_path = request.values(HeaderName::Supported).any(|option| option == "path")
        || request.values(HeaderName::Require).any(|option| option == "path");
    let outbound = outbound(request, &contacts, &path);
    Ok(Change { call_id: request.call_id()?, cseq, all, contacts, path, knows_path, outbound })
}

/// Whether a telephone asks for its flow to be used, and nobody between it and us takes that away:
/// it came straight to us, or by a proxy that says that it keeps flows (RFC 5626 6).
fn outbound(request: &Message, contacts: &[Contact<'_>], path: &[&str]) -> bool {
    let asks = request.values(HeaderName::Supported).any(|option| option == "outbound")
        && contacts.iter().any(|it| it.instance.is_some() && it.reg_id.is_some());
    let straight = request.values(HeaderName::Via).count() == 1;
    let keeps = |hop: &&str| NameAddr::parse(hop).is_ok_and(|hop| hop.uri.params.has("ob"));
    asks && (straight || path.last().is_some_and(keeps))
}

/// The Path (RFC 3327 5.3). Most telephones do not know of it, and refusing them would leave those
/// behind a proxy unreachable; a proxy that led them astray could hide it from them in any case.
fn path(request: &Message) -> Result<Vec<&str>, Refusal> {
    let path: Vec<&str> = request.values(HeaderName::Path).take(PATH_MAX + 1).collect();
    let usable = |hop: &&str| {
        hop.len() <= TEXT_MAX_BYTES && NameAddr::parse(hop).is_ok_and(|hop| hop.uri.is_sip())
    };
    if path.len() > PATH_MAX || !path.iter().all(usable) {
        return Err(Refusal::new(400, "Malformed Path Header Field"));
    }
    Ok(path)
}

fn contact<'m>(
    element: &'m str,
    expires: Option<&str>,
    expiry: &Expiry,
) -> Result<Contact<'m>, Refusal> {
    let malformed = Refusal::new(400, "Malformed Contact Header Field");
    let address = NameAddr::parse(element).map_err(|_| malformed.clone())?;
    let uri = address.uri.as_str();
    // What cannot be a Request-URI cannot be called.
    if !address.uri.is_sip() || address.uri.headers.is_some() || element.len() > TEXT_MAX_BYTES {
        return Err(malformed);
    }
    // RFC 3261 10.3 7: what cannot be read counts as not given.
    let asked = address.params.get("expires").or(expires).and_then(seconds);
    let asked = asked.unwrap_or(expiry.default_s);
    if asked > 0 && asked < HOUR_S && asked < expiry.min_s {
        let min = vec![(HeaderName::MinExpires, expiry.min_s.to_string())];
        return Err(Refusal { headers: min, ..Refusal::new(423, "Interval Too Brief") });
    }
    let token = |text: &&str| lex::is_token(text);
    Ok(Contact {
        uri,
        instance: address.params.get("+sip.instance").filter(|text| !text.is_empty()),
        reg_id: address.params.get("reg-id").filter(token),
        q_milli: address.params.get("q").and_then(q_milli).unwrap_or(1000),
        expires_s: asked.min(expiry.max_s),
    })
}

/// Seconds as SIP writes them; more than 32 bits count as the most.
fn seconds(text: &str) -> Option<u32> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().unwrap_or(u32::MAX))
}

/// `0.5` as 500 (RFC 3261 25.1, `qvalue`).
fn q_milli(text: &str) -> Option<u16> {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    if part.len() > 3 || !part.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let part: u16 = format!("{part:0<3}").parse().ok()?;
    match whole {
        "1" if part == 0 => Some(1000),
        "0" => Some(part),
        _ => None,
    }
}
