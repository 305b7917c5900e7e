//! A SIP message: its octets and a table of where its header fields are.

#[cfg(test)]
mod tests;

use std::fmt;
use std::ops::Range;
use std::str;
use std::sync::Arc;

use bytes::Bytes;
use thiserror::Error;

use super::headers::{CSeq, HeaderError, HeaderName, NameAddr, Via};
use super::headers::{UNKNOWN, number_of};
use super::lex::{self, Syntax};
use super::method::Method;
use super::parse;

/// The largest message, in octets. UDP cannot carry more; on streams it bounds the buffer.
pub const MESSAGE_BYTES_MAX: usize = 64 * 1024;
/// The most header fields a message may have.
pub const HEADERS_MAX: usize = 256;
/// The longest header field, in octets, folded lines included.
pub const LINE_BYTES_MAX: usize = 8 * 1024;

/// Why octets are no message at all. Nothing can be answered to them: the sender is unknown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ParseError {
    /// Nothing but line ends: a keep-alive (RFC 5626 section 3.5.1).
    #[error("the message is empty")]
    Empty,
    /// More octets than [`MESSAGE_BYTES_MAX`].
    #[error("the message is too large")]
    TooLarge,
    /// The first line is neither a request line nor a status line.
    #[error("the start line is not SIP")]
    StartLine,
    /// The message ends within a line of its header.
    #[error("the message ends within its header")]
    Truncated,
    /// More header fields than [`HEADERS_MAX`].
    #[error("the message has too many header fields")]
    TooManyHeaders,
    /// A line longer than [`LINE_BYTES_MAX`].
    #[error("a line of the message is too long")]
    LineTooLong,
    /// A carriage return that ends no line; others could read it as a line end.
    #[error("the message has a carriage return within a line")]
    StrayReturn,
}

/// A fault that leaves a message readable, so that a request can be refused with a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Fault {
    /// The version is not `SIP/2.0`.
    #[error("the version is not SIP/2.0")]
    Version,
    /// The start line has blanks where none belong.
    #[error("the start line is malformed")]
    StartLine,
    /// A header line has no colon or its name is no token.
    #[error("a header line is malformed")]
    HeaderLine,
    /// Content-Length is no number or stands twice with different values.
    #[error("Content-Length is malformed")]
    ContentLength,
    /// The empty line after the header is missing: the datagram ends with a header line.
    #[error("the empty line after the header is missing")]
    HeaderEnd,
    /// Fewer octets follow the header than Content-Length says.
    #[error("the body is shorter than Content-Length")]
    BodyShort,
}

/// A position in the text of the header, in octets.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Span {
    pub(super) start: u32,
    pub(super) end: u32,
}

impl Span {
    pub(super) fn of<'a>(&self, head: &'a [u8]) -> &'a str {
        let octets = usize::try_from(self.start)
            .and_then(|start| usize::try_from(self.end).map(|end| head.get(start..end)));
        octets.ok().flatten().and_then(|octets| str::from_utf8(octets).ok()).unwrap_or_default()
    }
}

/// Where one header field is and which one it is.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Field {
    pub(super) name: Span,
    pub(super) value: Span,
    pub(super) number: u8,
}

#[derive(Debug, Clone)]
pub(super) enum Start {
    Request { method: Method, uri: Span },
    Response { status: u16, reason: Span },
}

/// A request or response. Cloning costs two reference counts.
///
/// Octets of the header that are not UTF-8 are read as Latin-1. Folded lines are read as if they
/// were one. Both need a copy of the header; any other message is kept as it came.
#[derive(Clone)]
pub struct Message {
    /// The message as it came, from the start line to the end of the body.
    pub(super) raw: Bytes,
    /// The header as text: a part of `raw`, or its copy in UTF-8 and without folds.
    pub(super) head: Bytes,
    pub(super) body: Range<usize>,
    pub(super) start: Start,
    pub(super) fields: Arc<[Field]>,
    pub(super) fault: Option<Fault>,
}

