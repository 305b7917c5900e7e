//! What Vonage's refusals mean.

use serde_json::Value;

use crate::exchange::{CarrierError, HttpResponse};

/// Most characters of Vonage's own code that are kept.
const CODE_CHARS_MAX: usize = 64;

/// An error, if the answer is one.
///
/// Problems come in the form of RFC 7807 with the code after the `#` of `type`, or in an older one
/// whose `type` is the code itself; proxies on the way answer in HTML.
pub(super) fn success(answer: &HttpResponse) -> Result<(), CarrierError> {
    let problem: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    let code = (!answer.status.is_success()).then(|| code(&problem)).flatten();
    let named = |name: &str| named(&problem, name);
    match (answer.status.as_u16(), code.as_deref()) {
        (400 | 422, _) if named("to") => Err(CarrierError::Destination(code)),
        (400 | 422, _) if named("from") => Err(CarrierError::CallerId(code)),
        (400..=499, Some("throttled")) => {
            Err(CarrierError::TooMany { retry_after_s: answer.retry_after_s() })
        }
        _ => CarrierError::from_status(answer, code).map_or(Ok(()), Err),
    }
}

/// True if the field `name` is among those that the problem says are wrong.
fn named(problem: &Value, name: &str) -> bool {
    let parameters = problem.get("invalid_parameters").and_then(Value::as_array);
    parameters.into_iter().flatten().filter_map(|wrong| wrong.get("name")?.as_str()).any(|wrong| {
        let rest = wrong.strip_prefix(name);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['[', '.']))
    })
}

fn code(problem: &Value) -> Option<String> {
    let kind = problem.get("type")?.as_str()?;
    let code = kind.rsplit('#').next().unwrap_or(kind);
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    let fits = !code.is_empty() && code.len() <= CODE_CHARS_MAX && code.chars().all(plain);
    fits.then(|| code.to_ascii_lowercase().replace('_', "-"))
}

/// The JSON of a successful answer.
pub(super) fn body(answer: &HttpResponse) -> Result<Value, CarrierError> {
    success(answer)?;
    answer.object()
}
