//! Errors of the API.

use serde_json::Value;

use crate::exchange::{CarrierError, HttpResponse};

/// `Ok` for a success; otherwise what the carrier's own code says, or else the status. The body of
/// a failure may be anything.
pub(super) fn success(answer: &HttpResponse) -> Result<(), CarrierError> {
    if answer.status.is_success() {
        return Ok(());
    }
    let body = serde_json::from_slice::<Value>(&answer.body).ok();
    let number = body.as_ref().and_then(|body| body.get("code")?.as_u64());
    let code = number.map(|number| number.to_string());
    Err(match number {
        Some(20003) => CarrierError::Credentials,
        Some(20005 | 10001 | 20006) => CarrierError::NotPermitted(code),
        Some(20404) => CarrierError::NotFound,
        Some(20429) => CarrierError::TooMany { retry_after_s: answer.retry_after_s() },
        // The number is wrong, or cannot be reached.
        Some(21201 | 21211 | 21214 | 21217 | 13223 | 13224) => CarrierError::Destination(code),
        Some(21210 | 21212 | 21213) => CarrierError::CallerId(code),
        // The country is not enabled, the number is blocked, or the account is a trial.
        Some(21215 | 21216 | 21219) => CarrierError::NotPermitted(code),
        Some(21220) => CarrierError::CallOver,
        _ => CarrierError::from_status(answer, code)
            .unwrap_or(CarrierError::Answer("neither a success nor a failure")),
    })
}

/// The object of a success.
pub(super) fn object(answer: &HttpResponse) -> Result<Value, CarrierError> {
    success(answer)?;
    answer.object()
}

/// A change of a call: one that is unknown is over, as the carrier forgets those soon.
pub(super) fn of_call(answer: &HttpResponse) -> Result<(), CarrierError> {
    match success(answer) {
        Err(CarrierError::NotFound) => Err(CarrierError::CallOver),
        other => other,
    }
}

/// The text of a field.
pub(super) fn text<'v>(body: &'v Value, name: &str) -> Option<&'v str> {
    body.get(name).and_then(Value::as_str).filter(|text| !text.is_empty())
}
