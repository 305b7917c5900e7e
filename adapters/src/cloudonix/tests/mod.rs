//! What is peculiar to this carrier: a key that comes back instead of a signature, sessions, two
//! vocabularies of states, records of calls, and an API without codes.

mod documents;
#[cfg(feature = "emulate")]
mod emulated;
mod operations;
mod streams;
mod verify;
mod webhooks;

use serde_json::{Value, json};

use super::{SPEC, fields};
use crate::config::RawConfig;
use crate::hook::HookUrls;

/// The session of a call that came in.
pub(super) const SESSION: &str = "0123456789abcdef0123456789abcdef";
/// The session of a call that was placed.
pub(super) const PLACED: &str = "fedcba9876543210fedcba9876543210";

pub(super) fn vectors() -> Value {
    serde_json::from_str(include_str!("../fixtures/vectors.json")).unwrap()
}

/// A configuration of the domain that vectors are of, and more fields.
pub(super) fn config(more: Value) -> RawConfig {
    let mut given = json!({
        "domain": "acme.cloudonix.net",
        "api_token": "XI00000000000000000000000000000001",
        "request_key": "rk^made-up!_Value=01--Zz)",
    });
    for (name, value) in more.as_object().unwrap() {
        given[name] = value.clone();
    }
    let mut config = SPEC.read(&given, None).unwrap_or_else(|errors| panic!("{errors}"));
    let uuid = json!("11111111-2222-4333-8444-555555555555");
    let managed = [("application_id", json!("4500")), ("domain_uuid", uuid)];
    SPEC.set_managed(&mut config, &managed).unwrap();
    config
}

pub(super) fn urls() -> HookUrls {
    HookUrls::new("https://t.example", "cloudonix", "tok").of_call("call-1")
}

/// A domain has one written form; keys are long enough, of what a header can hold, and not the
/// same in both directions; names of trunks hold no blanks.
#[test]
fn fields_are_read() {
    for (given, read) in [
        ("acme", "acme.cloudonix.net"),
        ("ACME.Cloudonix.NET.", "acme.cloudonix.net"),
        ("Voice.Customer.Example", "voice.customer.example"),
    ] {
        assert_eq!(config(json!({"domain": given})).text("domain"), Some(read));
    }
    let refused = |more: Value| {
        let mut given = json!({"domain": "a", "api_token": "t", "request_key": "k".repeat(16)});
        for (name, value) in more.as_object().unwrap() {
            given[name] = value.clone();
        }
        SPEC.read(&given, None).err().map(|errors| errors.iter().next().unwrap().field.clone())
    };
    assert_eq!(refused(json!({})), None);
    for (more, field) in [
        (json!({"domain": "a b"}), "domain"),
        (json!({"domain": "https://acme.cloudonix.net"}), "domain"),
        (json!({"domain": "a..b"}), "domain"),
        (json!({"request_key": "short"}), "request_key"),
        (json!({"request_key": "schl\u{fc}ssel-schl\u{fc}ssel"}), "request_key"),
        (json!({"api_token": "k".repeat(16)}), "request_key"),
        (json!({"trunk": "my trunk"}), "trunk"),
        (json!({"currency": "dollars"}), "currency"),
        (json!({"currency": "12$"}), "currency"),
        (json!({"country": "XX"}), "country"),
    ] {
        assert_eq!(refused(more.clone()).as_deref(), Some(field), "{more}");
    }
}

/// Numbers come as trunks send them; none is refused for its form.
#[test]
fn numbers_are_read() {
    let read = |country, text| {
        let address = fields::number(country, "acme.cloudonix.net", text);
        address.map(|address| address.expose().to_owned())
    };
    for (country, text, address) in [
        (None, "+15551234567", "+15551234567"),
        (None, "15551234567", "+15551234567"),
        (Some("US"), "15551234567", "+15551234567"),
        (Some("US"), "5551234567", "+15551234567"),
        (Some("DE"), "030123456", "+4930123456"),
        (Some("DE"), "+15551234567", "+15551234567"),
        (None, "1004", "1004"),
        (Some("US"), "1004", "1004"),
        (None, "sip:Bob@Example.com", "sip:Bob@example.com"),
        (None, "030123456", "sip:030123456@acme.cloudonix.net"),
        (None, "0049301234567890123456", "sip:0049301234567890123456@acme.cloudonix.net"),
    ] {
        assert_eq!(read(country, text).as_deref(), Some(address), "{text}");
    }
    for text in ["", " ", "anonymous", "restricted"] {
        assert_eq!(read(None, text), None, "{text}");
    }
}
