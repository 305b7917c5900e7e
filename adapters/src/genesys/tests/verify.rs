use http::{HeaderMap, HeaderValue, Method};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::super::signature::{Signed, signature};
use super::super::{SPEC, fields, hooks, verify};
use super::{config, headers};
use crate::config::RawConfig;
use crate::event::Meaning;
use crate::hook::{HookError, HookRequest, VerifyError};

fn vectors() -> Vec<Value> {
    let vectors: Value = serde_json::from_str(include_str!("../fixtures/vectors.json")).unwrap();
    vectors["signatures"].as_array().unwrap().clone()
}

/// The example of the documentation is believed, and so is whatever else is signed by its steps;
/// everything else is refused for the reason that it has.
#[test]
fn vectors_are_judged() {
    for vector in vectors() {
        let headers = headers(&vector["headers"]);
        let request = HookRequest {
            method: &Method::GET,
            url: vector["url"].as_str().unwrap(),
            headers: &headers,
            body: b"",
            unix_s: vector["now"].as_u64().unwrap(),
            from: None,
        };
        let judged = verify::verify(&request, &config());
        let why = judged.err().map(|error| error.to_string());
        assert_eq!(why.as_deref(), vector["refused"].as_str(), "{}", vector["id"]);
        assert_eq!(verify::explain(&request, &config()).verdict, judged);
    }
}

/// Where there is no client secret the key proves it, signed or not; a wrong key, another
/// organisation, or an id that is none does not.
#[test]
fn a_key_alone() {
    let mut unsigned = config().expose().clone();
    unsigned.remove("client_secret");
    let unsigned = RawConfig::from_stored(unsigned.into()).unwrap();
    let all = headers(&vectors()[0]["headers"]);
    let mut bare = all.clone();
    bare.remove("signature");
    bare.remove("signature-input");
    let judge = |headers: &HeaderMap, config: &RawConfig| {
        let (method, url) = (&Method::GET, "https://t.example/");
        let request = HookRequest { method, url, headers, body: b"", unix_s: 1, from: None };
        verify::verify(&request, config)
    };
    assert_eq!(judge(&all, &unsigned), Ok(()));
    assert_eq!(judge(&bare, &unsigned), Ok(()));
    assert_eq!(judge(&bare, &config()), Err(VerifyError::Missing("signature-input")));
    for (name, value, error) in [
        ("x-api-key", "SGVsbG8sIEkgYW0gdGhlIEFQSSBrZXkx", VerifyError::Credential),
        ("audiohook-organization-id", "aaaaaaaa-0972-4844-938e-9060eef73d05", VerifyError::Account),
        ("audiohook-session-id", "30b0e395", VerifyError::Malformed("audiohook-session-id")),
        ("audiohook-correlation-id", "", VerifyError::Malformed("audiohook-correlation-id")),
    ] {
        let mut wrong = bare.clone();
        wrong.insert(name, HeaderValue::from_static(value));
        assert_eq!(judge(&wrong, &unsigned), Err(error));
    }
}

/// A key that is too short, or no base64, is refused when it is entered.
#[test]
fn keys_are_checked() {
    let good = config().expose().clone();
    for (field, value) in [
        ("api_key", "short"),
        ("api_key", "with a blank in the middle"),
        ("api_key", "with-a-\"quote\"-in-it-"),
        ("client_secret", "bm90IGVub3VnaA=="),
        ("client_secret", "no base64 at all, but long"),
        ("organization_id", "d7934305"),
    ] {
        let mut config = good.clone();
        config.insert(field.to_owned(), json!(value));
        let errors = SPEC.read(&config.into(), None).unwrap_err();
        assert!(errors.to_string().contains(field), "{field}: {errors}");
    }
    assert!(fields::secret_bytes("TXlTdXBlclNlY3JldEtleVRlbGxOby0xITJAMyM0JDU=").is_some());
}

