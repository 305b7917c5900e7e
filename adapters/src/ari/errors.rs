//! What answers other than success mean.
//!
//! The words are in `{"message":…}`, in `{"error":…}`, or in a page of HTML.

use serde_json::Value;

use crate::exchange::{CarrierError, HttpResponse, without_numbers};

/// Asterisk's words for what is wrong, as far as they may be repeated.
fn words(answer: &HttpResponse) -> Option<String> {
    let body: Value = serde_json::from_slice(&answer.body).ok()?;
    let text = body["message"].as_str().or_else(|| body["error"].as_str())?;
    Some(without_numbers(text))
}

/// `Ok` for success.
pub(super) fn success(answer: &HttpResponse) -> Result<(), CarrierError> {
    let words = words(answer);
    match answer.status.as_u16() {
        // It could not do what it was asked for, and will not by being asked again.
        status @ (500 | 501) => Err(CarrierError::Refused { status, code: words }),
        // In an invalid state, which means that it ends.
        412 => Err(CarrierError::CallOver),
        _ => CarrierError::from_status(answer, words).map_or(Ok(()), Err),
    }
}

/// What is gone needs no deleting.
pub(super) fn gone_is_done(answer: &HttpResponse) -> Result<(), CarrierError> {
    match success(answer) {
        Err(CarrierError::NotFound | CarrierError::CallOver) => Ok(()),
        other => other,
    }
}

/// The object that a successful answer is.
pub(super) fn object(answer: &HttpResponse) -> Result<Value, CarrierError> {
    success(answer)?;
    answer.object()
}
