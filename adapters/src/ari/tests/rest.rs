//! Requests: what answers mean, what they say, and what is tidied up.

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};

use super::super::errors::{gone_is_done, success};
use super::super::socket::EVENTS;
use super::super::{SPEC, calls};
use super::vectors;
use crate::address::Address;
use crate::config::RawConfig;
use crate::event::{CarrierCallId, InboundCall};
use crate::exchange::{CarrierError, HttpRequest, HttpResponse};
use crate::flow::Alive;
use crate::hook::HookUrls;
use crate::op::{Op, Originate, Step};

pub(in super::super) fn config() -> RawConfig {
    let given = json!({
        "ari_url": "http://pbx.example.com:8088/",
        "username": "talkpath",
        "password": "pw",
        "endpoint": "PJSIP/{number}@trunk",
        "country": "DE",
        "headers": ["X-Tenant"],
        "variables": ["CAMPAIGN"],
    });
    let mut config = SPEC.read(&given, None).unwrap();
    SPEC.set_managed(&mut config, &[("app", json!("voiceapp"))]).unwrap();
    config
}

pub(in super::super) fn answer(status: u16, body: &Value) -> HttpResponse {
    let (status, headers) = (StatusCode::from_u16(status).unwrap(), HeaderMap::new());
    HttpResponse { status, headers, body: Bytes::from(body.to_string()) }
}

/// Asterisk's answers are told apart as far as it matters.
#[test]
fn answers_have_classes() {
    for exchange in vectors().rest_exchanges {
        let status = u16::try_from(exchange["response"]["status"].as_u64().unwrap()).unwrap();
        let answer = answer(status, &exchange["response"]["json"]);
        let class = match success(&answer) {
            Ok(()) => "ok",
            Err(CarrierError::Credentials) => "bad_credentials",
            Err(CarrierError::NotPermitted(_)) => "read_only",
            Err(CarrierError::NotFound) => "gone",
            Err(CarrierError::Refused { status: 400, .. }) => "bad_request",
            Err(CarrierError::Refused { status: 409, .. }) => "conflict",
            Err(CarrierError::Refused { status: 422, .. }) => "not_applicable",
            Err(CarrierError::Refused { status: 500 | 501, .. }) => "pbx_error",
            Err(error) => panic!("{exchange}: {error}"),
        };
        let expected = match exchange["expect"].as_str().unwrap() {
            // Of a variable, and of media whose name is in use.
            "absent" if status == 404 => "gone",
            "absent" | "conflict" if status == 500 => "pbx_error",
            expected => expected,
        };
        assert_eq!(class, expected, "{}", exchange["id"]);
        if status == 404 {
            assert_eq!(gone_is_done(&answer), Ok(()));
        }
    }
}

fn next<T: std::fmt::Debug>(op: &mut dyn Op<T>, answer: Option<HttpResponse>) -> HttpRequest {
    match op.next(answer) {
        Step::Send(request) => request,
        other => panic!("{other:?}"),
    }
}

fn originate(to: &str) -> Originate {
    Originate {
        to: Address::dialled(to).unwrap(),
        from: Address::parse("+4930123456", None).ok(),
        stream_url: String::new(),
        hooks: HookUrls::new("https://t.example", "ari", "tok").of_call("0190"),
        ring_timeout_s: 30,
        max_duration_s: 600,
        detect_machine: false,
        extra: Vec::new(),
    }
}

/// A call is placed under a name of ours. What says no is asked whether it did it all the same; a
/// number cannot change where a call goes.
#[test]
fn calls_are_placed_once() {
    let mut op = calls::originate(&config(), &originate("+15551234567")).unwrap();
    let request = next(op.as_mut(), None);
    let url = "http://pbx.example.com:8088/ari/channels?endpoint=PJSIP%2F%2B15551234567%40trunk\
               &app=voiceapp&channelId=voiceapp.o.0190&timeout=30&callerId=%2B4930123456";
    assert_eq!((request.method.as_str(), request.url.as_str()), ("POST", url));
    assert!(!request.repeatable);
    let refused = answer(500, &json!({"error": "Allocation failed"}));
    let look = next(op.as_mut(), Some(refused));
    assert_eq!(look.method, "GET");
    let gone = op.next(Some(answer(404, &json!({"message": "Channel not found"}))));
    let Step::Fail(error) = gone else { panic!() };
    assert_eq!(error, CarrierError::Destination(Some("Allocation failed".to_owned())));

    let mut op = calls::originate(&config(), &originate("601")).unwrap();
    next(op.as_mut(), None);
    next(op.as_mut(), Some(answer(409, &json!({"message": "exists"}))));
    let there = op.next(Some(answer(200, &json!({"id": "voiceapp.o.0190"}))));
    assert!(matches!(there, Step::Done(placed) if placed.call.0 == "voiceapp.o.0190"));

    for bad in ["sip:a@b.example", "a/b", "1&PJSIP/2", "1,2", "bob@elsewhere"] {
        let Ok(to) = Address::parse(bad, None) else { continue };
        let wanted = Originate { to, ..originate("601") };
        assert!(calls::originate(&config(), &wanted).is_err(), "{bad}");
    }
}

