//! One HTTP request to a carrier and how to read the answer; nothing here sends anything.

use std::fmt;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use serde_json::Value;
use thiserror::Error;

use crate::address::{E164_DIGITS_MAX, E164_DIGITS_MIN};
use crate::op::{Op, Step};
use crate::secret::Pii;

/// A finished request to a carrier.
///
/// `Debug` shows the method, the address without query and with telephone numbers masked, the names
/// of the headers and the length of the body: the rest holds credentials and numbers.
#[derive(Clone, PartialEq)]
pub struct HttpRequest {
    /// Method.
    pub method: Method,
    /// Absolute address.
    pub url: String,
    /// Headers; those with credentials are marked sensitive.
    pub headers: HeaderMap,
    /// Body.
    pub body: Bytes,
    /// True if sending it again does no harm, so that it may be retried when no answer came.
    pub repeatable: bool,
    /// Milliseconds to wait before it is sent, where a carrier wants to be asked later.
    pub delay_ms: u32,
}

impl HttpRequest {
    /// A request without body that may be repeated.
    pub fn get(url: String) -> Self {
        let headers = HeaderMap::new();
        let body = Bytes::new();
        Self { method: Method::GET, url, headers, body, repeatable: true, delay_ms: 0 }
    }

    /// A request with a body that may not be repeated unless [`repeatable`](Self::repeatable) says
    /// so.
    pub fn post(url: String, content_type: &'static str, body: impl Into<Bytes>) -> Self {
        let mut headers = HeaderMap::new();
        headers.insert(http::header::CONTENT_TYPE, HeaderValue::from_static(content_type));
        let (method, body) = (Method::POST, body.into());
        Self { method, url, headers, body, repeatable: false, delay_ms: 0 }
    }

    /// With another method.
    pub fn method(mut self, method: Method) -> Self {
        self.method = method;
        self
    }

    /// Harmless when it is sent twice.
    pub const fn repeatable(mut self) -> Self {
        self.repeatable = true;
        self
    }

    /// Not sent before that many milliseconds have passed.
    pub const fn after_ms(mut self, delay_ms: u32) -> Self {
        self.delay_ms = delay_ms;
        self
    }

    /// With a header that holds credentials.
    ///
    /// # Errors
    ///
    /// [`CarrierError::Config`] if the value cannot stand in a header.
    pub fn credentials(mut self, name: HeaderName, value: &str) -> Result<Self, CarrierError> {
        let mut value = HeaderValue::from_str(value)
            .map_err(|_| CarrierError::Config("a credential holds a control character"))?;
        value.set_sensitive(true);
        self.headers.insert(name, value);
        Ok(self)
    }
}

impl fmt::Debug for HttpRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpRequest")
            .field("method", &self.method)
            .field("url", &discreet(self.url.split('?').next().unwrap_or_default()))
            .field("headers", &self.headers.keys().collect::<Vec<_>>())
            .field("body_bytes", &self.body.len())
            .field("repeatable", &self.repeatable)
            .finish()
    }
}

/// An address whose segments that may be telephone numbers keep their ends only.
fn discreet(url: &str) -> String {
    let segments = url.split('/').map(|segment| {
        let digits = segment.trim_start_matches("%2B");
        let fits = (E164_DIGITS_MIN..=E164_DIGITS_MAX).contains(&digits.len());
        if fits && digits.bytes().all(|byte| byte.is_ascii_digit()) {
            format!("{:?}", Pii::new(digits))
        } else {
            segment.to_owned()
        }
    });
    segments.collect::<Vec<_>>().join("/")
}

/// A carrier's answer. `Debug` shows the status and the length of the body.
#[derive(Clone, PartialEq)]
pub struct HttpResponse {
    /// Status.
    pub status: StatusCode,
    /// Headers.
    pub headers: HeaderMap,
    /// Body, cut off at the limit of whoever received it.
    pub body: Bytes,
}

impl HttpResponse {
    /// The wait that a `Retry-After` in seconds asks for (RFC 9110 10.2.3).
    pub fn retry_after_s(&self) -> Option<u32> {
        self.headers.get(http::header::RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()
    }
}

impl HttpResponse {
    /// The JSON object that the body is.
    ///
    /// # Errors
    ///
    /// [`CarrierError::Answer`] if it is none.
    pub fn object(&self) -> Result<Value, CarrierError> {
        match serde_json::from_slice(&self.body) {
            Ok(body @ Value::Object(_)) => Ok(body),
            Ok(_) => Err(CarrierError::Answer("not a JSON object")),
            Err(_) => Err(CarrierError::Answer("not JSON")),
        }
    }
}

impl fmt::Debug for HttpResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpResponse")
            .field("status", &self.status)
            .field("body_bytes", &self.body.len())
            .finish_non_exhaustive()
    }
}

