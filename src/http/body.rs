//! The bodies of requests: how long they may be, and how long they may take.

use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::extract::{FromRequest, Request};
use bytes::Bytes;
use serde::de::DeserializeOwned;

use super::problem::{Kind, Problem};

/// The longest body of a request, in bytes.
pub(super) const BODY_BYTES_MAX: usize = 64 * 1024;
/// How long a body may take to arrive.
pub(super) const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// The whole body.
///
/// # Errors
///
/// The problem to answer if it is too long or too slow.
pub(super) async fn whole(body: Body) -> Result<Bytes, Problem> {
    up_to(body, BODY_BYTES_MAX, BODY_TIMEOUT).await
}

/// The whole body, of at most so many bytes, that may take so long.
///
/// # Errors
///
/// The problem to answer if it is too long or too slow.
pub(super) async fn up_to(body: Body, max: usize, within: Duration) -> Result<Bytes, Problem> {
    match tokio::time::timeout(within, to_bytes(body, max)).await {
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(_)) => {
            Err(Problem::new(Kind::TooLarge, format!("a body here has at most {max} bytes")))
        }
        Err(_) => {
            let seconds = within.as_secs();
            Err(Problem::new(Kind::TooSlow, format!("the body did not arrive within {seconds} s")))
        }
    }
}

/// A body of JSON.
#[derive(Debug)]
pub(super) struct Json<T>(pub(super) T);

impl<T: DeserializeOwned> FromRequest<super::State> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &super::State) -> Result<Self, Problem> {
        read(&whole(request.into_body()).await?).map(Self)
    }
}

/// Reads a body of JSON.
///
/// # Errors
///
/// The problem to answer, which names the field and what is expected. It may repeat a value: what
/// holds secrets is read as a `Value` first.
pub(super) fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    if body.iter().all(u8::is_ascii_whitespace) {
        return Err(Problem::bad_request("the body is empty; it has to be JSON"));
    }
    let mut reader = serde_json::Deserializer::from_slice(body);
    let read = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        let (path, error) = (error.path().to_string(), error.into_inner());
        if error.is_data() { wrong(path, &error.to_string()) } else { not_json(&error) }
    })?;
    reader.end().map_err(|error| not_json(&error))?;
    Ok(read)
}

fn not_json(error: &serde_json::Error) -> Problem {
    Problem::bad_request(format!("the body is not JSON: {error}"))
}

/// What is wrong at `path`, which is `.` for the whole. What is missing has no path of its own.
fn wrong(path: String, why: &str) -> Problem {
    let inner = if path == "." { String::new() } else { path };
    let missing = why.strip_prefix("missing field `").and_then(|rest| rest.split_once('`'));
    match (missing, inner.is_empty()) {
        (Some((name, _)), true) => Problem::bad_field(name, "missing"),
        (Some((name, _)), false) => Problem::bad_field(format!("{inner}.{name}"), "missing"),
        (None, true) => Problem::bad_request(format!("the body: {why}")),
        (None, false) => Problem::bad_field(inner, why),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::{Map, Value, json};

    use super::*;

    #[derive(Debug, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "read, not used")]
    struct Body {
        to: String,
        #[serde(default)]
        words: BTreeMap<String, String>,
        inner: Option<Inner>,
    }

    #[derive(Debug, serde::Deserialize)]
    #[expect(dead_code, reason = "read, not used")]
    struct Inner {
        port: u16,
    }

    /// The fields that a problem names, and what it says.
    fn told(body: &str) -> (Vec<String>, String) {
        let problem = serde_json::to_value(read::<Body>(body.as_bytes()).unwrap_err()).unwrap();
        assert_eq!(problem["status"], 400, "{problem}");
        let errors = problem["errors"].as_array().cloned().unwrap_or_default();
        let fields = errors.iter().map(|error| error["field"].as_str().unwrap().to_owned());
        (fields.collect(), problem["detail"].as_str().unwrap().to_owned())
    }

    /// What is wrong names its field, wherever it is; what is no JSON says so.
    #[test]
    fn faults_name_their_field() {
        for (body, field, says) in [
            ("{}", "to", "missing"),
            (r#"{"to": 5}"#, "to", "expected a string"),
            (r#"{"to": "a", "form": 1}"#, "form", "expected one of"),
            (r#"{"to": "a", "words": {"x": 1}}"#, "words.x", "expected a string"),
            (r#"{"to": "a", "inner": {}}"#, "inner.port", "missing"),
            (r#"{"to": "a", "inner": {"port": 70000}}"#, "inner.port", "expected u16"),
        ] {
            let (fields, detail) = told(body);
            assert_eq!(fields, [field], "{body}: {detail}");
            assert!(detail.starts_with(field) && detail.contains(says), "{body}: {detail}");
        }
        for (body, says) in [
            ("", "empty"),
            ("  \n", "empty"),
            ("to=a&from=b", "not JSON"),
            (r#"{"to": "a""#, "not JSON"),
            (r#"{"to": "a"} {}"#, "not JSON"),
            ("5", "the body: "),
            ("\"a\"", "the body: "),
        ] {
            let (fields, detail) = told(body);
            assert!(fields.is_empty() && detail.contains(says), "{body}: {detail}");
        }
        let whole: Map<String, Value> = read(br#"{"a": 1}"#).unwrap();
        assert_eq!(Value::Object(whole), json!({"a": 1}));
    }
}
