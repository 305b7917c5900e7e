//! Genesys' own cases: signatures, sessions, and the emulator against the adapter.

#[cfg(feature = "emulate")]
mod emulated;
mod stream;
mod verify;

use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::Value;

use crate::config::RawConfig;

const SESSION: &str = "30b0e395-84d3-4570-ac13-9a62d8f514c0";

fn config() -> RawConfig {
    let fixture: Value =
        serde_json::from_str(include_str!("../fixtures/config_full.json")).unwrap();
    super::SPEC.read(&fixture["config"], None).unwrap()
}

fn headers(list: &Value) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for pair in list.as_array().unwrap() {
        let name: HeaderName = pair[0].as_str().unwrap().parse().unwrap();
        headers.append(name, HeaderValue::from_str(pair[1].as_str().unwrap()).unwrap());
    }
    headers
}
