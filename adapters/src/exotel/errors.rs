//! What the carrier's errors mean: `{"RestException":{"Status":…,"Message":"…","Code":…}}`, the
//! same in XML, or something else. The status of the answer counts.

use serde_json::Value;

use crate::exchange::{CarrierError, HttpResponse, without_numbers};

/// `Ok` for success.
pub(super) fn success(answer: &HttpResponse) -> Result<(), CarrierError> {
    let words = words(answer);
    CarrierError::from_status(answer, words).map_or(Ok(()), Err)?;
    if answer.status.is_success() {
        Ok(())
    } else {
        Err(CarrierError::Answer("neither a success nor a failure"))
    }
}

fn words(answer: &HttpResponse) -> Option<String> {
    let body = serde_json::from_slice::<Value>(&answer.body).ok()?;
    let error = &body["RestException"];
    let said = error["Message"].as_str().or_else(|| error["Code"].as_str());
    said.map(without_numbers)
}

/// The object of a successful answer.
pub(super) fn object(answer: &HttpResponse) -> Result<Value, CarrierError> {
    success(answer)?;
    answer.object()
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::{HeaderMap, StatusCode};

    use super::*;

    /// The carrier's words are kept without numbers; bodies of any other form are no fault.
    #[test]
    fn errors_are_read_whatever_they_are() {
        let read = |status: u16, body: &'static str| {
            let status = StatusCode::from_u16(status).unwrap();
            let body = Bytes::from_static(body.as_bytes());
            success(&HttpResponse { status, headers: HeaderMap::new(), body })
        };
        let told = r#"{"RestException":{"Status":400,"Message":"+919876543210 is no number"}}"#;
        let code = Some("+9198******** is no number".to_owned());
        assert_eq!(read(400, told), Err(CarrierError::Refused { status: 400, code }));
        assert_eq!(read(402, "{}"), Err(CarrierError::NotPermitted(None)));
        assert_eq!(read(302, ""), Err(CarrierError::Refused { status: 302, code: None }));
        for odd in ["", "[]", "<TwilioResponse>", r#"{"RestException":7}"#] {
            assert_eq!(read(401, odd), Err(CarrierError::Credentials));
            assert_eq!(read(503, odd), Err(CarrierError::Unavailable));
            assert_eq!(read(200, odd), Ok(()));
        }
    }
}
