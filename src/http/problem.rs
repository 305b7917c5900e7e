//! Errors over HTTP as RFC 9457 problem documents. `docs/problems.md` lists them for clients.

use std::sync::LazyLock;

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;

use super::range;
use crate::store::StoreError;
use crate::telemetry::few::Few;
use crate::workers::poller::now;

/// Media type of a problem document (RFC 9457 3).
pub const CONTENT_TYPE: &str = "application/problem+json";

/// Seconds after which the database may answer again.
const STORE_RETRY_AFTER_S: u32 = 2;

/// Lines about a database that does not answer: who asks for something without a key causes them
/// too.
static UNANSWERED: LazyLock<Few> = LazyLock::new(Few::default);

/// What can go wrong. Each has a stable `type` that clients can decide by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The request is not what the endpoint takes.
    BadRequest,
    /// No valid API key.
    Unauthorized,
    /// The key's scope does not reach so far.
    Forbidden,
    /// Calls do not go there.
    Destination,
    /// The organisation has no new calls.
    Suspended,
    /// The organisation has spent what it may.
    Budget,
    /// The numbers have had their calls of the day.
    CallerIds,
    /// A request by cookie may come from elsewhere than our own pages.
    Csrf,
    /// There is no such thing, or none of the caller's.
    NotFound,
    /// The path does not know the method.
    MethodNotAllowed,
    /// The body took too long to arrive.
    TooSlow,
    /// Not in this state.
    Conflict,
    /// It comes from the configuration file.
    ReadOnly,
    /// A request with the same idempotency key is being carried out.
    InFlight,
    /// The body is too long.
    TooLarge,
    /// The range that is asked for begins behind the end.
    NoSuchRange,
    /// Values of the request are wrong; `errors` says which.
    Invalid,
    /// The idempotency key was used for another request.
    KeyReused,
    /// The path takes a WebSocket.
    NotUpgrade,
    /// More requests than allowed.
    RateLimited,
    /// Something failed in the server.
    Internal,
    /// The carrier cannot do that over HTTP.
    NotSupported,
    /// A carrier did not do what was asked.
    Carrier,
    /// The server takes no more work now.
    Unavailable,
}

impl Kind {
    /// All of them, by status.
    pub const ALL: &[Self] = &[
        Self::BadRequest,
        Self::Unauthorized,
        Self::Forbidden,
        Self::Destination,
        Self::Suspended,
        Self::Budget,
        Self::CallerIds,
        Self::Csrf,
        Self::NotFound,
        Self::MethodNotAllowed,
        Self::TooSlow,
        Self::Conflict,
        Self::ReadOnly,
        Self::InFlight,
        Self::TooLarge,
        Self::NoSuchRange,
        Self::Invalid,
        Self::KeyReused,
        Self::NotUpgrade,
        Self::RateLimited,
        Self::Internal,
        Self::NotSupported,
        Self::Carrier,
        Self::Unavailable,
    ];