impl Message {
    /// Reads a message. The body is what Content-Length says, or the rest without one; octets
    /// after it are ignored (RFC 3261 section 18.3). Line ends before the start line are skipped.
    ///
    /// A message whose faults leave it readable is returned with its [`Message::fault`], because a
    /// request is owed a response; [`validate_request`](super::validate_request) says which.
    ///
    /// # Errors
    /// Why it is no message.
    pub fn parse(raw: Bytes) -> Result<Self, ParseError> {
        parse::message(raw)
    }

    /// The first fault that was found while reading.
    pub const fn fault(&self) -> Option<Fault> {
        self.fault
    }

    /// Whether this is a request.
    pub const fn is_request(&self) -> bool {
        matches!(self.start, Start::Request { .. })
    }

    /// The method of a request.
    pub const fn method(&self) -> Option<&Method> {
        match &self.start {
            Start::Request { method, .. } => Some(method),
            Start::Response { .. } => None,
        }
    }

    /// The Request-URI of a request, as written.
    pub fn uri(&self) -> Option<&str> {
        match &self.start {
            Start::Request { uri, .. } => Some(uri.of(&self.head)),
            Start::Response { .. } => None,
        }
    }

    /// The status of a response, 100 to 699.
    pub const fn status(&self) -> Option<u16> {
        match &self.start {
            Start::Request { .. } => None,
            Start::Response { status, .. } => Some(*status),
        }
    }

    /// The reason phrase of a response; may be empty.
    pub fn reason(&self) -> Option<&str> {
        match &self.start {
            Start::Request { .. } => None,
            Start::Response { reason, .. } => Some(reason.of(&self.head)),
        }
    }

    /// The value of the first field of that name, unfolded and trimmed.
    pub fn header(&self, name: HeaderName) -> Option<&str> {
        self.headers(name).next()
    }

    /// The value of each field of that name, in order.
    pub fn headers(&self, name: HeaderName) -> impl Iterator<Item = &str> {
        let number = name.table_number();
        self.fields
            .iter()
            .filter(move |field| {
                field.number == number
                    && (number != UNKNOWN
                        || field.name.of(&self.head).eq_ignore_ascii_case(name.as_str()))
            })
            .map(|field| field.value.of(&self.head))
    }

    /// The value of the first field of that name, given as text in any case or compact form.
    pub fn header_named(&self, name: &str) -> Option<&str> {
        let number = number_of(name);
        let field = self.fields.iter().find(|field| {
            field.number == number
                && (number != UNKNOWN || field.name.of(&self.head).eq_ignore_ascii_case(name))
        })?;
        Some(field.value.of(&self.head))
    }

    /// Each comma separated element of all fields of that name, in order. Commas in quoted strings
    /// and in `<>` do not separate; empty elements are skipped.
    pub fn values(&self, name: HeaderName) -> impl Iterator<Item = &str> {
        self.headers(name).flat_map(lex::split_list)
    }

    /// Each header field in order: its name as written and its value.
    pub fn all_headers(&self) -> impl Iterator<Item = (&str, &str)> {
        self.fields.iter().map(|field| (field.name.of(&self.head), field.value.of(&self.head)))
    }

