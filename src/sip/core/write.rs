//! Writers of requests and responses. Text from callers cannot begin a line of its own.

#[cfg(test)]
mod tests;

use std::net::SocketAddr;

use bytes::Bytes;
use thiserror::Error;

use super::headers::{HeaderName, Via};
use super::lex;
use super::message::{MESSAGE_BYTES_MAX, Message};
use super::method::Method;

/// Why a message cannot be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum BuildError {
    /// The method is no token.
    #[error("the method is not a token")]
    Method,
    /// The Request-URI is empty or has blanks, line ends, controls, quotes or angle brackets.
    #[error("the Request-URI has characters that no URI has")]
    Uri,
    /// The status of a response is not one of 100 to 699.
    #[error("the status is not one of 100 to 699")]
    Status,
    /// The name of a header field is no token.
    #[error("a header name is not a token")]
    HeaderName,
    /// The value of a header field, a tag or the reason phrase has a line end or NUL.
    #[error("a header value has a line end or NUL")]
    HeaderValue,
    /// Content-Length was given; the writer computes it.
    #[error("Content-Length is not the caller's to give")]
    ContentLength,
    /// The message would be larger than [`MESSAGE_BYTES_MAX`].
    #[error("the message is too large")]
    TooLarge,
}

/// The room that most messages need without a body, in octets.
const HEAD_BYTES_TYPICAL: usize = 768;

/// Header lines in the making, and the first fault found.
#[derive(Clone, Default)]
struct Writer {
    text: Vec<u8>,
    fault: Option<BuildError>,
}

impl Writer {
    fn note(&mut self, fault: BuildError) {
        self.fault.get_or_insert(fault);
    }

    /// A header field of the caller.
    fn header(&mut self, name: &str, value: &str) {
        if !lex::is_token(name) {
            self.note(BuildError::HeaderName);
        } else if HeaderName::from_name(name) == Some(HeaderName::ContentLength) {
            self.note(BuildError::ContentLength);
        } else if !lex::is_line_safe(value) {
            self.note(BuildError::HeaderValue);
        } else {
            self.line(&[name, ": ", value]);
        }
    }

    /// A field whose name is known to be good. Its value comes from a message and may hold what a
    /// caller's must not: NUL in a quoted pair. Line ends cannot be in it, but are refused too.
    fn copied(&mut self, name: HeaderName, pieces: &[&str]) {
        let ends_line = |piece: &&str| piece.bytes().any(|byte| matches!(byte, b'\r' | b'\n'));
        if pieces.iter().any(ends_line) {
            return self.note(BuildError::HeaderValue);
        }
        self.put(&[name.as_str(), ": "]);
        self.line(pieces);
    }

    fn line(&mut self, pieces: &[&str]) {
        self.put(pieces);
        self.put(&["\r\n"]);
    }

    fn put(&mut self, pieces: &[&str]) {
        for piece in pieces {
            self.text.extend_from_slice(piece.as_bytes());
        }
    }

    /// Content-Length, the empty line and the body.
    fn finish(mut self, body: &[u8]) -> (Bytes, Option<BuildError>) {
        let length = body.len().to_string();
        self.line(&[HeaderName::ContentLength.as_str(), ": ", &length]);
        self.line(&[]);
        self.text.extend_from_slice(body);
        if self.text.len() > MESSAGE_BYTES_MAX {
            self.note(BuildError::TooLarge);
        }
        // Without the room that was left over: a message is kept for as long as it may be repeated.
        (Bytes::copy_from_slice(&self.text), self.fault)
    }
}

/// Writes a request.
#[derive(Clone)]
pub struct RequestBuilder {
    writer: Writer,
    body: Vec<u8>,
}

impl RequestBuilder {
    /// Begins with the request line; header fields follow in the order in which they are added.
    pub fn new(method: Method, uri: &str) -> Self {
        let text = Vec::with_capacity(HEAD_BYTES_TYPICAL);
        let mut writer = Writer { text, fault: None };
        if !method.is_writable() {
            writer.note(BuildError::Method);
        }
        let outside = |byte: u8| byte <= b' ' || matches!(byte, b'"' | b'<' | b'>' | 0x7f);
        if uri.is_empty() || uri.bytes().any(outside) {
            writer.note(BuildError::Uri);
        }
        writer.line(&[method.as_str(), " ", uri, " SIP/2.0"]);
        Self { writer, body: Vec::new() }
    }

    /// Adds a header field. Content-Length is written by [`RequestBuilder::build`].
    #[must_use]
    pub fn header(mut self, name: impl AsRef<str>, value: &str) -> Self {
        self.writer.header(name.as_ref(), value);
        self
    }

    /// Adds the body and its Content-Type.
    #[must_use]
    pub fn body(mut self, content_type: &str, body: &[u8]) -> Self {
        self.writer.header(HeaderName::ContentType.as_str(), content_type);
        self.body = body.to_vec();
        self
    }

    /// The message.
    ///
    /// # Errors
    /// The first fault in what was given.
    pub fn build(self) -> Result<Bytes, BuildError> {
        match self.writer.finish(&self.body) {
            (bytes, None) => Ok(bytes),
            (_, Some(fault)) => Err(fault),
        }
    }
}

/// Writes the response to a request (RFC 3261 section 8.2.6).
#[derive(Clone)]
pub struct ResponseBuilder<'a> {
    request: &'a Message,
    status: u16,
    reason: &'a str,
    source: Option<SocketAddr>,
    to_tag: Option<String>,
    record_route: Option<&'a Message>,
    /// The fields that the caller adds.
    added: Writer,
    body: Vec<u8>,
}

