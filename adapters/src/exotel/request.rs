//! What a request says, whatever form it comes in: the query of the applet's question, and status
//! callbacks as multipart form (what the carrier sends by itself, RFC 7578), form or JSON.

use http::Method;
use serde_json::Value;

use crate::form_hooks::{Fields, fields, in_address};
use crate::hook::{HookError, HookRequest};

/// The fields of a request. Those of a form that comes in parts count first, then those of the
/// address, where they were put by whoever wrote it.
pub(super) fn read(request: &HookRequest<'_>) -> Result<Fields, HookError> {
    if request.method == Method::GET {
        return Ok(fields(request));
    }
    let text = String::from_utf8_lossy(request.body);
    let text = text.trim();
    let mut read = if text.starts_with('{') {
        of_json(text)?
    } else if text.starts_with("--") {
        of_parts(text)
    } else {
        fields(request)
    };
    if read.is_empty() {
        return Err(HookError::Body("a form or a JSON object"));
    }
    for (name, value) in in_address(request) {
        read.entry(name).or_insert(value);
    }
    Ok(read)
}

fn of_json(text: &str) -> Result<Fields, HookError> {
    let body = serde_json::from_str(text);
    let Ok(Value::Object(body)) = body else { return Err(HookError::Body("JSON")) };
    let scalar = |(name, value): (String, Value)| match value {
        Value::String(text) => Some((name, text)),
        Value::Number(number) => Some((name, number.to_string())),
        // What is told of each leg.
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    };
    Ok(body.into_iter().filter_map(scalar).collect())
}

/// The values of a form in parts (RFC 2046 5.1.1); of a name that comes twice the first counts.
fn of_parts(text: &str) -> Fields {
    let mut fields = Fields::new();
    let Some(boundary) = text.lines().next().map(str::trim_end) else { return fields };
    for part in text.split(boundary).skip(1) {
        let headed = part.split_once("\r\n\r\n").or_else(|| part.split_once("\n\n"));
        let Some((head, value)) = headed else { continue };
        let name = head.split_once("name=\"").and_then(|(_, rest)| rest.split_once('"'));
        let Some((name, _)) = name else { continue };
        let value = value.strip_suffix('\n').unwrap_or(value);
        let value = value.strip_suffix('\r').unwrap_or(value);
        fields.entry(name.to_owned()).or_insert_with(|| value.to_owned());
    }
    fields
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;

    use super::*;

    fn of(body: &str) -> Result<Fields, HookError> {
        read(&HookRequest {
            method: &Method::POST,
            url: "https://t.example/status?Status=none&own=1",
            headers: &HeaderMap::new(),
            body: body.as_bytes(),
            unix_s: 0,
            from: None,
        })
    }

    /// The three forms say the same; what stands in the address is added and overrides nothing.
    #[test]
    fn three_forms_are_one() {
        let parts = "--x1\r\nContent-Disposition: form-data; name=\"CallSid\"\r\n\r\nc-1\r\n\
                     --x1\r\nContent-Disposition: form-data; name=\"Status\"\r\n\
                     Content-Type: text/plain\r\n\r\nno-answer\r\n--x1--\r\n";
        let json = r#"{"CallSid":"c-1","Status":"no-answer","Legs":[{"Status":"busy"}]}"#;
        let expected = of("CallSid=c-1&Status=no-answer").unwrap();
        assert_eq!(expected.get("own").map(String::as_str), Some("1"));
        assert_eq!(of(parts).unwrap(), expected);
        assert_eq!(of(json).unwrap(), expected);
        assert_eq!(of(&parts.replace("\r\n", "\n")).unwrap(), expected);
    }

    /// What is cut off anywhere is read as far as it goes, or refused.
    #[test]
    fn nothing_is_too_short() {
        let parts = "--x1\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nb\r\n--x1--\r\n";
        for end in 0..parts.len() {
            let _ = of(&parts[..end]);
        }
        for none in ["", "{", "[]", "{}", "--", "-----"] {
            assert!(of(none).is_err() || none == "[]", "{none}");
        }
    }
}
