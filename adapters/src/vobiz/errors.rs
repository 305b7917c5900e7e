//! What the carrier's errors mean: `{"error":{"code":…,"message":…,"details":…}}`,
//! `{"error":"text"}`, or something else.

use serde_json::Value;

use crate::exchange::{CarrierError, HttpResponse, without_numbers};

/// `Ok` for success.
pub(super) fn success(answer: &HttpResponse) -> Result<(), CarrierError> {
    if answer.status.is_success() {
        return Ok(());
    }
    let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    let error = &body["error"];
    let words = error["code"].as_str().or_else(|| error.as_str()).map(without_numbers);
    if answer.status.as_u16() == 429 {
        let told = error["details"]["retryAfter"].as_u64().and_then(|s| s.try_into().ok());
        return Err(CarrierError::TooMany { retry_after_s: answer.retry_after_s().or(told) });
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

    /// Both forms of errors are read, numbers are left out; bodies of any other form are no fault.
    #[test]
    fn errors_are_read_whatever_they_are() {
        let read = |status: u16, body: &'static str| {
            let status = StatusCode::from_u16(status).unwrap();
            let body = Bytes::from_static(body.as_bytes());
            success(&HttpResponse { status, headers: HeaderMap::new(), body })
        };
        assert_eq!(read(401, "Unauthorized"), Err(CarrierError::Credentials));
        let poor = r#"{"error":"insufficient balance"}"#;
        let words = Some("insufficient balance".to_owned());
        assert_eq!(read(402, poor), Err(CarrierError::NotPermitted(words)));
        let limit = r#"{"status":"error","error":{"code":"RATE_LIMIT_EXCEEDED","message":"m",
            "details":{"limitType":"cps","limit":1,"current":2,"retryAfter":1}},"requestId":"r"}"#;
        assert_eq!(read(429, limit), Err(CarrierError::TooMany { retry_after_s: Some(1) }));
        let code = Some("+9112******** is not a number".to_owned());
        let number = r#"{"error":"+911234567890 is not a number","details":{}}"#;
        assert_eq!(read(400, number), Err(CarrierError::Refused { status: 400, code }));
        for odd in ["", "[]", r#"{"error":{"a":1}}"#, "<html>"] {
            assert_eq!(read(422, odd), Err(CarrierError::Refused { status: 422, code: None }));
            assert_eq!(read(503, odd), Err(CarrierError::Unavailable));
        }
        assert_eq!(read(204, ""), Ok(()));
    }
}