impl<'a> ResponseBuilder<'a> {
    /// Copies Via, From, To, Call-ID and CSeq from the request, as far as it has them.
    pub fn new(request: &'a Message, status: u16, reason: &'a str) -> Self {
        let mut added = Writer::default();
        let safe = lex::is_line_safe(reason);
        if !safe {
            added.note(BuildError::HeaderValue);
        }
        if !(100..700).contains(&status) {
            added.note(BuildError::Status);
        }
        Self {
            request,
            status,
            reason: if safe { reason } else { "" },
            source: None,
            to_tag: None,
            record_route: None,
            added,
            body: Vec::new(),
        }
    }

    /// Notes where the request came from in the topmost Via: `received` when the address differs
    /// from `sent-by` (RFC 3261 section 18.2.1), `received` and `rport` when the sender asked for
    /// them (RFC 3581 section 4).
    #[must_use]
    pub fn source(mut self, source: SocketAddr) -> Self {
        self.source = Some(source);
        self
    }

    /// Adds a tag to To, unless the request had one there (RFC 3261 section 8.2.6.2).
    #[must_use]
    pub fn to_tag(mut self, tag: &str) -> Self {
        if lex::is_token(tag) {
            self.to_tag = Some(tag.to_owned());
        } else {
            self.added.note(BuildError::HeaderValue);
        }
        self
    }

    /// Copies the Record-Route fields of `request`, as responses that open a dialog must (RFC 3261
    /// section 12.1.1).
    #[must_use]
    pub fn record_route(mut self, request: &'a Message) -> Self {
        self.record_route = Some(request);
        self
    }

    /// Adds a header field. Content-Length is written by the builder.
    #[must_use]
    pub fn header(mut self, name: impl AsRef<str>, value: &str) -> Self {
        self.added.header(name.as_ref(), value);
        self
    }

    /// Adds the body and its Content-Type.
    #[must_use]
    pub fn body(mut self, content_type: &str, body: &[u8]) -> Self {
        self.added.header(HeaderName::ContentType.as_str(), content_type);
        self.body = body.to_vec();
        self
    }

    /// The message. A transaction must be answered, so a header field, tag or reason phrase that
    /// cannot be written is left out; [`ResponseBuilder::try_build`] reports it instead.
    pub fn build(self) -> Bytes {
        self.finish().0
    }

    /// The message.
    ///
    /// # Errors
    /// The first fault in what was given.
    pub fn try_build(self) -> Result<Bytes, BuildError> {
        match self.finish() {
            (bytes, None) => Ok(bytes),
            (_, Some(fault)) => Err(fault),
        }
    }

    fn finish(self) -> (Bytes, Option<BuildError>) {
        let room = HEAD_BYTES_TYPICAL + self.added.text.len() + self.body.len();
        let mut head = Writer { text: Vec::with_capacity(room), fault: self.added.fault };
        head.line(&["SIP/2.0 ", &self.status.to_string(), " ", self.reason]);
        let mut vias = self.request.headers(HeaderName::Via);
        if let (Some(source), Some(line)) = (self.source, vias.next()) {
            head.copied(HeaderName::Via, &[&with_source(line, source)]);
        } else {
            vias = self.request.headers(HeaderName::Via);
        }
        vias.for_each(|via| head.copied(HeaderName::Via, &[via]));
        if let Some(request) = self.record_route {
            let routes = request.headers(HeaderName::RecordRoute);
            routes.for_each(|route| head.copied(HeaderName::RecordRoute, &[route]));
        }
        if let Some(from) = self.request.header(HeaderName::From) {
            head.copied(HeaderName::From, &[from]);
        }
        if let Some(to) = self.request.header(HeaderName::To) {
            let tagged = self.request.to().is_ok_and(|to| to.tag().is_some());
            match self.to_tag.as_deref().filter(|_| !tagged) {
                Some(tag) => head.copied(HeaderName::To, &[to, ";tag=", tag]),
                None => head.copied(HeaderName::To, &[to]),
            }
        }
        for name in [HeaderName::CallId, HeaderName::CSeq] {
            if let Some(value) = self.request.header(name) {
                head.copied(name, &[value]);
            }
        }
        head.text.extend_from_slice(&self.added.text);
        head.finish(&self.body)
    }
}

/// A line of Via values with `received` and `rport` set in the first one.
fn with_source(line: &str, source: SocketAddr) -> String {
    let first_end = lex::find_outside(line, b',', true).unwrap_or(line.len());
    let (first, rest) = line.split_at_checked(first_end).unwrap_or((line, ""));
    let Ok(via) = Via::parse(lex::trim(first)) else { return line.to_owned() };
    // A mapped address is the same peer; the sender knows itself by the short form.
    let address = source.ip().to_canonical();
    let asked = via.params.has("rport");
    if !asked && via.host.address() == Some(address) {
        return line.to_owned();
    }
    let params_at = first.find(';').unwrap_or(first.len());
    let mut written = first.get(..params_at).unwrap_or_default().trim_end().to_owned();
    for piece in via.params.pieces() {
        let name = lex::trim(piece.split_once('=').map_or(piece, |(name, _)| name));
        // Whatever the sender wrote there, the receiver of the packet knows better.
        if !name.eq_ignore_ascii_case("received") && !name.eq_ignore_ascii_case("rport") {
            written.push(';');
            written.push_str(piece);
        }
    }
    written.push_str(&format!(";received={address}"));
    if asked {
        written.push_str(&format!(";rport={}", source.port()));
    }
    written.push_str(rest);
    written
}
