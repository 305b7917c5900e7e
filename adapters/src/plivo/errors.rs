//! What the carrier's errors mean: `{"api_id":…,"error":"text"}`, or something else.

use serde_json::Value;

use crate::exchange::{CarrierError, HttpResponse, without_numbers};

/// `Ok` for success.
pub(super) fn success(answer: &HttpResponse) -> Result<(), CarrierError> {
    if answer.status.is_success() {
        return Ok(());
    }
    let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    let words = body["error"].as_str().map(without_numbers);
    let says = |part: &str| words.as_ref().is_some_and(|words| words.contains(part));
    if answer.status.as_u16() == 403 && says("barred") {
        return Err(CarrierError::Destination(words));
    }
    CarrierError::from_status(answer, words).map_or(Ok(()), Err)
}

/// The object of a successful answer.
pub(super) fn object(answer: &HttpResponse) -> Result<Value, CarrierError> {
    success(answer)?;
    answer.object()
}

/// The same of a request about a live call: what is not there is over.
pub(super) fn live(answer: &HttpResponse) -> Result<(), CarrierError> {
    match success(answer) {
        Err(CarrierError::NotFound) => Err(CarrierError::CallOver),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::{HeaderMap, StatusCode};

    use super::*;

    /// Statuses count; the text is kept without numbers; bodies of any other form are no fault.
    #[test]
    fn errors_are_read_whatever_they_are() {
        let read = |status: u16, body: &'static str| {
            let status = StatusCode::from_u16(status).unwrap();
            let body = Bytes::from_static(body.as_bytes());
            success(&HttpResponse { status, headers: HeaderMap::new(), body })
        };
        assert_eq!(read(401, "Unauthorized"), Err(CarrierError::Credentials));
        let barred = r#"{"error":"Calls to this destination region are barred"}"#;
        assert!(matches!(read(403, barred), Err(CarrierError::Destination(Some(_)))));
        assert!(matches!(read(403, "{}"), Err(CarrierError::NotPermitted(None))));
        let code = Some("+1202******* is not a number".to_owned());
        let number = r#"{"error":"+12025550143 is not a number"}"#;
        assert_eq!(read(400, number), Err(CarrierError::Refused { status: 400, code }));
        for odd in ["", "[]", r#"{"error":{"a":1}}"#, "<html>"] {
            assert_eq!(read(422, odd), Err(CarrierError::Refused { status: 422, code: None }));
            assert_eq!(read(503, odd), Err(CarrierError::Unavailable));
        }
        assert_eq!(read(204, ""), Ok(()));
    }
}