/// The first message is of the session and the organisation that were proven; who is called may be
/// told by the configuration instead.
#[test]
fn the_offer_is_of_the_session() {
    let fixture: Value =
        serde_json::from_str(include_str!("../fixtures/hook_audio_open.json")).unwrap();
    let headers = headers(&fixture["headers"]);
    let message: Value = serde_json::from_str(fixture["body"].as_str().unwrap()).unwrap();
    let handle = |message: &Value, config: &RawConfig| {
        let (method, url, body) = (&Method::GET, "https://t.example/", message.to_string());
        let body = body.as_bytes();
        let request = HookRequest { method, url, headers: &headers, body, unix_s: 1, from: None };
        (hooks::HOOKS[0].handle)(&request, config).map(|handled| handled.meaning)
    };
    let change = |pointer: &str, value: Value| {
        let mut message = message.clone();
        *message.pointer_mut(pointer).unwrap() = value;
        message
    };
    let other = json!("aaaaaaaa-84d3-4570-ac13-9a62d8f514c0");
    for (pointer, value, field) in [
        ("/id", other.clone(), "id"),
        ("/type", json!("ping"), "id"),
        ("/parameters/organizationId", other, "organizationId"),
        ("/parameters/conversationId", json!("x"), "conversationId"),
    ] {
        let judged = handle(&change(pointer, value), &config());
        assert_eq!(judged, Err(HookError::Field(field)), "{pointer}");
    }
    let nobody = change("/parameters/participant/dnis", json!(""));
    let Ok(Meaning::Offered(call)) = handle(&nobody, &config()) else { panic!("not offered") };
    assert_eq!(call.to.expose(), "+15551234567");
    let bare = RawConfig::default();
    assert_eq!(handle(&nobody, &bare), Err(HookError::Field("dnis")));
    let withheld = change("/parameters/participant/ani", json!("anonymous caller"));
    let Ok(Meaning::Offered(call)) = handle(&withheld, &bare) else { panic!("not offered") };
    assert_eq!(call.from, None);
    // Neither what is too long nor what is no plain value becomes a variable, nor more than a few.
    let many: Value = (0..100).map(|n| (format!("n{n}"), json!(n))).collect();
    let many = change("/parameters/inputVariables", many);
    let Ok(Meaning::Offered(call)) = handle(&many, &bare) else { panic!("not offered") };
    assert_eq!(call.extra.iter().filter(|(name, _)| name.starts_with("input_")).count(), 32);
    let odd = json!({"a": "x".repeat(2_000), "b c": "x", "d": "a\nb", "e": null, "f": "good"});
    let odd = change("/parameters/inputVariables", odd);
    let Ok(Meaning::Offered(call)) = handle(&odd, &bare) else { panic!("not offered") };
    let names: Vec<_> = call.extra.iter().map(|(name, _)| name.as_str()).collect();
    assert!(names.contains(&"input_f") && !names.iter().any(|name| name.contains("_a")));
    assert!(!names.iter().any(|name| ["input_b c", "input_d", "input_e"].contains(name)));
}

/// What is written in any other form than the one that is signed is no signature.
#[test]
fn other_forms_are_refused() {
    let good = r#"sig1=("@authority" "x-api-key");keyid="k";nonce="n";created=1;expires=2"#;
    assert!(Signed::read(good).is_some_and(|signed| !signed.covers_all()));
    for bad in [
        "",
        "sig1",
        "sig1=",
        "sig1=()",
        "=(\"a\")",
        "Sig1=(\"a\")",
        r#"sig1=("a"  "b")"#,
        r#"sig1=( "a")"#,
        r#"sig1=("a" "a")"#,
        r#"sig1=("a";sf)"#,
        r#"sig1=("@signature-params")"#,
        r#"sig1=("a") ;created=1"#,
        r#"sig1=("a"); created=1"#,
        r#"sig1=("a");created=1;created=1"#,
        r#"sig1=("a");created="1""#,
        r#"sig1=("a");created=-1"#,
        r#"sig1=("a");created="#,
        r#"sig1=("a");created=99999999999999999999"#,
        r#"sig1=("a");keyid=k"#,
        r#"sig1=("a");keyid="k\"""#,
        r#"sig1=("a");tag="t""#,
        r#"sig1=("a");created=1,sig2=("a")"#,
    ] {
        assert_eq!(Signed::read(bad), None, "{bad}");
    }
    assert_eq!(signature("sig1=:AA==:", "sig1"), Some("AA=="));
    for bad in ["sig2=:AA==:", "sig1=AA==", "sig1=:AA==:, sig2=:AA==:", "sig1=:", "sig1"] {
        assert_eq!(signature(bad, "sig1"), None, "{bad}");
    }
}

proptest! {
    /// Whatever stands in the headers, nothing panics, and nothing is believed.
    #[test]
    fn anything_is_survived(input in ".{0,120}", got in "[ -~]{0,80}") {
        let _ = Signed::read(&input);
        let mut all = headers(&vectors()[0]["headers"]);
        for (name, value) in [("signature-input", &input), ("signature", &got)] {
            if let Ok(value) = HeaderValue::from_str(value) {
                all.insert(name, value);
            }
        }
        let (method, url) = (&Method::GET, "https://audiohook.example.com/api/v1/voicebiometrics/ws");
        let unix_s = 1_641_013_202;
        let request = HookRequest { method, url, headers: &all, body: b"", unix_s, from: None };
        prop_assert!(verify::verify(&request, &config()).is_err());
    }
}
