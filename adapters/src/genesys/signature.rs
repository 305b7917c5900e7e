//! Signatures of HTTP messages as Genesys makes them (draft-ietf-httpbis-message-signatures-11):
//! which parts of a request are signed, and the text that they make.

use http::uri::Authority;

use crate::hook::HookRequest;

/// Parts of a request that are signed at most.
const COMPONENTS_MAX: usize = 16;
/// The part that names all others; it is never named itself.
const PARAMS: &str = "@signature-params";

/// What must be signed, or the signature proves nothing: where the request goes, and what it says
/// of the organisation, the session and the key.
const REQUIRED: [&str; 6] = [
    "@request-target",
    "@authority",
    "audiohook-organization-id",
    "audiohook-session-id",
    "audiohook-correlation-id",
    "x-api-key",
];

/// What `Signature-Input` says of one signature.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Signed<'h> {
    /// What the signature is called.
    pub(super) label: &'h str,
    components: Vec<&'h str>,
    /// What is behind the label, as it was written and signed.
    params: &'h str,
    pub(super) keyid: Option<&'h str>,
    pub(super) nonce: Option<&'h str>,
    pub(super) alg: Option<&'h str>,
    pub(super) created: Option<u64>,
    pub(super) expires: Option<u64>,
}

impl<'h> Signed<'h> {
    /// Reads the header, which must be written in the one form that is signed (RFC 8941 4.1): one
    /// signature, and nothing twice.
    pub(super) fn read(header: &'h str) -> Option<Self> {
        let (label, params) = header.split_once('=')?;
        let named = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
        if label.is_empty() || !label.bytes().all(named) {
            return None;
        }
        let (list, mut rest) = params.strip_prefix('(')?.split_once(')')?;
        let mut signed = Self { label, params, ..Self::default() };
        for item in list.split(' ') {
            let name = item.strip_prefix('"')?.strip_suffix('"')?;
            let plain = |byte: u8| byte.is_ascii_graphic() && !b"\"\\".contains(&byte);
            let fresh = !signed.components.contains(&name) && name != PARAMS;
            if name.is_empty() || !name.bytes().all(plain) || !fresh {
                return None;
            }
            signed.components.push(name);
        }
        if signed.components.len() > COMPONENTS_MAX {
            return None;
        }
        while !rest.is_empty() {
            rest = signed.parameter(rest.strip_prefix(';')?)?;
        }
        Some(signed)
    }

    /// Reads a parameter; what is behind it.
    fn parameter(&mut self, text: &'h str) -> Option<&'h str> {
        let (key, value) = text.split_once('=')?;
        if let Some(quoted) = value.strip_prefix('"') {
            let (value, rest) = quoted.split_once('"')?;
            let place = match key {
                "keyid" => &mut self.keyid,
                "nonce" => &mut self.nonce,
                "alg" => &mut self.alg,
                _ => return None,
            };
            let plain = |byte: u8| (b' '..=b'~').contains(&byte) && byte != b'\\';
            return (place.replace(value).is_none() && value.bytes().all(plain)).then_some(rest);
        }
        let end = value.find(';').unwrap_or(value.len());
        let (number, rest) = value.split_at_checked(end)?;
        let place = match key {
            "created" => &mut self.created,
            "expires" => &mut self.expires,
            _ => return None,
        };
        let digits = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
        let number = number.parse().ok().filter(|_| digits)?;
        place.replace(number).is_none().then_some(rest)
    }

    /// True if all is signed that must be.
    pub(super) fn covers_all(&self) -> bool {
        REQUIRED.iter().all(|name| self.components.contains(name))
    }

    /// The text that is signed; `None` if a part of it is not there, or cannot be known here.
    pub(super) fn base(&self, request: &HookRequest<'_>) -> Option<String> {
        let place = Place::of(request.url)?;
        let mut base = String::new();
        for name in &self.components {
            let value = match *name {
                "@request-target" => place.target,
                "@authority" => &place.authority,
                "@method" => request.method.as_str(),
                name if name.starts_with('@') => return None,
                name if name.bytes().any(|byte| byte.is_ascii_uppercase()) => return None,
                name => request.header(name)?.trim(),
            };
            base.push_str(&format!("\"{name}\": {value}\n"));
        }
        base.push_str(&format!("\"{PARAMS}\": {}", self.params));
        Some(base)
    }
}

/// Where a request goes.
struct Place<'u> {
    /// Host in small letters, and port unless it is the usual one.
    authority: String,
    /// Path and query.
    target: &'u str,
}

impl<'u> Place<'u> {
    fn of(url: &'u str) -> Option<Self> {
        let (scheme, rest) = url.split_once("://")?;
        let usual = match scheme {
            "https" | "wss" => 443,
            "http" | "ws" => 80,
            _ => return None,
        };
        let end = rest.find('/')?;
        let (authority, target) = rest.split_at_checked(end)?;
        let authority: Authority = authority.parse().ok()?;
        let host = authority.host().to_ascii_lowercase();
        let port = authority.port_u16().filter(|port| *port != usual);
        let authority = port.map_or_else(|| host.clone(), |port| format!("{host}:{port}"));
        Some(Self { authority, target })
    }
}

/// The signature of that label in the header `Signature`, in base64.
pub(super) fn signature<'h>(header: &'h str, label: &str) -> Option<&'h str> {
    let value = header.strip_prefix(label)?.strip_prefix("=:")?.strip_suffix(':')?;
    (!value.contains([':', ','])).then_some(value)
}
