//! URIs: `sip:`, `sips:` (RFC 3261 section 19.1), `tel:` (RFC 3966) and others as opaque text.

mod equal;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use thiserror::Error;

use super::headers::Params;
use super::lex;

/// Why a URI cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum UriError {
    /// There is no scheme followed by a colon.
    #[error("the URI has no scheme")]
    Scheme,
    /// A blank, control, quote or angle bracket within the URI.
    #[error("the URI holds a character that no URI has")]
    Character,
    /// A `%` without two hexadecimal digits.
    #[error("the URI holds a malformed escape")]
    Escape,
    /// User or password are malformed.
    #[error("the user part of the URI is malformed")]
    User,
    /// Host or port are missing or malformed.
    #[error("the host part of the URI is malformed")]
    Host,
    /// A parameter is malformed.
    #[error("a parameter of the URI is malformed")]
    Param,
    /// A `tel:` URI without a number.
    #[error("the telephone number of the URI is malformed")]
    Number,
}

/// The scheme of a URI.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme<'a> {
    /// `sip`
    Sip,
    /// `sips`
    Sips,
    /// `tel`
    Tel,
    /// Any other scheme, as written.
    Other(&'a str),
}

impl<'a> Scheme<'a> {
    fn from_name(name: &'a str) -> Self {
        if name.eq_ignore_ascii_case("sip") {
            Self::Sip
        } else if name.eq_ignore_ascii_case("sips") {
            Self::Sips
        } else if name.eq_ignore_ascii_case("tel") {
            Self::Tel
        } else {
            Self::Other(name)
        }
    }

    /// The scheme without the colon.
    pub const fn as_str(&self) -> &'a str {
        match self {
            Self::Sip => "sip",
            Self::Sips => "sips",
            Self::Tel => "tel",
            Self::Other(name) => name,
        }
    }
}

/// The host of a URI or of `sent-by`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Host<'a> {
    /// An IPv4 address.
    V4(Ipv4Addr),
    /// An IPv6 address, written in brackets.
    V6(Ipv6Addr),
    /// A name, as written.
    Name(&'a str),
}

impl<'a> Host<'a> {
    /// Reads a host; IPv6 addresses must be in brackets. `None` when it is none.
    pub fn parse(text: &'a str) -> Option<Self> {
        if let Some(inner) = text.strip_prefix('[') {
            return inner.strip_suffix(']')?.parse().ok().map(Self::V6);
        }
        if !lex::is_host_name(text) {
            return None;
        }
        // A name may begin with a digit, an address cannot end in a letter.
        if text.as_bytes().last().is_some_and(u8::is_ascii_digit)
            && let Ok(address) = text.parse()
        {
            return Some(Self::V4(address));
        }
        Some(Self::Name(text))
    }

    /// The address, when the host is one.
    pub const fn address(&self) -> Option<IpAddr> {
        match self {
            Self::V4(address) => Some(IpAddr::V4(*address)),
            Self::V6(address) => Some(IpAddr::V6(*address)),
            Self::Name(_) => None,
        }
    }

    /// Whether both mean the same host; names are compared without regard to case.
    pub fn equivalent(&self, other: &Host<'_>) -> bool {
        match (self, other) {
            (Self::Name(one), Host::Name(two)) => one.eq_ignore_ascii_case(two),
            (Self::V4(one), Host::V4(two)) => one == two,
            (Self::V6(one), Host::V6(two)) => one == two,
            _ => false,
        }
    }
}

impl fmt::Display for Host<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::V4(address) => address.fmt(f),
            Self::V6(address) => write!(f, "[{address}]"),
            Self::Name(name) => f.write_str(name),
        }
    }
}

/// Reads `host[:port]`; `blanks` allows blanks around the colon, as `sent-by` does.
pub(crate) fn host_port(text: &str, blanks: bool) -> Option<(Host<'_>, Option<u16>)> {
    let end = if text.starts_with('[') {
        text.find(']')? + 1
    } else {
        text.find(':').unwrap_or(text.len())
    };
    let (host, port) = text.split_at_checked(end)?;
    let trim = |text| if blanks { lex::trim(text) } else { text };
    let host = Host::parse(trim(host))?;
    let port = trim(port);
    if port.is_empty() {
        return Some((host, None));
    }
    let port = lex::number(trim(port.strip_prefix(':')?), u64::from(u16::MAX)).ok()?;
    Some((host, Some(u16::try_from(port).ok()?)))
}

/// A URI, borrowed from the text it was read from.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Uri<'a> {
    /// The scheme.
    pub scheme: Scheme<'a>,
    /// `sip`, `sips`: the user with its escapes. `tel`: the number with its visual separators.
    pub user: Option<&'a str>,
    /// The password with its escapes; it has no place in a SIP URI any more and is never printed.
    pub password: Option<&'a str>,
    /// The host; `None` for `tel` and unknown schemes.
    pub host: Option<Host<'a>>,
    /// The port, when given.
    pub port: Option<u16>,
    /// The parameters.
    pub params: Params<'a>,
    /// What follows `?`, without it.
    pub headers: Option<&'a str>,
    text: &'a str,
}

impl<'a> Uri<'a> {
    /// Reads a URI.
    ///
    /// Users with characters that should be escaped but are not (`#`, letters outside ASCII) are
    /// taken, because telephones send them. Of unknown schemes only the scheme is read.
    ///
    /// # Errors
    /// Which part is malformed.
    pub fn parse(text: &'a str) -> Result<Self, UriError> {
        let (scheme, rest) = text.split_once(':').ok_or(UriError::Scheme)?;
        let mut letters = scheme.bytes();
        if !letters.next().is_some_and(|byte| byte.is_ascii_alphabetic())
            || !letters.all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
        {
            return Err(UriError::Scheme);
        }
        check_characters(rest)?;
        let uri = Self {
            scheme: Scheme::from_name(scheme),
            user: None,
            password: None,
            host: None,
            port: None,
            params: Params::default(),
            headers: None,
            text,
        };
        match uri.scheme {
            Scheme::Sip | Scheme::Sips => uri.sip(rest),
            Scheme::Tel => uri.tel(rest),
            Scheme::Other(_) if rest.is_empty() => Err(UriError::Host),
            Scheme::Other(_) => Ok(uri),
        }
    }