/// A carrier's words for what is wrong, cut short, and without numbers of anybody: all but the
/// first digits of long rows are hidden.
pub fn without_numbers(text: &str) -> String {
    const CHARS_MAX: usize = 120;
    const DIGITS_SHOWN: usize = 4;
    let mut words = String::new();
    let mut digits = 0;
    for character in text.chars().filter(|c| !c.is_control()).take(CHARS_MAX) {
        digits = if character.is_ascii_digit() { digits + 1 } else { 0 };
        words.push(if digits > DIGITS_SHOWN { '*' } else { character });
    }
    words
}

/// Why an operation at a carrier failed. None of these tells a secret or a number.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum CarrierError {
    /// The configuration cannot be used for it.
    #[error("the configuration does not allow it: {0}")]
    Config(&'static str),
    /// The carrier does not know the credentials.
    #[error("the carrier refused the credentials")]
    Credentials,
    /// The account may not do it: blocked, unpaid, a trial, no such permission.
    #[error("the account may not do it{}", own_code(.0))]
    NotPermitted(Option<String>),
    /// The called number cannot be called.
    #[error("the carrier refused the destination{}", own_code(.0))]
    Destination(Option<String>),
    /// The calling number may not be used.
    #[error("the carrier refused the caller id{}", own_code(.0))]
    CallerId(Option<String>),
    /// There is no such call, or it is over: what a hang-up wants.
    #[error("the call is over")]
    CallOver,
    /// There is no such number, application or trunk.
    #[error("the carrier does not have it")]
    NotFound,
    /// Too many requests.
    #[error("the carrier asks for fewer requests")]
    TooMany {
        /// Seconds to wait, if the carrier tells.
        retry_after_s: Option<u32>,
    },
    /// The carrier refused the request for another reason.
    #[error("the carrier refused the request with status {status}{}", own_code(.code))]
    Refused {
        /// HTTP status.
        status: u16,
        /// The carrier's own code.
        code: Option<String>,
    },
    /// The carrier is out of order, or cannot be reached in time.
    #[error("the carrier is not available")]
    Unavailable,
    /// The answer is not what it should be.
    #[error("the carrier's answer cannot be read: {0}")]
    Answer(&'static str),
}

fn own_code(code: &Option<String>) -> String {
    code.as_ref().map_or_else(String::new, |code| format!(" (its code: {code})"))
}

impl CarrierError {
    /// The stable word for it: a label of metrics.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Config(_) => "config",
            Self::Credentials => "credentials",
            Self::NotPermitted(_) => "not_permitted",
            Self::Destination(_) => "destination",
            Self::CallerId(_) => "caller_id",
            Self::CallOver => "call_over",
            Self::NotFound => "not_found",
            Self::TooMany { .. } => "too_many",
            Self::Refused { .. } => "refused",
            Self::Unavailable => "unavailable",
            Self::Answer(_) => "answer",
        }
    }

    /// True if the same may succeed a little later.
    pub const fn is_retryable(&self) -> bool {
        matches!(self, Self::TooMany { .. } | Self::Unavailable)
    }

    /// What a status means at any carrier; `None` for success. Each carrier looks at its own codes
    /// first.
    pub fn from_status(answer: &HttpResponse, code: Option<String>) -> Option<Self> {
        match answer.status.as_u16() {
            200..=299 => None,
            401 => Some(Self::Credentials),
            402 | 403 => Some(Self::NotPermitted(code)),
            404 | 410 => Some(Self::NotFound),
            429 => Some(Self::TooMany { retry_after_s: answer.retry_after_s() }),
            408 | 500.. => Some(Self::Unavailable),
            status => Some(Self::Refused { status, code }),
        }
    }
}

/// One request and how to read its answer: the simplest [`Op`].
#[derive(Debug)]
pub struct HttpExchange<T> {
    request: Option<HttpRequest>,
    read: fn(&HttpResponse) -> Result<T, CarrierError>,
}

impl<T> HttpExchange<T> {
    /// Sends `request` and reads the answer by `read`.
    pub const fn new(
        request: HttpRequest,
        read: fn(&HttpResponse) -> Result<T, CarrierError>,
    ) -> Self {
        Self { request: Some(request), read }
    }
}

impl<T> Op<T> for HttpExchange<T> {
    fn next(&mut self, answer: Option<HttpResponse>) -> Step<T> {
        match (self.request.take(), answer) {
            (Some(request), _) => Step::Send(request),
            (None, Some(answer)) => match (self.read)(&answer) {
                Ok(done) => Step::Done(done),
                Err(error) => Step::Fail(error),
            },
            (None, None) => Step::Fail(CarrierError::Unavailable),
        }
    }
}

