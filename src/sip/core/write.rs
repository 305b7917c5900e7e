//! Writers of requests and responses. Text from callers cannot begin a line of its own.

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
    /// The name of a header field is no token.
    #[error("a header name is not a token")]
    HeaderName,
    /// The value of a header field, a tag or the reason phrase has a line end or NUL.
    #[error("a header value has a line end or NUL")]
    HeaderValue,
    /// The message would be larger than [`MESSAGE_BYTES_MAX`].
    #[error("the message is too large")]
    TooLarge,
}

/// The room that most messages need without a body, in octets.
const HEAD_BYTES_TYPICAL: usize = 768;

/// Header lines and body in the making, and the first fault found.
#[derive(Debug, Clone)]
struct Writer {
    text: Vec<u8>,
    content_type: Option<String>,
    body: Vec<u8>,
    fault: Option<BuildError>,
}

impl Writer {
    fn new() -> Self {
        Self {
            text: Vec::with_capacity(HEAD_BYTES_TYPICAL),
            content_type: None,
            body: Vec::new(),
            fault: None,
        }
    }

    fn note(&mut self, fault: BuildError) {
        self.fault.get_or_insert(fault);
    }

    fn header(&mut self, name: &str, value: &str) {
        if !lex::is_token(name) {
            return self.note(BuildError::HeaderName);
        }
        if !lex::is_line_safe(value) {
            return self.note(BuildError::HeaderValue);
        }
        self.line(&[name, ": ", value]);
    }

    /// A line of checked pieces.
    fn line(&mut self, pieces: &[&str]) {
        for piece in pieces {
            self.text.extend_from_slice(piece.as_bytes());
        }
        self.text.extend_from_slice(b"\r\n");
    }

    fn body(&mut self, content_type: &str, body: &[u8]) {
        self.content_type = Some(content_type.to_owned());
        self.body = body.to_vec();
    }

    /// The message, and the first fault that made a part be left out.
    fn finish(mut self) -> (Bytes, Option<BuildError>) {
        if let Some(content_type) = self.content_type.take() {
            self.header(HeaderName::ContentType.as_str(), &content_type);
        }
        let length = self.body.len().to_string();
        self.line(&[HeaderName::ContentLength.as_str(), ": ", &length]);
        self.line(&[]);
        self.text.extend_from_slice(&self.body);
        if self.text.len() > MESSAGE_BYTES_MAX {
            self.note(BuildError::TooLarge);
        }
        (Bytes::from(self.text), self.fault)
    }
}

/// Writes a request.
#[derive(Debug, Clone)]
pub struct RequestBuilder {
    writer: Writer,
}

impl RequestBuilder {
    /// Begins with the request line; header fields follow in the order in which they are added.
    pub fn new(method: Method, uri: &str) -> Self {
        let mut writer = Writer::new();
        if !method.is_writable() {
            writer.note(BuildError::Method);
        }
        let outside = |byte: u8| byte <= b' ' || matches!(byte, b'"' | b'<' | b'>' | 0x7f);
        if uri.is_empty() || uri.bytes().any(outside) {
            writer.note(BuildError::Uri);
        }
        writer.line(&[method.as_str(), " ", uri, " SIP/2.0"]);
        Self { writer }
    }

    /// Adds a header field. Content-Length is written by [`RequestBuilder::build`].
    #[must_use]
    pub fn header(mut self, name: impl AsRef<str>, value: &str) -> Self {
        self.writer.header(name.as_ref(), value);
        self
    }

    /// Sets the body and its Content-Type.
    #[must_use]
    pub fn body(mut self, content_type: &str, body: &[u8]) -> Self {
        self.writer.body(content_type, body);
        self
    }

    /// The message.
    ///
    /// # Errors
    /// The first fault in what was given.
    pub fn build(self) -> Result<Bytes, BuildError> {
        match self.writer.finish() {
            (bytes, None) => Ok(bytes),
            (_, Some(fault)) => Err(fault),
        }
    }
}

/// Writes the response to a request (RFC 3261 section 8.2.6).
#[derive(Debug, Clone)]
pub struct ResponseBuilder {
    status: u16,
    reason: String,
    vias: Vec<String>,
    from: Option<String>,
    to: Option<String>,
    to_tagged: bool,
    call_id: Option<String>,
    cseq: Option<String>,
    record_routes: Vec<String>,
    writer: Writer,
}