    /// The topmost Via.
    ///
    /// # Errors
    /// [`HeaderError`] when it is missing or malformed.
    pub fn via(&self) -> Result<Via<'_>, HeaderError> {
        let value = self.values(HeaderName::Via).next();
        let value = value.ok_or(HeaderError::Missing(HeaderName::Via))?;
        Via::parse(value).map_err(malformed(HeaderName::Via))
    }

    /// From.
    ///
    /// # Errors
    /// [`HeaderError`] when it is missing or malformed.
    pub fn from(&self) -> Result<NameAddr<'_>, HeaderError> {
        self.address(HeaderName::From)
    }

    /// To.
    ///
    /// # Errors
    /// [`HeaderError`] when it is missing or malformed.
    pub fn to(&self) -> Result<NameAddr<'_>, HeaderError> {
        self.address(HeaderName::To)
    }

    /// The first Contact; `None` when there is none or it is `*`.
    ///
    /// # Errors
    /// [`HeaderError`] when it is malformed.
    pub fn contact(&self) -> Result<Option<NameAddr<'_>>, HeaderError> {
        match self.values(HeaderName::Contact).next() {
            None | Some("*") => Ok(None),
            Some(value) => NameAddr::parse(value).map(Some).map_err(malformed(HeaderName::Contact)),
        }
    }

    /// CSeq.
    ///
    /// # Errors
    /// [`HeaderError`] when it is missing or malformed.
    pub fn cseq(&self) -> Result<CSeq, HeaderError> {
        CSeq::parse(self.required(HeaderName::CSeq)?).map_err(malformed(HeaderName::CSeq))
    }

    /// Call-ID.
    ///
    /// # Errors
    /// [`HeaderError`] when it is missing or malformed.
    pub fn call_id(&self) -> Result<&str, HeaderError> {
        let text = self.required(HeaderName::CallId)?;
        if lex::is_call_id(text) {
            Ok(text)
        } else {
            Err(malformed(HeaderName::CallId)(Syntax::Token))
        }
    }

    /// Max-Forwards; `None` when there is none, as before RFC 3261.
    ///
    /// # Errors
    /// [`HeaderError`] when it is no number or above 255.
    pub fn max_forwards(&self) -> Result<Option<u8>, HeaderError> {
        let Some(text) = self.header(HeaderName::MaxForwards) else { return Ok(None) };
        let malformed = malformed(HeaderName::MaxForwards);
        let value = lex::number(text, u64::from(u8::MAX)).map_err(malformed)?;
        Ok(u8::try_from(value).ok())
    }

    /// Content-Length; `None` when there is none or it is malformed.
    pub fn content_length(&self) -> Option<usize> {
        let value = lex::number(self.header(HeaderName::ContentLength)?, u64::from(u32::MAX));
        usize::try_from(value.ok()?).ok()
    }

    /// The body.
    pub fn body(&self) -> &[u8] {
        self.raw.get(self.body.clone()).unwrap_or_default()
    }

    /// The whole message as it came.
    pub const fn bytes(&self) -> &Bytes {
        &self.raw
    }

    /// The first field of the set `once` that stands more than once.
    pub(super) fn repeated(&self, once: u128) -> Option<HeaderName> {
        let mut seen = 0u128;
        let repeated = self.fields.iter().find(|field| {
            let bit = 1u128.checked_shl(u32::from(field.number)).unwrap_or(0) & once;
            let again = seen & bit != 0;
            seen |= bit;
            again
        })?;
        HeaderName::from_number(repeated.number)
    }

    pub(super) fn required(&self, name: HeaderName) -> Result<&str, HeaderError> {
        self.header(name).ok_or(HeaderError::Missing(name))
    }

    fn address(&self, name: HeaderName) -> Result<NameAddr<'_>, HeaderError> {
        NameAddr::parse(self.required(name)?).map_err(malformed(name))
    }
}

/// Says which header a syntax error is in.
pub(super) fn malformed(name: HeaderName) -> impl Fn(Syntax) -> HeaderError {
    move |cause| HeaderError::Malformed { name, cause }
}

/// The start line without the URI, and sizes: a message holds phone numbers and credentials.
impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Message");
        match &self.start {
            Start::Request { method, .. } => shown.field("method", &method.as_str()),
            Start::Response { status, .. } => shown.field("status", status),
        };
        shown
            .field("headers", &self.fields.len())
            .field("body_bytes", &self.body.len())
            .field("fault", &self.fault)
            .finish_non_exhaustive()
    }
}
