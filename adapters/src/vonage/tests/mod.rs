//! Vonage's own cases: the vectors, signatures, operations, documents, and the stream.

mod calls;
#[cfg(feature = "emulate")]
mod emulated;
mod hooks;
mod stream;
mod verify;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use serde_json::Value;

use crate::config::RawConfig;
use crate::exchange::HttpResponse;
use crate::hook::HookRequest;

/// Output of Vonage's own libraries, and messages from its documents.
fn vectors() -> Value {
    serde_json::from_str(include_str!("../fixtures/vectors.json")).unwrap()
}

/// The vectors of one kind.
fn each(kind: &str) -> Vec<Value> {
    let vectors = vectors();
    let list = kind.split('/').fold(&vectors, |value, name| &value[name]);
    list.as_array().unwrap_or_else(|| panic!("{kind}")).clone()
}

/// The account of the vectors, with `changes` laid over it.
fn config(changes: &Value) -> RawConfig {
    let vectors = vectors();
    let mut config = vectors["default_config"].clone();
    let config = config.as_object_mut().unwrap();
    config.remove("iat_tolerance_s");
    config.remove("require_payload_hash_with_body");
    config.insert("private_key".into(), vectors["keys"]["rsa_private_pkcs8_pem"].clone());
    config.insert("api_secret".into(), "TEST-ONLY-apisecret1".into());
    for (name, value) in changes.as_object().into_iter().flatten() {
        config.insert(name.clone(), value.clone());
    }
    super::SPEC.read(&Value::Object(config.clone()), None).unwrap()
}

fn plain() -> RawConfig {
    config(&Value::Null)
}

/// A request, owned.
struct Request {
    method: Method,
    url: String,
    headers: HeaderMap,
    body: Vec<u8>,
    unix_s: u64,
}

impl Request {
    fn of(vector: &Value) -> Self {
        let mut headers = HeaderMap::new();
        for pair in vector["headers"].as_array().into_iter().flatten() {
            let name: HeaderName = pair[0].as_str().unwrap().parse().unwrap();
            headers.append(name, HeaderValue::from_str(pair[1].as_str().unwrap()).unwrap());
        }
        Self {
            method: vector["method"].as_str().unwrap_or("GET").parse().unwrap(),
            url: vector["url"].as_str().unwrap_or("https://t.example/").to_owned(),
            headers,
            body: vector["body_utf8"].as_str().unwrap_or_default().as_bytes().to_vec(),
            unix_s: vector["now"].as_u64().unwrap(),
        }
    }

    /// A webhook with that body, not signed.
    fn json(body: &Value) -> Self {
        Self {
            method: Method::POST,
            url: "https://t.example/".to_owned(),
            headers: HeaderMap::new(),
            body: body.to_string().into_bytes(),
            unix_s: 0,
        }
    }

    /// One that opens a socket with this `Authorization`.
    fn authorized(value: &str) -> Self {
        let mut request = Self::json(&Value::Null);
        request.headers.insert("authorization", HeaderValue::from_str(value).unwrap());
        Self { method: Method::GET, url: "wss://t.example/".to_owned(), ..request }
    }

    fn get(&self) -> HookRequest<'_> {
        let Self { method, url, headers, body, unix_s } = self;
        HookRequest { method, url, headers, body, unix_s: *unix_s, from: None }
    }
}

fn answer(status: u16, body: &Value) -> HttpResponse {
    let body = body.as_str().map_or_else(|| body.to_string(), str::to_owned);
    HttpResponse {
        status: StatusCode::from_u16(status).unwrap(),
        headers: HeaderMap::new(),
        body: Bytes::from(body),
    }
}
