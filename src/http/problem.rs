//! Errors over HTTP as RFC 9457 problem documents.

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;

/// A problem document. `type` is stable; `detail` is for people.
#[derive(Clone, Debug, Serialize)]
pub struct Problem {
    #[serde(rename = "type")]
    kind: &'static str,
    title: &'static str,
    status: u16,
    detail: String,
    #[serde(skip)]
    retry_after_s: Option<u32>,
}

impl Problem {
    fn new(status: StatusCode, kind: &'static str, title: &'static str, detail: String) -> Self {
        Self { kind, title, status: status.as_u16(), detail, retry_after_s: None }
    }

    /// 400: the request is wrong; `detail` says what and where.
    pub fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            "/problems/bad-request",
            "The request is wrong",
            detail.into(),
        )
    }

    /// 401: no valid API key.
    pub fn unauthorized() -> Self {
        Self::new(
            StatusCode::UNAUTHORIZED,
            "/problems/unauthorized",
            "An API key is needed",
            "send `Authorization: Bearer tp_...` or `X-API-Key: tp_...`".into(),
        )
    }

    /// 403: the key's scope does not reach so far.
    pub fn forbidden() -> Self {
        Self::new(
            StatusCode::FORBIDDEN,
            "/problems/forbidden",
            "The API key may not do this",
            "use a key of a wider scope".into(),
        )
    }

    /// 403: calls do not go there.
    pub fn destination(detail: impl Into<String>) -> Self {
        Self::new(
            StatusCode::FORBIDDEN,
            "/problems/destination",
            "That destination is not called",
            detail.into(),
        )
    }

    /// 404: there is no such thing.
    pub fn not_found(detail: impl Into<String>) -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "/problems/not-found",
            "There is no such thing",
            detail.into(),
        )
    }

    /// 409: not in this state.
    pub fn conflict(detail: impl Into<String>) -> Self {
        Self::new(
            StatusCode::CONFLICT,
            "/problems/conflict",
            "That cannot be done in this state",
            detail.into(),
        )
    }

    /// 503: full or going down; the client may come again after `retry_after_s` seconds.
    pub fn unavailable(detail: impl Into<String>, retry_after_s: u32) -> Self {
        let mut problem = Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "/problems/unavailable",
            "The server takes no more work now",
            detail.into(),
        );
        problem.retry_after_s = Some(retry_after_s);
        problem
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, axum::Json(&self)).into_response();
        let kind = HeaderValue::from_static("application/problem+json");
        response.headers_mut().insert(header::CONTENT_TYPE, kind);
        if let Some(seconds) = self.retry_after_s {
            response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
        }
        response
    }
}
