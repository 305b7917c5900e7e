//! Who is believed.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::Method;
use serde_json::{Value, json};

use super::super::SPEC;
use super::{config, headers, request};
use crate::config::Problem;
use crate::hook::{Certainty, HookRequest, VerifyError};

const URL: &str = "https://t.example/api/v1/telephony/exotel/voice/tok?CallSid=c";

/// Every request of the vectors is believed or refused as it says, and for its reason.
#[test]
fn vectors() {
    let all: Value = serde_json::from_str(include_str!("../fixtures/vectors.json")).unwrap();
    let config = SPEC.read(&all["config"], None).unwrap();
    let requests = all["requests"].as_array().unwrap();
    assert!(requests.len() > 10);
    for case in requests {
        let text = |name: &str| case[name].as_str().unwrap();
        let given = case["headers"].as_object().unwrap();
        let given: Vec<_> = given.iter().map(|(n, v)| (n.as_str(), v.as_str().unwrap())).collect();
        let (headers, method) = (headers(&given), text("method").parse::<Method>().unwrap());
        let request = request(&method, text("url"), &headers, text("body"));
        let hook = SPEC.hook(request.url.split('/').nth(7).unwrap()).unwrap();
        let verdict = (hook.verify)(&request, &config);
        assert_eq!(verdict.is_ok(), case["valid"], "{}", case["id"]);
        let why = verdict.err().map(|error| error.to_string()).unwrap_or_default();
        assert_eq!(why, text("why"), "{}", case["id"]);
        let told = (hook.explain)(&request, &config);
        assert_eq!(told.verdict, verdict, "{}", case["id"]);
    }
}

/// Each proof that a configuration has is demanded; what comes over HTTPS may go without the
/// credential, and then only from the carrier's addresses. Sockets always bear it.
#[test]
fn proofs_add_up() {
    let pair = STANDARD.encode("talkpath:0123456789abcdef");
    let (with, none) = (headers(&[("authorization", &format!("Basic {pair}"))]), headers(&[]));
    let both = json!({"allow_from": ["192.0.2.0/24"]});
    let bare = json!({"allow_from": ["192.0.2.0/24"], "https_credentials": false});
    let addresses =
        json!({"allow_from": ["192.0.2.0/24"], "socket_user": null, "socket_password": null});
    let (missing, sender) = (VerifyError::Missing("authorization"), VerifyError::Sender);
    for (more, headers, from, hook, socket) in [
        (json!({}), &with, None, Ok(()), Ok(())),
        (json!({}), &none, Some("192.0.2.7"), Err(missing), Err(missing)),
        (both.clone(), &with, Some("192.0.2.7"), Ok(()), Ok(())),
        (both.clone(), &with, Some("::ffff:192.0.2.7"), Ok(()), Ok(())),
        (both.clone(), &with, Some("198.51.100.1"), Err(sender), Err(sender)),
        (both.clone(), &with, None, Err(sender), Err(sender)),
        (both, &none, Some("192.0.2.7"), Err(missing), Err(missing)),
        (bare.clone(), &none, Some("192.0.2.7"), Ok(()), Err(missing)),
        (bare, &none, Some("198.51.100.1"), Err(sender), Err(missing)),
        (addresses.clone(), &none, Some("192.0.2.7"), Ok(()), Ok(())),
        (addresses, &with, Some("198.51.100.1"), Err(sender), Err(sender)),
    ] {
        let config = config(more.clone());
        let from = from.map(|from: &str| from.parse().unwrap());
        let request = HookRequest { from, ..request(&Method::GET, URL, headers, "") };
        let place = format!("{more} {from:?}");
        assert_eq!((SPEC.hook("voice").unwrap().verify)(&request, &config), hook, "{place}");
        assert_eq!((SPEC.hook("status").unwrap().verify)(&request, &config), hook, "{place}");
        let opened = SPEC.verify_socket.unwrap()(&request, &config);
        assert_eq!(opened, socket.map(|()| Certainty::Proven), "{place}");
    }
}

/// A configuration by which anybody would be believed is none, nor is one whose credential is
/// known elsewhere, easily guessed, or would have to be escaped.
#[test]
fn configurations_prove_something() {
    let read = |more: Value| {
        let mut all = json!({"account_sid": "acme1", "api_key": "key",
            "api_token": "a-token-of-the-api"});
        all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        SPEC.read(&all, None).map_err(|errors| {
            let ruled = errors.iter().filter(|it| matches!(it.problem, Problem::Rule(_)));
            ruled.map(|error| error.field.clone()).collect::<Vec<_>>()
        })
    };
    let good = "0123456789abcdef";
    for (more, field) in [
        (json!({}), "socket_password"),
        (json!({"socket_user": "u"}), "socket_password"),
        (json!({"socket_password": good}), "socket_user"),
        (json!({"socket_user": "u", "socket_password": "short"}), "socket_password"),
        (json!({"socket_user": "u", "socket_password": "0123456789@/:%ab"}), "socket_password"),
        (json!({"socket_user": "u", "socket_password": "a-token-of-the-api"}), "socket_password"),
        (
            json!({"socket_user": "u", "socket_password": good, "https_credentials": false}),
            "https_credentials",
        ),
    ] {
        assert_eq!(read(more.clone()).unwrap_err(), [field], "{more}");
    }
    assert!(read(json!({"socket_user": "u", "socket_password": good})).is_ok());
    assert!(read(json!({"allow_from": ["192.0.2.1"]})).is_ok());
    assert!(read(json!({"socket_user": "u:v", "socket_password": good})).is_err());
}
