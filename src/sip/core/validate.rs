//! What a message must have before it may reach the transaction layer.

use super::headers::{BRANCH_COOKIE, CSeq, HeaderError, HeaderName, NameAddr, Via};
use super::lex;
use super::message::{Fault, Message, malformed};
use super::method::Method;
use super::uri::{Scheme, Uri};

/// The longest Request-URI that is accepted, in octets.
pub const URI_BYTES_MAX: usize = 2048;

/// A response that a request deserves instead of being handled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The status of the response.
    pub status: u16,
    /// Its reason phrase, which says what is wrong (RFC 3261 section 21.4.1).
    pub reason: &'static str,
    /// Header fields to add.
    pub headers: Vec<(HeaderName, String)>,
}

impl Refusal {
    /// A refusal without further header fields.
    pub const fn new(status: u16, reason: &'static str) -> Self {
        Self { status, reason, headers: Vec::new() }
    }
}

impl From<HeaderError> for Refusal {
    fn from(error: HeaderError) -> Self {
        Self::new(400, phrase(error))
    }
}

impl From<Fault> for Refusal {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Version => Self::new(505, "Version Not Supported"),
            Fault::StartLine => Self::new(400, "Malformed Request-Line"),
            Fault::HeaderLine => Self::new(400, "Malformed Header Line"),
            Fault::HeaderEnd => Self::new(400, "Missing Empty Line After Header"),
            Fault::ContentLength => Self::new(400, "Malformed Content-Length Header Field"),
            Fault::BodyShort => Self::new(400, "Body Shorter Than Content-Length"),
        }
    }
}

/// Reason phrases for the fields that every request must have.
const fn phrase(error: HeaderError) -> &'static str {
    match error {
        HeaderError::Missing(HeaderName::CallId) => "Missing Call-ID Header Field",
        HeaderError::Missing(HeaderName::CSeq) => "Missing CSeq Header Field",
        HeaderError::Missing(HeaderName::From) => "Missing From Header Field",
        HeaderError::Missing(HeaderName::To) => "Missing To Header Field",
        HeaderError::Missing(HeaderName::Via) => "Missing Via Header Field",
        HeaderError::Missing(_) => "Missing Header Field",
        HeaderError::Repeated(_) => "Repeated Header Field",
        HeaderError::Malformed { name: HeaderName::CallId, .. } => "Malformed Call-ID Header Field",
        HeaderError::Malformed { name: HeaderName::CSeq, .. } => "Malformed CSeq Header Field",
        HeaderError::Malformed { name: HeaderName::Contact, .. } => {
            "Malformed Contact Header Field"
        }
        HeaderError::Malformed { name: HeaderName::From, .. } => "Malformed From Header Field",
        HeaderError::Malformed { name: HeaderName::MaxForwards, .. } => {
            "Malformed Max-Forwards Header Field"
        }
        HeaderError::Malformed { name: HeaderName::To, .. } => "Malformed To Header Field",
        HeaderError::Malformed { name: HeaderName::Via, .. } => "Malformed Via Header Field",
        HeaderError::Malformed { .. } => "Malformed Header Field",
    }
}

/// Fields of which a message may have one at most (RFC 3261 section 7.3.1).
const SINGLE: u128 = HeaderName::CallId.bit()
    | HeaderName::CSeq.bit()
    | HeaderName::From.bit()
    | HeaderName::To.bit()
    | HeaderName::MaxForwards.bit()
    | HeaderName::ContentLength.bit()
    | HeaderName::ContentType.bit();

