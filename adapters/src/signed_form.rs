//! Signatures of version 3 by a number of one use: HMAC-SHA-256 over the address, the parameters in
//! order, and the number. Made by one carrier, whose library another has copied.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use http::Method;
use serde_json::{Map, Value};
use sha2::Sha256;

use crate::hook::{HookRequest, VerifyError};
use crate::pairs::pairs;
use crate::secret::Secret;

/// A header that must be there once and hold something.
pub(crate) fn header<'r>(
    request: &HookRequest<'r>,
    name: &'static str,
) -> Result<&'r str, VerifyError> {
    let value = request.header(name).map(str::trim).filter(|value| !value.is_empty());
    value.ok_or(VerifyError::Missing(name))
}

/// The signature of a string: base64 of its keyed hash.
pub(crate) fn sign(key: &Secret, signed: &str) -> String {
    let mac = Hmac::<Sha256>::new_from_slice(key.expose().as_bytes());
    // Keys of any length are keys (RFC 2104).
    let Ok(mac) = mac else { return String::new() };
    STANDARD.encode(mac.chain_update(signed).finalize().into_bytes())
}

/// Scheme, authority and path as they were given: without query, fragment and parameters of the
/// last segment.
pub(crate) fn base(url: &str) -> &str {
    let url = url.split('#').next().unwrap_or_default();
    let url = url.split('?').next().unwrap_or_default();
    let last = url.rfind('/').unwrap_or(0);
    let end = url.get(last..).and_then(|segment| segment.find(';')).map(|at| last + at);
    end.and_then(|end| url.get(..end)).unwrap_or(url)
}

fn sorted(text: &str) -> Vec<(String, String)> {
    let mut all: Vec<_> = pairs(text).collect();
    all.sort();
    all
}

/// The string that a signature of version 3 is of: the query by name, and behind a full stop what
/// the body says, without anything between names and values.
pub(crate) fn signed_v3(request: &HookRequest<'_>, nonce: &str) -> String {
    let url = request.url.split('#').next().unwrap_or_default();
    let query = url.split_once('?').map_or("", |(_, query)| query);
    let query: Vec<_> =
        sorted(query).iter().map(|(name, value)| format!("{name}={value}")).collect();
    let query = query.join("&");
    let body = if request.method == Method::GET { None } else { parameters(request.body) };
    let mut signed = base(url).to_owned();
    if !query.is_empty() || body.is_some() {
        signed.push('?');
        signed.push_str(&query);
    }
    if !query.is_empty() && body.is_some() {
        signed.push('.');
    }
    signed.push_str(&body.unwrap_or_default());
    signed.push('.');
    signed.push_str(nonce);
    signed
}

/// What is signed of a body: its parameters by name, without anything between them. `None` if it
/// has none.
fn parameters(body: &[u8]) -> Option<String> {
    // What begins so is no form.
    if body.trim_ascii_start().starts_with(b"{")
        && let Ok(object) = serde_json::from_slice::<Map<String, Value>>(body)
    {
        return (!object.is_empty()).then(|| nested(&object));
    }
    let pairs = sorted(&String::from_utf8_lossy(body));
    let joined = pairs.iter().flat_map(|(name, value)| [name.as_str(), value.as_str()]);
    (!pairs.is_empty()).then(|| joined.collect())
}

/// The same of a JSON object: a list says its name with each of its values, an object says its own
/// once, and what it holds.
fn nested(object: &Map<String, Value>) -> String {
    let mut fields: Vec<_> = object.iter().collect();
    fields.sort_by_key(|(name, _)| name.as_str());
    let field = |(name, value): (&String, &Value)| match value {
        Value::Array(values) => {
            let mut values: Vec<_> = values.iter().map(scalar).collect();
            values.sort_unstable();
            values.iter().map(|value| format!("{name}{value}")).collect()
        }
        Value::Object(inner) => format!("{name}{}", nested(inner)),
        other => format!("{name}{}", scalar(other)),
    };
    fields.into_iter().map(field).collect()
}

/// A value as the carrier's library for Python writes it.
fn scalar(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Bool(true) => "True".to_owned(),
        Value::Bool(false) => "False".to_owned(),
        Value::Null => "None".to_owned(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;
    use serde_json::json;

    use super::*;

    fn signed(method: &Method, url: &str, body: &str) -> String {
        let (headers, body) = (&HeaderMap::new(), body.as_bytes());
        signed_v3(&HookRequest { method, url, headers, body, unix_s: 0, from: None }, "n")
    }

    /// What goes into the string, as the library for Python makes it: order, repetition, blanks,
    /// escapes, what stands between.
    #[test]
    fn strings_are_those_of_the_library() {
        for (url, body, expected) in [
            ("https://a.b/c", "", "https://a.b/c.n"),
            ("https://a.b/c?", "", "https://a.b/c.n"),
            ("https://a.b/c?", "x=1", "https://a.b/c?x1.n"),
            ("https://a.b", "x=1", "https://a.b?x1.n"),
            ("https://a.b/c/", "b=2&a=1", "https://a.b/c/?a1b2.n"),
            ("https://a.b:8443/c?z=1&y=2", "b=", "https://a.b:8443/c?y=2&z=1.b.n"),
            ("https://a.b/c?k=2&k=1", "t=z&t=a&t=a", "https://a.b/c?k=1&k=2.tatatz.n"),
            ("https://a.b/c?k=a+b%26&k", "", "https://a.b/c?k=&k=a b&.n"),
            (
                "https://a.b/c#rc=1",
                "n=J%C3%BCrgen+%E2%98%83",
                "https://a.b/c?nJ\u{fc}rgen \u{2603}.n",
            ),
            ("https://a.b/c", "Z=1&a=2&A=3&_=4", "https://a.b/c?A3Z1_4a2.n"),
            ("https://a.b/c", "tags%5B%5D=2&tags%5B%5D=1", "https://a.b/c?tags[]1tags[]2.n"),
            ("https://a.b/d;v=1/e;x=2?q=1", "", "https://a.b/d;v=1/e?q=1.n"),
            ("https://a.b/c", "&&", "https://a.b/c.n"),
        ] {
            assert_eq!(signed(&Method::POST, url, body), expected, "{url} {body}");
        }
        let get = signed(&Method::GET, "https://a.b/c?b=2&a=1", "ignored=1");
        assert_eq!(get, "https://a.b/c?a=1&b=2.n");
    }

    /// Objects are signed field by field, lists value by value; what only looks like one is a form.
    #[test]
    fn objects_are_signed_whole() {
        for (body, expected) in [
            (json!({"b": "2", "a": "1"}), "a1b2"),
            (json!({"t": ["z", "a"], "n": 5}), "n5tatz"),
            (json!({"o": {"y": "2", "x": ["2", "1"]}, "a": ""}), "aox1x2y2"),
            (
                json!({"yes": true, "no": false, "none": null, "f": 0.5}),
                "f0.5noFalsenoneNoneyesTrue",
            ),
            (json!({"n": [10, 9]}), "n10n9"),
        ] {
            let found = signed(&Method::POST, "https://a.b/c", &body.to_string());
            assert_eq!(found, format!("https://a.b/c?{expected}.n"), "{body}");
        }
        assert_eq!(signed(&Method::POST, "https://a.b/c", "{}"), "https://a.b/c.n");
        assert_eq!(signed(&Method::POST, "https://a.b/c", "{a=1"), "https://a.b/c?{a1.n");
    }
}
