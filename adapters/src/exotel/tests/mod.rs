//! What is peculiar to Exotel; what every provider must do is in the conformance battery.

mod operations;
mod streams;
mod verify;

use http::{HeaderMap, HeaderName, HeaderValue, Method};
use serde_json::{Value, json};

use super::SPEC;
use crate::config::RawConfig;
use crate::hook::HookRequest;

fn config(more: Value) -> RawConfig {
    let mut all = json!({"account_sid": "acme1", "api_key": "key", "api_token": "token",
        "socket_user": "talkpath", "socket_password": "0123456789abcdef"});
    all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    all.as_object_mut().unwrap().retain(|_, value| !value.is_null());
    SPEC.read(&all, None).unwrap()
}

fn headers(given: &[(&str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in given {
        headers.append(name.parse::<HeaderName>().unwrap(), HeaderValue::from_str(value).unwrap());
    }
    headers
}

fn request<'r>(
    method: &'r Method,
    url: &'r str,
    headers: &'r HeaderMap,
    body: &'r str,
) -> HookRequest<'r> {
    HookRequest { method, url, headers, body: body.as_bytes(), unix_s: 0, from: None }
}