/// Checks a request before it may enter the transaction layer (RFC 3261 sections 8.1.1 and 8.2,
/// RFC 4475): version, start line, the fields that every request has and that every response
/// copies, Request-URI, Contact, body length.
///
/// Max-Forwards and the tag of From may be absent, as before RFC 3261. Methods, extensions and
/// bodies are not judged here: that is the business of what handles the request.
///
/// # Errors
/// The response that the request deserves. Without a readable Via nothing can be sent.
pub fn validate_request(request: &Message) -> Result<(), Refusal> {
    if let Some(fault) = request.fault() {
        return Err(fault.into());
    }
    let (Some(method), Some(uri)) = (request.method(), request.uri()) else {
        return Err(Refusal::new(400, "Not a Request"));
    };
    let via = common(request, method.as_str())?;
    // The cookie promises a transaction identifier; without one requests could not be told apart.
    if via.branch().is_some_and(|branch| branch.eq_ignore_ascii_case(BRANCH_COOKIE)) {
        return Err(Refusal::new(400, "Missing Transaction Identifier in Via Branch"));
    }
    request_uri(uri)?;
    request.max_forwards()?;
    contacts(request, method)?;
    Ok(())
}

/// Checks a response before it may enter the transaction layer. One that fails is dropped.
///
/// # Errors
/// What is wrong with it.
pub fn validate_response(response: &Message) -> Result<(), Refusal> {
    if let Some(fault) = response.fault() {
        return Err(fault.into());
    }
    let Some(_) = response.status() else { return Err(Refusal::new(400, "Not a Response")) };
    let cseq = response.cseq()?;
    common(response, cseq.method.as_str())?;
    Ok(())
}

/// Checks that a request which is to be passed on has hops left (RFC 3261 section 16.3).
///
/// # Errors
/// 483 when Max-Forwards is zero, 400 when it is malformed.
pub fn check_hops(request: &Message) -> Result<(), Refusal> {
    match request.max_forwards()? {
        Some(0) => Err(Refusal::new(483, "Too Many Hops")),
        _ => Ok(()),
    }
}

/// What requests and responses share; gives the topmost Via.
fn common<'a>(message: &'a Message, method: &str) -> Result<Via<'a>, Refusal> {
    if let Some(name) = message.repeated(SINGLE) {
        return Err(HeaderError::Repeated(name).into());
    }
    let via = vias(message)?;
    message.from()?;
    message.to()?;
    message.call_id()?;
    let cseq = message.required(HeaderName::CSeq)?;
    let (_, cseq_method) = CSeq::split(cseq).map_err(malformed(HeaderName::CSeq))?;
    if cseq_method != method {
        return Err(Refusal::new(400, "CSeq Method Does Not Match"));
    }
    Ok(via)
}

/// Every Via must be readable: responses and loop detection need all of them. Gives the topmost.
fn vias(message: &Message) -> Result<Via<'_>, HeaderError> {
    let mut top = None;
    for line in message.headers(HeaderName::Via) {
        let mut list = lex::split_list(line);
        while let Some(element) = list.next_raw() {
            let via = Via::parse(element).map_err(malformed(HeaderName::Via))?;
            top.get_or_insert(via);
        }
    }
    top.ok_or(HeaderError::Missing(HeaderName::Via))
}

fn request_uri(text: &str) -> Result<(), Refusal> {
    if text.len() > URI_BYTES_MAX {
        return Err(Refusal::new(414, "Request-URI Too Long"));
    }
    let uri = Uri::parse(text).map_err(|_| Refusal::new(400, "Malformed Request-URI"))?;
    if matches!(uri.scheme, Scheme::Other(_)) {
        return Err(Refusal::new(416, "Unsupported URI Scheme"));
    }
    // RFC 3261 table 1: headers have no place in a Request-URI.
    if uri.headers.is_some() {
        return Err(Refusal::new(400, "Header Fields in Request-URI"));
    }
    Ok(())
}

/// Every Contact must be readable, because requests go there; REGISTER may have `*`. Whether one
/// must be there is the business of the dialog layer: RFC 2543 allowed INVITE without.
fn contacts(request: &Message, method: &Method) -> Result<(), HeaderError> {
    for line in request.headers(HeaderName::Contact) {
        let mut list = lex::split_list(line);
        while let Some(element) = list.next_raw() {
            if element == "*" && *method == Method::Register {
                continue;
            }
            NameAddr::parse(element).map_err(malformed(HeaderName::Contact))?;
        }
    }
    Ok(())
}