/// Headers and variables that a call is placed with go out as far as the configuration names them,
/// and nothing that would end a line does.
#[test]
fn what_calls_carry() {
    let mut stored = config().expose().clone();
    stored.insert("headers_out".to_owned(), json!(["User-to-User", "X-Tenant"]));
    stored.insert("variables_out".to_owned(), json!(["CAMPAIGN"]));
    let config = RawConfig::from_stored(stored.into()).unwrap();
    let extra = |name: &str, value: &str| (name.to_owned(), crate::secret::Pii::new(value));
    let mut wanted = originate("601");
    wanted.extra = vec![
        extra("user-to-user", "00a1;encoding=hex"),
        extra("CAMPAIGN", "spring, \"2\""),
        extra("campaign", "another"),
        extra("X-Other", "kept here"),
        extra("CALLERID(num)", "+49301"),
    ];
    let mut op = calls::originate(&config, &wanted).unwrap();
    let request = next(op.as_mut(), None);
    let body: Value = serde_json::from_slice(&request.body).unwrap();
    let expected = json!({
        "PJSIP_HEADER(add,User-to-User)": "00a1;encoding=hex", "CAMPAIGN": "spring, \"2\"",
    });
    assert_eq!(body, json!({ "variables": expected }));
    assert_eq!(request.headers["content-type"], "application/json");
    for bad in ["a\r\nVia: x", "\0", &"x".repeat(600)] {
        wanted.extra = vec![extra("X-Tenant", bad)];
        assert!(calls::originate(&config, &wanted).is_err());
    }
    let mut stored = config.expose().clone();
    stored.insert("endpoint".to_owned(), json!("Local/{number}@out"));
    let local = RawConfig::from_stored(stored.into()).unwrap();
    wanted.extra = vec![extra("X-Tenant", "t")];
    assert!(calls::originate(&local, &wanted).is_err(), "there is no SIP message to put it into");
    wanted.extra = Vec::new();
    let mut op = calls::originate(&config, &wanted).unwrap();
    assert!(next(op.as_mut(), None).body.is_empty());
}

/// An offered call is completed by what the configuration wants to know; what is not there is left
/// out; numbers are those of the country.
#[test]
fn offered_calls_are_completed() {
    let call = InboundCall {
        call: CarrierCallId("c1".to_owned()),
        from: Address::dialled("030123456").ok(),
        to: Address::dialled("030654321").unwrap(),
        extra: vec![("channel".to_owned(), crate::secret::Pii::new("PJSIP/a-1"))],
    };
    let mut op = (EVENTS.complete)(&config(), &call).unwrap();
    let first = next(op.as_mut(), None);
    assert!(
        first.url.ends_with("/channels/c1/variable?variable=PJSIP_HEADER%28read%2CX-Tenant%29")
    );
    let second = next(op.as_mut(), Some(answer(200, &json!({"value": "t1"}))));
    assert!(second.url.ends_with("/variable?variable=CAMPAIGN"));
    let done = op.next(Some(answer(404, &json!({"message": "not found"}))));
    let Step::Done(call) = done else { panic!("{done:?}") };
    assert_eq!((call.to.expose(), call.from.unwrap().expose()), ("+4930654321", "+4930123456"));
    let told: Vec<_> = call.extra.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(told, ["channel", "X-Tenant"]);
}

fn channel(id: &str, state: &str, app: &str) -> Value {
    json!({
        "id": id,
        "name": "PJSIP/a-1",
        "state": state,
        "caller": {"name": "", "number": "1000"},
        "dialplan": {"exten": "700", "app_name": "Stasis", "app_data": format!("{app},700")},
    })
}

/// What was left of calls that are over is deleted, who was not heard is offered; what lives, what
/// began since, what was handed over and what is others' stays.
#[test]
fn what_was_left_is_found() {
    let alive = Alive {
        calls: vec!["0190-live".to_owned()],
        legs: vec![CarrierCallId("caller".to_owned())],
        as_of: "0191".to_owned(),
    };
    let mut op = (EVENTS.tidy)(&config(), &alive).unwrap();
    assert!(next(op.as_mut(), None).url.ends_with("/ari/channels"));
    let channels = json!([
        channel("voiceapp.m.0190-live.1", "Up", "voiceapp"),
        channel("voiceapp.m.0190-dead.1", "Up", "voiceapp"),
        channel("voiceapp.m.0192-new.1", "Up", "voiceapp"),
        channel("voiceapp.t.0190-handed", "Up", "voiceapp"),
        channel("handed", "Up", "voiceapp"),
        channel("caller", "Up", "voiceapp"),
        channel("unheard", "Ring", "voiceapp"),
        channel("voiceapp.o.0190-live;2", "Up", "voiceapp"),
        channel("others", "Up", "another"),
    ]);
    let bridges = next(op.as_mut(), Some(answer(200, &channels)));
    assert!(bridges.url.ends_with("/ari/bridges"));
    let bridges = json!([
        {"id": "voiceapp.b.0190-live", "channels": ["caller", "voiceapp.m.0190-live.1"]},
        {"id": "voiceapp.b.0190-dead", "channels": ["voiceapp.m.0190-dead.1"]},
        {"id": "voiceapp.b.0190-handed", "channels": ["handed", "voiceapp.t.0190-handed"]},
        {"id": "others", "channels": []},
    ]);
    let mut deleted = Vec::new();
    let mut last = Some(answer(200, &bridges));
    let callers = loop {
        match op.next(last.take()) {
            Step::Send(request) => {
                assert_eq!(request.method, "DELETE");
                let path = request.url.split("/ari/").nth(1).unwrap().to_owned();
                deleted.push(path.split('?').next().unwrap().to_owned());
                last = Some(answer(404, &json!({"message": "gone"})));
            }
            Step::Done(callers) => break callers,
            Step::Fail(error) => panic!("{error}"),
        }
    };
    assert_eq!(deleted, ["channels/voiceapp.m.0190-dead.1", "bridges/voiceapp.b.0190-dead"]);
    let callers: Vec<_> = callers.iter().map(|call| call.call.0.as_str()).collect();
    assert_eq!(callers, ["unheard"]);
}
