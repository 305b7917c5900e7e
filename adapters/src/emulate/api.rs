//! Requests to a carrier's API and their answers, as far as carriers have them in common.

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use serde_json::Value;

use crate::exchange::{HttpRequest, HttpResponse};

/// The path of a request, without the slash that it begins with, and its query: of an absolute
/// address as of one that begins with the path.
pub(crate) fn place(request: &HttpRequest) -> (&str, &str) {
    let path = match request.url.split_once("://") {
        Some((_, rest)) => rest.split_once('/').map_or("", |(_, path)| path),
        None => request.url.trim_start_matches('/'),
    };
    path.split_once('?').unwrap_or((path, ""))
}

/// An answer of JSON; none of `null`.
pub(crate) fn respond(status: u16, body: &Value) -> HttpResponse {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let body = if body.is_null() { Bytes::new() } else { Bytes::from(body.to_string()) };
    HttpResponse { status, headers: HeaderMap::new(), body }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Paths are the same however a request names its place, and answers have a body if they say
    /// something.
    #[test]
    fn places_and_answers() {
        for url in ["https://c.example/v1/calls?a=b", "/v1/calls?a=b"] {
            assert_eq!(place(&HttpRequest::get(url.to_owned())), ("v1/calls", "a=b"));
        }
        assert_eq!(place(&HttpRequest::get("https://c.example".to_owned())), ("", ""));
        assert_eq!(respond(204, &Value::Null).body, "");
        let answer = respond(999, &Value::from(7));
        assert_eq!((answer.status.as_u16(), answer.body.as_ref()), (999, b"7".as_slice()));
        assert_eq!(respond(1, &Value::Null).status, StatusCode::INTERNAL_SERVER_ERROR);
    }
}
