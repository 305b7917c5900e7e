//! The Refer-To header (RFC 3515 2.1): whom to call, and with which headers.

use thiserror::Error;

use super::headers::{HeaderName, NameAddr};
use super::lex;
use super::message::Message;
use super::uri::{Uri, unescape};

/// Headers of one Refer-To that are looked at; more are refused.
pub const REFER_HEADERS_MAX: usize = 16;

/// Why a Refer-To cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ReferToError {
    /// Not exactly one Refer-To.
    #[error("not exactly one Refer-To")]
    Count,
    /// No address can be read.
    #[error("the address is malformed")]
    Address,
    /// Its `method` parameter asks for something other than a call.
    #[error("it asks for something other than a call")]
    Method,
    /// A header in it is malformed, or there are too many.
    #[error("a header in it is malformed")]
    Header,
}

/// Whom a REFER names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReferTo {
    /// The URI, without headers and without `method`: a Request-URI.
    pub uri: String,
    /// The headers that the URI carries, unescaped, in their order (RFC 3261 19.1.1).
    pub headers: Vec<(String, String)>,
}

impl ReferTo {
    /// The Refer-To of a request.
    ///
    /// # Errors
    /// Why it cannot be used.
    pub fn of(request: &Message) -> Result<Self, ReferToError> {
        let mut all = request.headers(HeaderName::ReferTo);
        match (all.next(), all.next()) {
            (Some(text), None) => Self::parse(text),
            _ => Err(ReferToError::Count),
        }
    }

    /// Reads the value of the header.
    ///
    /// # Errors
    /// Why it cannot be used.
    pub fn parse(text: &str) -> Result<Self, ReferToError> {
        let uri = NameAddr::parse(text).map_err(|_| ReferToError::Address)?.uri;
        if uri.params.get("method").is_some_and(|method| !method.eq_ignore_ascii_case("INVITE")) {
            return Err(ReferToError::Method);
        }
        let mut headers = Vec::new();
        for (name, value) in uri.header_fields() {
            let (name, value) = (unescape(name).into_owned(), unescape(value).into_owned());
            let usable = lex::is_token(&name) && lex::is_line_safe(&value);
            if !usable || headers.len() >= REFER_HEADERS_MAX {
                return Err(ReferToError::Header);
            }
            headers.push((name, value));
        }
        Ok(Self { uri: bare(&uri), headers })
    }

    /// The first header of this name.
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }
}

/// A URI without headers and `method`.
fn bare(uri: &Uri<'_>) -> String {
    let text = uri.as_str();
    let text = text.split_once('?').filter(|_| uri.headers.is_some()).map_or(text, |(uri, _)| uri);
    if !uri.params.has("method") {
        return text.to_owned();
    }
    let mut pieces = text.split(';');
    let mut bare = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let name = piece.split('=').next().unwrap_or_default();
        if !name.eq_ignore_ascii_case("method") {
            bare.push(';');
            bare.push_str(piece);
        }
    }
    bare
}

/// Text as the value of a header within a URI: everything is escaped but what RFC 3261 25.1 calls
/// unreserved, which every reader takes.
pub fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.!~*'()".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            let _ = std::fmt::Write::write_fmt(&mut escaped, format_args!("%{byte:02X}"));
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The example of RFC 5589 7.3: a URI with an escaped Replaces.
    #[test]
    fn reads_headers_within_the_uri() {
        let text = "\"B\" <sips:482n4z24kdg@chicago.example.com;gr=8594958;method=INVITE?\
            Replaces=090459243588173445%3Bto-tag%3D7553452%3Bfrom-tag%3D31431&X-A=b%20c>;x=y";
        let read = ReferTo::parse(text).unwrap();
        assert_eq!(read.uri, "sips:482n4z24kdg@chicago.example.com;gr=8594958");
        let replaces = "090459243588173445;to-tag=7553452;from-tag=31431";
        assert_eq!(read.header("replaces"), Some(replaces));
        assert_eq!(read.headers[1], ("X-A".to_owned(), "b c".to_owned()));
        assert_eq!(escape(replaces), "090459243588173445%3Bto-tag%3D7553452%3Bfrom-tag%3D31431");
    }

    /// What cannot be called, or would break a message, is refused.
    #[test]
    fn refuses_what_cannot_be_used() {
        for (text, fault) in [
            ("", ReferToError::Address),
            ("sip:", ReferToError::Address),
            ("<sip:a@b;method=SUBSCRIBE>", ReferToError::Method),
            ("<sip:a@b?X=%0d%0aEvil:1>", ReferToError::Header),
            ("<sip:a@b?X%20Y=1>", ReferToError::Header),
        ] {
            assert_eq!(ReferTo::parse(text), Err(fault), "{text}");
        }
        let many = format!("<sip:a@b?{}>", "X=1&".repeat(REFER_HEADERS_MAX + 1));
        assert_eq!(ReferTo::parse(&many), Err(ReferToError::Header));
    }

    proptest! {
        /// What is escaped is read back as it was; nothing that is read panics.
        #[test]
        fn escapes_round_trip(value in "[ -~]{0,80}", noise in ".{0,80}") {
            let _ = ReferTo::parse(&noise);
            let text = format!("<sip:a@192.0.2.1:5070;transport=tcp?Replaces={}>", escape(&value));
            let read = ReferTo::parse(&text).unwrap();
            prop_assert_eq!(&read.uri, "sip:a@192.0.2.1:5070;transport=tcp");
            prop_assert_eq!(read.header("Replaces"), Some(&*value));
        }
    }
}