impl ResponseBuilder {
    /// Copies Via, From, To, Call-ID and CSeq from the request, as far as it has them.
    pub fn new(request: &Message, status: u16, reason: &str) -> Self {
        let copy = |name| request.header(name).map(str::to_owned);
        let mut writer = Writer::new();
        if !lex::is_line_safe(reason) {
            writer.note(BuildError::HeaderValue);
        }
        Self {
            status,
            reason: if lex::is_line_safe(reason) { reason.to_owned() } else { String::new() },
            vias: request.headers(HeaderName::Via).map(str::to_owned).collect(),
            from: copy(HeaderName::From),
            to: copy(HeaderName::To),
            to_tagged: request.to().is_ok_and(|to| to.tag().is_some()),
            call_id: copy(HeaderName::CallId),
            cseq: copy(HeaderName::CSeq),
            record_routes: Vec::new(),
            writer,
        }
    }

    /// Notes where the request came from in the topmost Via: `received` when the address differs
    /// from `sent-by` (RFC 3261 section 18.2.1), and `received` and `rport` when the sender asked
    /// for them (RFC 3581 section 4).
    #[must_use]
    pub fn source(mut self, source: SocketAddr) -> Self {
        if let Some(line) = self.vias.first_mut() {
            *line = with_source(line, source);
        }
        self
    }

    /// Adds a tag to To, unless the request had one there.
    #[must_use]
    pub fn to_tag(mut self, tag: &str) -> Self {
        if !lex::is_token(tag) {
            self.writer.note(BuildError::HeaderValue);
        } else if let Some(to) = self.to.as_mut().filter(|_| !self.to_tagged) {
            to.push_str(";tag=");
            to.push_str(tag);
            self.to_tagged = true;
        }
        self
    }

    /// Copies the Record-Route fields, as responses that open a dialog must (section 12.1.1).
    #[must_use]
    pub fn record_route(mut self, request: &Message) -> Self {
        self.record_routes = request.headers(HeaderName::RecordRoute).map(str::to_owned).collect();
        self
    }

    /// Adds a header field. Content-Length is written by the builder.
    #[must_use]
    pub fn header(mut self, name: impl AsRef<str>, value: &str) -> Self {
        self.writer.header(name.as_ref(), value);
        self
    }

    /// Sets the body and its Content-Type.
    #[must_use]
    pub fn body(mut self, content_type: &str, body: &[u8]) -> Self {
        self.writer.body(content_type, body);
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
        let mut head = Writer::new();
        head.line(&["SIP/2.0 ", &self.status.to_string(), " ", &self.reason]);
        for via in &self.vias {
            head.header(HeaderName::Via.as_str(), via);
        }
        for route in &self.record_routes {
            head.header(HeaderName::RecordRoute.as_str(), route);
        }
        let copied = [
            (HeaderName::From, &self.from),
            (HeaderName::To, &self.to),
            (HeaderName::CallId, &self.call_id),
            (HeaderName::CSeq, &self.cseq),
        ];
        for (name, value) in copied {
            if let Some(value) = value {
                head.header(name.as_str(), value);
            }
        }
        head.text.extend_from_slice(&self.writer.text);
        head.content_type = self.writer.content_type;
        head.body = self.writer.body;
        head.fault = head.fault.or(self.writer.fault);
        head.finish()
    }
}

/// A line of Via values with `received` and `rport` set in the first one.
fn with_source(line: &str, source: SocketAddr) -> String {
    let first_end = lex::find_outside(line, b",", true).unwrap_or(line.len());
    let (first, rest) = line.split_at_checked(first_end).unwrap_or((line, ""));
    let Ok(via) = Via::parse(lex::trim(first)) else { return line.to_owned() };
    let asked = via.params.has("rport");
    let differs = via.host.address() != Some(source.ip());
    if !asked && !differs {
        return line.to_owned();
    }
    let params_at = first.find(';').unwrap_or(first.len());
    let mut written = first.get(..params_at).unwrap_or_default().trim_end().to_owned();
    for (name, value) in via.params {
        if name.eq_ignore_ascii_case("received") || name.eq_ignore_ascii_case("rport") {
            continue;
        }
        written.push(';');
        written.push_str(name);
        if let Some(value) = value {
            let quote =
                if value.bytes().all(|b| b > b' ' && b != b';' && b != b',') { "" } else { "\"" };
            written.extend(["=", quote, value, quote]);
        }
    }
    written.push_str(&format!(";received={}", source.ip()));
    if asked {
        written.push_str(&format!(";rport={}", source.port()));
    }
    written.push_str(rest);
    written
}