    /// The `type` of its documents.
    pub const fn uri(self) -> &'static str {
        self.row().1
    }

    /// The status of the answer.
    pub const fn status(self) -> StatusCode {
        self.row().0
    }

    /// The `title` of its documents.
    pub const fn title(self) -> &'static str {
        self.row().2
    }

    const fn row(self) -> (StatusCode, &'static str, &'static str) {
        use StatusCode as S;
        match self {
            Self::BadRequest => (S::BAD_REQUEST, "/problems/bad-request", "The request is wrong"),
            Self::Unauthorized => {
                (S::UNAUTHORIZED, "/problems/unauthorized", "An API key is needed")
            }
            Self::Forbidden => (S::FORBIDDEN, "/problems/forbidden", "The API key may not do this"),
            Self::Destination => {
                (S::FORBIDDEN, "/problems/destination", "That destination is not called")
            }
            Self::Suspended => {
                (S::FORBIDDEN, "/problems/suspended", "The organisation is suspended")
            }
            Self::Budget => {
                (S::FORBIDDEN, "/problems/budget", "The organisation has spent what it may")
            }
            Self::CallerIds => (
                S::FORBIDDEN,
                "/problems/caller-ids",
                "The numbers have had their calls of the day",
            ),
            Self::Csrf => (S::FORBIDDEN, "/problems/csrf", "The token of the session is missing"),
            Self::NotFound => (S::NOT_FOUND, "/problems/not-found", "There is no such thing"),
            Self::MethodNotAllowed => (
                S::METHOD_NOT_ALLOWED,
                "/problems/method-not-allowed",
                "The path does not know this method",
            ),
            Self::TooSlow => {
                (S::REQUEST_TIMEOUT, "/problems/too-slow", "The request took too long to arrive")
            }
            Self::Conflict => {
                (S::CONFLICT, "/problems/conflict", "That cannot be done in this state")
            }
            Self::ReadOnly => {
                (S::CONFLICT, "/problems/read-only", "It comes from the configuration file")
            }
            Self::InFlight => {
                (S::CONFLICT, "/problems/in-flight", "The same request is being carried out")
            }
            Self::TooLarge => {
                (S::PAYLOAD_TOO_LARGE, "/problems/too-large", "The request is too long")
            }
            Self::NoSuchRange => (
                S::RANGE_NOT_SATISFIABLE,
                "/problems/no-such-range",
                "The range begins behind the end",
            ),
            Self::Invalid => {
                (S::UNPROCESSABLE_ENTITY, "/problems/invalid", "Values of the request are wrong")
            }
            Self::KeyReused => (
                S::UNPROCESSABLE_ENTITY,
                "/problems/key-reused",
                "The idempotency key was used for another request",
            ),
            Self::NotUpgrade => {
                (S::UPGRADE_REQUIRED, "/problems/not-upgrade", "The path takes a WebSocket")
            }
            Self::RateLimited => {
                (S::TOO_MANY_REQUESTS, "/problems/rate-limited", "More requests than allowed")
            }
            Self::Internal | Self::NotSupported | Self::Carrier | Self::Unavailable => {
                self.row_of_ours()
            }
        }
    }

    /// The rows of what is no fault of who asks.
    const fn row_of_ours(self) -> (StatusCode, &'static str, &'static str) {
        use StatusCode as S;
        match self {
            Self::NotSupported => (
                S::NOT_IMPLEMENTED,
                "/problems/not-supported",
                "The carrier cannot do that over HTTP",
            ),
            Self::Carrier => {
                (S::BAD_GATEWAY, "/problems/carrier", "The carrier did not do what was asked")
            }
            Self::Unavailable => (
                S::SERVICE_UNAVAILABLE,
                "/problems/unavailable",
                "The server takes no more work now",
            ),
            _ => (S::INTERNAL_SERVER_ERROR, "/problems/internal", "Something failed in the server"),
        }
    }
}

/// A value that is wrong, and why. Never tells the value.
#[derive(Clone, Debug, Serialize)]
pub struct FieldError {
    /// Path of the field, such as `config.auth.password`.
    pub field: String,
    /// What is wrong.
    pub problem: String,
}

/// A problem document. `type` is stable; `detail` is for people.
#[derive(Clone, Debug, Serialize)]
pub struct Problem {
    #[serde(rename = "type")]
    kind: &'static str,
    title: &'static str,
    status: u16,
    detail: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<FieldError>,
    #[serde(skip)]
    retry_after_s: Option<u32>,
    /// Bytes of a file of which other bytes were asked for than it has.
    #[serde(skip)]
    file_bytes: Option<u64>,
}

impl Problem {
    /// A problem of this kind; `detail` says what and where.
    pub fn new(kind: Kind, detail: impl Into<String>) -> Self {
        Self {
            kind: kind.uri(),
            title: kind.title(),
            status: kind.status().as_u16(),
            detail: detail.into(),
            errors: Vec::new(),
            retry_after_s: None,
            file_bytes: None,
        }
    }

