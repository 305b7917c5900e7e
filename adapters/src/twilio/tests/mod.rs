//! What is peculiar to this carrier: signatures as its SDKs make and refuse them, its errors, its
//! documents, its streams.

mod documents;
#[cfg(feature = "emulate")]
mod emulated;
mod operations;
mod signatures;
mod streams;

use serde_json::{Value, json};

use super::SPEC;
use crate::config::RawConfig;

pub(super) const ACCOUNT: &str = "ACaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
pub(super) const CALL: &str = "CAbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";
pub(super) const STREAM: &str = "MZcccccccccccccccccccccccccccccccc";

/// What the carrier's SDKs made.
pub(super) fn vectors() -> Value {
    serde_json::from_str(include_str!("../fixtures/vectors.json")).unwrap()
}

/// A configuration of an account of Twilio itself, and more fields.
pub(super) fn config(more: Value) -> RawConfig {
    let mut config = json!({
        "account_sid": ACCOUNT,
        "auth_token": "0123456789abcdef0123456789abcdef",
    });
    for (name, value) in more.as_object().unwrap() {
        config[name] = value.clone();
    }
    SPEC.read(&config, None).unwrap_or_else(|errors| panic!("{errors}"))
}

/// Fields that do not go together are refused by name; what goes together is taken.
#[test]
fn fields_go_together() {
    let refused = |more: Value| {
        let mut config = json!({"account_sid": ACCOUNT, "auth_token": "x"});
        for (name, value) in more.as_object().unwrap() {
            config[name] = value.clone();
        }
        let errors = SPEC.read(&config, None).err();
        errors.map(|errors| errors.iter().map(|error| error.field.clone()).collect::<Vec<_>>())
    };
    for (more, fields) in [
        (json!({"region": "ie1"}), &["edge"][..]),
        (json!({"edge": "dublin"}), &["region"]),
        (json!({"api_key_sid": "SKdddddddddddddddddddddddddddddddd"}), &["api_key_secret"]),
        (json!({"api_key_secret": "s"}), &["api_key_sid"]),
        (json!({"api_key_sid": "d", "api_key_secret": "s"}), &["api_key_sid"]),
        (json!({"account_sid": "AC123"}), &["account_sid"]),
        (json!({"account_sid": "ACAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}), &["account_sid"]),
        (json!({"sip_username": "u"}), &["sip_password"]),
        (json!({"compatible": true}), &["api_base"]),
        (json!({"api_base": "http://api.example.com"}), &["api_base"]),
        (json!({"api_base": "https://a.example", "region": "ie1", "edge": "dublin"}), &["region"]),
    ] {
        assert_eq!(refused(more.clone()).unwrap(), fields, "{more}");
    }
    for more in [
        json!({}),
        json!({"region": "au1", "edge": "sydney"}),
        json!({"compatible": true, "api_base": "https://x.example/api/laml", "account_sid": "1-2"}),
    ] {
        assert_eq!(refused(more.clone()), None, "{more}");
    }
}