    fn sip(mut self, rest: &'a str) -> Result<Self, UriError> {
        let rest = match rest.split_once('@') {
            None => rest,
            Some((user, rest)) => {
                let (user, password) = match user.split_once(':') {
                    Some((user, password)) => (user, Some(password)),
                    None => (user, None),
                };
                if user.is_empty() || rest.contains('@') {
                    return Err(UriError::User);
                }
                (self.user, self.password) = (Some(user), password);
                rest
            }
        };
        let rest = match rest.split_once('?') {
            None => rest,
            Some((rest, headers)) => {
                self.headers = Some(headers);
                rest
            }
        };
        let end = rest.find(';').unwrap_or(rest.len());
        let (host, params) = rest.split_at_checked(end).ok_or(UriError::Host)?;
        let (host, port) = host_port(host, false).ok_or(UriError::Host)?;
        (self.host, self.port) = (Some(host), port);
        self.params = params_of(params)?;
        Ok(self)
    }

    fn tel(mut self, rest: &'a str) -> Result<Self, UriError> {
        let end = rest.find(';').unwrap_or(rest.len());
        let (number, params) = rest.split_at_checked(end).ok_or(UriError::Number)?;
        let digits = number.strip_prefix('+').unwrap_or(number);
        let allowed = |byte: u8| byte.is_ascii_hexdigit() || b"*#-.()".contains(&byte);
        let dialled = |byte: u8| byte.is_ascii_hexdigit() || b"*#".contains(&byte);
        if !digits.bytes().all(allowed) || !digits.bytes().any(dialled) {
            return Err(UriError::Number);
        }
        self.user = Some(number);
        self.params = params_of(params)?;
        Ok(self)
    }

    /// The URI as it was written.
    pub const fn as_str(&self) -> &'a str {
        self.text
    }

    /// Whether the scheme is `sip` or `sips`.
    pub const fn is_sip(&self) -> bool {
        matches!(self.scheme, Scheme::Sip | Scheme::Sips)
    }

    /// The user with escapes resolved; octets that are no UTF-8 become U+FFFD.
    pub fn user_decoded(&self) -> Option<Cow<'a, str>> {
        self.user.map(unescape)
    }

    /// The headers after `?`, each with its escapes.
    pub fn header_fields(&self) -> impl Iterator<Item = (&'a str, &'a str)> + use<'a> {
        self.headers
            .unwrap_or_default()
            .split('&')
            .filter(|field| !field.is_empty())
            .map(|field| field.split_once('=').unwrap_or((field, "")))
    }
}

/// Without user, password and parameters: they may be somebody's number or credentials.
impl fmt::Debug for Uri<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Uri")
            .field("scheme", &self.scheme.as_str())
            .field("user", &self.user.map(|_| ".."))
            .field("host", &self.host)
            .field("port", &self.port)
            .finish_non_exhaustive()
    }
}

impl fmt::Display for Uri<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text)
    }
}

/// Resolves `%HH`; octets that are no UTF-8 become U+FFFD.
pub fn unescape(text: &str) -> Cow<'_, str> {
    if !text.contains('%') {
        return Cow::Borrowed(text);
    }
    let octets: Vec<u8> = Octets::new(text).map(|(octet, _)| octet).collect();
    Cow::Owned(String::from_utf8_lossy(&octets).into_owned())
}

/// The octets of escaped text, each with whether it was escaped.
pub(crate) struct Octets<'a> {
    rest: &'a [u8],
}

impl<'a> Octets<'a> {
    pub(crate) const fn new(text: &'a str) -> Self {
        Self { rest: text.as_bytes() }
    }
}

impl Iterator for Octets<'_> {
    type Item = (u8, bool);

    fn next(&mut self) -> Option<(u8, bool)> {
        if let [b'%', high, low, rest @ ..] = self.rest
            && let (Some(high), Some(low)) = (hex(*high), hex(*low))
        {
            self.rest = rest;
            return Some((high << 4 | low, true));
        }
        let (&octet, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some((octet, false))
    }
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

fn check_characters(text: &str) -> Result<(), UriError> {
    let bytes = text.as_bytes();
    for (at, &byte) in bytes.iter().enumerate() {
        match byte {
            0..=b' ' | b'"' | b'<' | b'>' | 0x7f => return Err(UriError::Character),
            b'%' => {
                let digits = bytes.get(at + 1..at + 3).ok_or(UriError::Escape)?;
                if !digits.iter().all(u8::is_ascii_hexdigit) {
                    return Err(UriError::Escape);
                }
            }
            _ => {}
        }
    }
    Ok(())
}

/// Checks `;name=value` pairs of a URI: names are not empty.
fn params_of(text: &str) -> Result<Params<'_>, UriError> {
    let Some(rest) = text.strip_prefix(';') else { return Ok(Params::default()) };
    if rest.split(';').any(|piece| piece.is_empty() || piece.starts_with('=')) {
        return Err(UriError::Param);
    }
    Ok(Params::trusted(text))
}

/// Whether text may stand as the user of a URI as it is (RFC 3261 25.1).
pub fn is_user(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.!~*'()&=+$,/%".contains(&b))
}