/// `text` as one segment of a path, or a value of a query or form: everything but the unreserved
/// characters of RFC 3986 2.3 is escaped.
pub fn escape(text: &str) -> String {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            escaped.push('%');
            for digit in [byte >> 4, byte & 15] {
                escaped.extend(HEX.get(usize::from(digit)).map(|digit| char::from(*digit)));
            }
        }
    }
    escaped
}

/// The body of a form (`application/x-www-form-urlencoded`). The same name may occur again.
pub fn form(fields: &[(&str, &str)]) -> String {
    let pairs: Vec<_> =
        fields.iter().map(|(name, value)| format!("{}={}", escape(name), escape(value))).collect();
    pairs.join("&")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16) -> HttpResponse {
        let status = StatusCode::from_u16(status).unwrap();
        let mut headers = HeaderMap::new();
        headers.insert(http::header::RETRY_AFTER, HeaderValue::from_static("7"));
        HttpResponse { status, headers, body: Bytes::from_static(b"secret") }
    }

    /// Statuses mean the same at every carrier, success is no error.
    #[test]
    fn statuses() {
        let word =
            |status| CarrierError::from_status(&answer(status), None).map(|error| error.as_str());
        assert_eq!((word(200), word(204)), (None, None));
        assert_eq!(word(401), Some("credentials"));
        assert_eq!(word(403), Some("not_permitted"));
        assert_eq!(word(404), Some("not_found"));
        assert_eq!(word(422), Some("refused"));
        assert_eq!(word(503), Some("unavailable"));
        let busy = CarrierError::from_status(&answer(429), None).unwrap();
        assert_eq!(busy, CarrierError::TooMany { retry_after_s: Some(7) });
        assert!(busy.is_retryable() && !CarrierError::Credentials.is_retryable());
        let refused = CarrierError::from_status(&answer(400), Some("21211".into())).unwrap();
        assert!(refused.to_string().ends_with("status 400 (its code: 21211)"), "{refused}");
    }

    /// An exchange sends once, reads once, and fails without an answer.
    #[test]
    fn an_exchange_is_one_step() {
        let exchange = || {
            HttpExchange::new(HttpRequest::get("https://c.example/".into()), |answer| {
                CarrierError::from_status(answer, None).map_or(Ok(answer.body.len()), Err)
            })
        };
        let mut op = exchange();
        assert!(matches!(op.next(None), Step::Send(request) if request.repeatable));
        assert!(matches!(op.next(Some(answer(200))), Step::Done(6)));
        let mut op = exchange();
        op.next(None);
        assert!(matches!(op.next(Some(answer(401))), Step::Fail(CarrierError::Credentials)));
        let mut op = exchange();
        op.next(None);
        assert!(matches!(op.next(None), Step::Fail(CarrierError::Unavailable)));
    }

    /// Bodies are objects or errors, and words are told without the numbers in them.
    #[test]
    fn bodies_and_words() {
        let object = |body: &'static str| {
            HttpResponse { body: Bytes::from_static(body.as_bytes()), ..answer(200) }.object()
        };
        assert_eq!(object("{}").ok(), Some(serde_json::json!({})));
        for none in ["", "[]", "null", "{", "secret"] {
            let error = object(none).unwrap_err();
            assert!(matches!(error, CarrierError::Answer(_)), "{none}");
        }
        assert_eq!(without_numbers("+49301234\n56 is no 1234"), "+4930****** is no 1234");
        assert_eq!(without_numbers(&"x".repeat(1000)).len(), 120);
    }

    /// `Debug` of request and answer shows neither credentials nor query nor body.
    #[test]
    fn debug_is_discreet() {
        let url = "https://c.example/calls/4930123456/%2B4930123456?to=%2B4930123456".to_owned();
        let request = HttpRequest::post(url, "text/plain", "to=4930123456")
            .credentials(http::header::AUTHORIZATION, "Basic c2VjcmV0")
            .unwrap();
        let shown = format!("{request:?} {:?}", answer(200));
        for hidden in ["4930123456", "c2VjcmV0", "secret"] {
            assert!(!shown.contains(hidden), "{shown}");
        }
        assert!(
            shown.contains("https://c.example/calls/493*****56/")
                && shown.contains("authorization")
        );
        let broken = HttpRequest::get(String::new());
        assert!(broken.credentials(http::header::AUTHORIZATION, "a\r\nb").is_err());
    }

    /// Nothing that means something in a path, query or form is left in an escaped text.
    #[test]
    fn escapes() {
        assert_eq!(escape("a b/c?d=é&+~"), "a%20b%2Fc%3Fd%3D%C3%A9%26%2B~");
        assert_eq!(
            form(&[("To", "+49"), ("Event", "a"), ("Event", "b")]),
            "To=%2B49&Event=a&Event=b"
        );
    }
}