    /// 400: the request is wrong; `detail` says what and where.
    pub fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(Kind::BadRequest, detail)
    }

    /// 400: a field of the body, or a parameter, is not what is taken there.
    pub fn bad_field(field: impl Into<String>, problem: impl Into<String>) -> Self {
        let errors = vec![FieldError { field: field.into(), problem: problem.into() }];
        let detail = told(&errors);
        Self { errors, ..Self::new(Kind::BadRequest, detail) }
    }

    /// 400: a field or parameter has to be one of these words.
    pub fn none_of<'w>(field: &str, words: impl Iterator<Item = &'w str>) -> Self {
        Self::bad_field(field, format!("none of {}", words.collect::<Vec<_>>().join(", ")))
    }

    /// 401: no API key.
    pub fn unauthorized() -> Self {
        let detail = "send `Authorization: Bearer tp_...` or `X-API-Key: tp_...`";
        Self::new(Kind::Unauthorized, detail)
    }

    /// 401: an API key or a session that does not hold.
    pub fn does_not_hold() -> Self {
        let detail = "what was shown does not hold: it was revoked, has expired, or is mistyped";
        Self::new(Kind::Unauthorized, detail)
    }

    /// 403: the key's scope does not reach so far.
    pub fn forbidden() -> Self {
        Self::new(Kind::Forbidden, "use a key of a wider scope")
    }

    /// 403: calls do not go there.
    pub fn destination(detail: impl Into<String>) -> Self {
        Self::new(Kind::Destination, detail)
    }

    /// 404: there is no such thing.
    pub fn not_found(detail: impl Into<String>) -> Self {
        Self::new(Kind::NotFound, detail)
    }

    /// 409: not in this state.
    pub fn conflict(detail: impl Into<String>) -> Self {
        Self::new(Kind::Conflict, detail)
    }

    /// 409: it comes from the configuration file, which alone can change it.
    pub fn read_only() -> Self {
        Self::new(Kind::ReadOnly, "change it in the configuration file of the server")
    }

    /// 416: the range that is asked for begins behind the end of a file of so many bytes.
    pub fn no_such_range(file_bytes: u64) -> Self {
        let detail = format!("it has {file_bytes} bytes");
        Self { file_bytes: Some(file_bytes), ..Self::new(Kind::NoSuchRange, detail) }
    }

    /// 422: a value is wrong.
    pub fn invalid(field: impl Into<String>, problem: impl Into<String>) -> Self {
        Self::invalid_all(vec![FieldError { field: field.into(), problem: problem.into() }])
    }

    /// 422: some values are wrong.
    pub fn invalid_all(errors: Vec<FieldError>) -> Self {
        let detail = told(&errors);
        Self { errors, ..Self::new(Kind::Invalid, detail) }
    }

    /// 429: more requests than allowed; the client may come again after `retry_after_s` seconds.
    pub fn rate_limited(retry_after_s: u32) -> Self {
        let detail = format!("come again in {retry_after_s} s");
        Self { retry_after_s: Some(retry_after_s), ..Self::new(Kind::RateLimited, detail) }
    }

    /// 500: a fault of ours, which the log tells.
    pub fn internal() -> Self {
        Self::new(Kind::Internal, "the fault is in the server; its log says more")
    }

    /// 503: full or going down; the client may come again after `retry_after_s` seconds.
    pub fn unavailable(detail: impl Into<String>, retry_after_s: u32) -> Self {
        Self { retry_after_s: Some(retry_after_s), ..Self::new(Kind::Unavailable, detail) }
    }

    /// 409: the same request is being carried out.
    pub fn in_flight(retry_after_s: u32) -> Self {
        let detail = "its answer is not there yet";
        Self { retry_after_s: Some(retry_after_s), ..Self::new(Kind::InFlight, detail) }
    }

    /// The same, with the request's own names of the fields that `names` has other names for.
    pub fn renamed(mut self, names: &[(&str, &str)]) -> Self {
        for error in &mut self.errors {
            if let Some((_, own)) = names.iter().find(|(other, _)| *other == error.field) {
                error.field = (*own).to_owned();
            }
        }
        if !self.errors.is_empty() {
            self.detail = told(&self.errors);
        }
        self
    }

    /// What kind of problem it is.
    pub fn is(&self, kind: Kind) -> bool {
        self.kind == kind.uri()
    }

    /// What went wrong, for people.
    pub fn detail(&self) -> &str {
        &self.detail
    }
}

