//! What the carrier's errors mean.
//!
//! `{"errors":[{"code":"90018","title":…,"source":{"pointer":"/to"}}]}`; codes are strings, there
//! may be several.

use serde_json::Value;

use crate::exchange::{CarrierError, HttpResponse};

/// Seconds until more requests are welcome.
const RATE_LIMIT_RESET: &str = "x-ratelimit-reset";
/// Longest code that is repeated.
const CODE_CHARS_MAX: usize = 16;

struct Fault {
    code: String,
    pointer: String,
}

fn faults(answer: &HttpResponse) -> Vec<Fault> {
    let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    let list = body["errors"].as_array().cloned().unwrap_or_default();
    let fault = |error: &Value| {
        let code = error["code"].as_str()?;
        let plain = code.bytes().all(|byte| byte.is_ascii_alphanumeric());
        let pointer = error["source"]["pointer"].as_str().unwrap_or_default();
        (plain && code.len() <= CODE_CHARS_MAX)
            .then(|| Fault { code: code.to_owned(), pointer: pointer.to_owned() })
    };
    list.iter().filter_map(fault).collect()
}

/// `Ok` for success.
pub(super) fn success(answer: &HttpResponse) -> Result<(), CarrierError> {
    if answer.status.is_success() {
        return Ok(());
    }
    let faults = faults(answer);
    for fault in &faults {
        let code = Some(fault.code.clone());
        match (fault.code.as_str(), fault.pointer.as_str()) {
            ("90015" | "90018", _) => return Err(CarrierError::CallOver),
            ("10009", _) => return Err(CarrierError::Credentials),
            ("10010" | "10039", _) => return Err(CarrierError::NotPermitted(code)),
            ("10016", "/from") => return Err(CarrierError::CallerId(code)),
            ("10016", _) => return Err(CarrierError::Destination(code)),
            ("10015", "/connection_id") => {
                return Err(CarrierError::Config(
                    "connection_id is not that of a Voice API application with a webhook address",
                ));
            }
            // More calls at once than the account may have: later there may be room.
            ("D1", _) => return Err(too_many(answer)),
            _ => {}
        }
    }
    if answer.status.as_u16() == 429 {
        return Err(too_many(answer));
    }
    let code = faults.into_iter().next().map(|fault| fault.code);
    CarrierError::from_status(answer, code).map_or(Ok(()), Err)
}

fn too_many(answer: &HttpResponse) -> CarrierError {
    let reset = answer.headers.get(RATE_LIMIT_RESET).and_then(|value| value.to_str().ok());
    let reset = reset.and_then(|text| text.trim().parse().ok());
    CarrierError::TooMany { retry_after_s: reset.or_else(|| answer.retry_after_s()) }
}

/// The object `data` of a successful answer.
pub(super) fn data(answer: &HttpResponse) -> Result<Value, CarrierError> {
    success(answer)?;
    let mut body: Value =
        serde_json::from_slice(&answer.body).map_err(|_| CarrierError::Answer("not JSON"))?;
    body.get_mut("data").map(Value::take).ok_or(CarrierError::Answer("no data"))
}

/// A call that is over needs no ending.
pub(super) fn over_is_done(answer: &HttpResponse) -> Result<(), CarrierError> {
    match success(answer) {
        Err(CarrierError::NotFound | CarrierError::CallOver) => Ok(()),
        other => other,
    }
}
