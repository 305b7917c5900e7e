//! What the carrier's errors mean. There are no codes: the status counts, and a message is kept if
//! there is one. The body may be empty, text, or `{"status":false,"message":"…"}`.

use serde_json::Value;

use crate::exchange::{CarrierError, HttpResponse, without_numbers};

/// `Ok` for a success.
pub(super) fn success(answer: &HttpResponse) -> Result<(), CarrierError> {
    // A key of the wrong scope is refused by either.
    if matches!(answer.status.as_u16(), 401 | 403) {
        return Err(CarrierError::Credentials);
    }
    let body = serde_json::from_slice::<Value>(&answer.body).ok();
    let message = body.as_ref().and_then(|body| body.get("message")?.as_str()).map(without_numbers);
    CarrierError::from_status(answer, message).map_or(Ok(()), Err)?;
    if answer.status.is_success() {
        Ok(())
    } else {
        Err(CarrierError::Answer("neither a success nor a failure"))
    }
}

/// The object of a success.
pub(super) fn object(answer: &HttpResponse) -> Result<Value, CarrierError> {
    success(answer)?;
    let body: Value =
        serde_json::from_slice(&answer.body).map_err(|_| CarrierError::Answer("not JSON"))?;
    if body.is_object() { Ok(body) } else { Err(CarrierError::Answer("not an object")) }
}

/// The list of a success. An empty one is not there at all.
pub(super) fn list(answer: &HttpResponse) -> Result<Vec<Value>, CarrierError> {
    match success(answer) {
        Err(CarrierError::NotFound) => return Ok(Vec::new()),
        other => other?,
    }
    match serde_json::from_slice(&answer.body) {
        Ok(Value::Array(list)) => Ok(list),
        _ => Err(CarrierError::Answer("not a list")),
    }
}

/// A request about a call: a session that is not there is over.
pub(super) fn of_call(answer: &HttpResponse) -> Result<(), CarrierError> {
    match success(answer) {
        Err(CarrierError::NotFound) => Err(CarrierError::CallOver),
        other => other,
    }
}

/// A request about the domain itself, which then is what is not there.
pub(super) fn of_domain(answer: &HttpResponse) -> Result<Value, CarrierError> {
    match object(answer) {
        Err(CarrierError::NotFound) => Err(CarrierError::Config("there is no such domain")),
        other => other,
    }
}