/// All that is wrong in one line.
fn told(errors: &[FieldError]) -> String {
    let texts = errors.iter().map(|error| format!("{}: {}", error.field, error.problem));
    texts.collect::<Vec<_>>().join("; ")
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::NotFound => Self::not_found("nothing has this id"),
            StoreError::Conflict { what: "routing key" } => {
                // Whose it is, is nobody else's business.
                Self::conflict("the address is taken")
            }
            StoreError::Conflict { .. } | StoreError::InUse { .. } | StoreError::Full { .. } => {
                Self::conflict(error.to_string())
            }
            StoreError::NoSuch { what } => Self::invalid(what, "there is none with this id"),
            StoreError::ReadOnly => Self::read_only(),
            StoreError::Unavailable { .. } => {
                if let Some(unlogged) = UNANSWERED.line(now()) {
                    tracing::warn!(%error, unlogged, "the database does not answer");
                }
                Self::unavailable("the database does not answer", STORE_RETRY_AFTER_S)
            }
            error => {
                tracing::error!(%error, "the store failed");
                Self::internal()
            }
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, axum::Json(&self)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(CONTENT_TYPE));
        if let Some(seconds) = self.retry_after_s {
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        let range = self.file_bytes.map(|bytes| HeaderValue::try_from(range::none_within(bytes)));
        if let Some(Ok(range)) = range {
            // RFC 9110 15.5.17: how long it is lets the client do better.
            headers.insert(header::CONTENT_RANGE, range);
        }
        if status == StatusCode::UNAUTHORIZED {
            // RFC 9110 11.6.1: a 401 says how to do better.
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// The document for clients lists every problem with its status and title, and no other.
    #[test]
    fn every_problem_is_documented() {
        let text = include_str!("../../docs/problems.md");
        let rows: BTreeSet<String> = text
            .lines()
            .filter(|line| line.starts_with("| `/problems/"))
            .map(|line| line.split(" | ").take(3).collect::<Vec<_>>().join(" | "))
            .collect();
        let row = |kind: &Kind| {
            format!("| `{}` | {} | {}", kind.uri(), kind.status().as_u16(), kind.title())
        };
        assert_eq!(rows, Kind::ALL.iter().map(row).collect());
        assert_eq!(rows.len(), Kind::ALL.len(), "a type stands for one kind");
    }

    /// A problem document has the members and the media type of RFC 9457.
    #[test]
    fn documents_are_as_the_rfc_says() {
        let response = Problem::rate_limited(7).into_response();
        assert_eq!(response.status(), 429);
        assert_eq!(response.headers()["retry-after"], "7");
        assert_eq!(response.headers()["content-type"], CONTENT_TYPE);
        let response = Problem::no_such_range(1_234).into_response();
        assert_eq!(response.status(), 416);
        assert_eq!(response.headers()["content-range"], "bytes */1234");
        let text = serde_json::to_value(Problem::invalid("config.host", "missing")).unwrap();
        assert_eq!(
            text,
            serde_json::json!({
                "type": "/problems/invalid", "title": "Values of the request are wrong",
                "status": 422, "detail": "config.host: missing",
                "errors": [{"field": "config.host", "problem": "missing"}],
            })
        );
    }
}
