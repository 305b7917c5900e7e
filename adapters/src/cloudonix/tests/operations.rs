//! Operations against what the carrier answers.

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};

use super::super::{calls, numbers, provision, transfer as transfers};
use super::documents::transfer;
use super::{PLACED, SESSION, config, urls, vectors};
use crate::address::Address;
use crate::config::RawConfig;
use crate::event::{CallFact, CarrierCallId, HangupCause};
use crate::exchange::{CarrierError, HttpRequest, HttpResponse};
use crate::op::{Bind, OpResult, Originate, Step, TransferKind};

const API: &str = "https://api.cloudonix.io";

fn answer(status: u16, body: &Value) -> HttpResponse {
    let body = match body {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let (status, headers) = (StatusCode::from_u16(status).unwrap(), HeaderMap::new());
    HttpResponse { status, headers, body: Bytes::from(body) }
}

fn exchange(id: &str) -> Value {
    let vectors = vectors();
    let all = vectors["rest_exchanges"].as_array().unwrap();
    all.iter().find(|exchange| exchange["id"] == id).unwrap().clone()
}

/// The answer of an exchange of the vectors.
fn of_vector(id: &str) -> HttpResponse {
    let told = exchange(id)["response"].clone();
    let status = u16::try_from(told["status"].as_u64().unwrap()).unwrap();
    answer(status, if told["json"].is_null() { &told["body"] } else { &told["json"] })
}

/// Runs an operation with these answers, one after the other.
fn run<T>(
    op: OpResult<T>,
    answers: &[HttpResponse],
) -> (Vec<HttpRequest>, Result<T, CarrierError>) {
    let mut op = match op {
        Ok(op) => op,
        Err(error) => return (Vec::new(), Err(error)),
    };
    let (mut sent, mut answers, mut last) = (Vec::new(), answers.iter(), None);
    loop {
        match op.next(last.take()) {
            Step::Send(request) => sent.push(request),
            Step::Done(done) => return (sent, Ok(done)),
            Step::Fail(error) => return (sent, Err(error)),
        }
        last = answers.next().cloned();
    }
}

fn body(request: &HttpRequest) -> Value {
    serde_json::from_slice(&request.body).unwrap_or_default()
}

/// A request is that of the vectors: method, address, headers, and the body but for `ours`.
fn is_known(sent: &HttpRequest, id: &str, ours: &[&str]) {
    let known = exchange(id)["request"].clone();
    assert_eq!(sent.method.as_str(), known["method"], "{id}");
    assert_eq!(sent.url, known["url"].as_str().unwrap(), "{id}");
    for (name, value) in known["headers"].as_object().unwrap() {
        // There is nothing to have a type without a body.
        if name == "Content-Type" && sent.body.is_empty() {
            continue;
        }
        assert_eq!(sent.headers[name.to_lowercase()].to_str().unwrap(), value, "{id} {name}");
    }
    let (mut got, mut known) = (body(sent), known["json"].clone());
    for name in ours {
        got.as_object_mut().unwrap().remove(*name);
        known.as_object_mut().unwrap().remove(*name);
    }
    assert_eq!(got, known, "{id}");
}

fn originate() -> Originate {
    Originate {
        to: Address::parse("+15557654321", None).unwrap(),
        from: Address::parse("+15551234567", None).ok(),
        stream_url: "wss://t.example/ws".to_owned(),
        hooks: urls(),
        ring_timeout_s: 30,
        max_duration_s: 0,
        detect_machine: false,
        extra: Vec::new(),
    }
}

/// A call is placed as it is known to work; its session comes back, also with the status of
/// something that was made.
#[test]
fn a_call_is_placed() {
    let with = config(json!({"trunk": "carrier-out"}));
    let (sent, placed) = run(calls::originate(&with, &originate()), &[of_vector("originate")]);
    is_known(&sent[0], "originate", &["cxml", "callback"]);
    assert!(!sent[0].repeatable);
    let said = body(&sent[0]);
    assert!(said["cxml"].as_str().unwrap().contains("<Stream url=\"wss://t.example/ws\""));
    assert!(said["callback"].as_str().unwrap().ends_with("/status/tok/call-1"));
    assert_eq!(placed.unwrap().call.0, PLACED);
    let made = answer(201, &json!({"token": "t1"}));
    assert_eq!(run(calls::originate(&with, &originate()), &[made]).1.unwrap().call.0, "t1");
    let mut withheld = originate();
    withheld.from = None;
    assert!(matches!(run(calls::originate(&with, &withheld), &[]).1, Err(CarrierError::Config(_))));
}

/// Machines are detected while the agent speaks, before, or never; a call is recorded if that is
/// wanted; its length is limited if it is.
#[test]
fn wishes_of_a_call() {
    let said = |more: Value| {
        let call = Originate { detect_machine: true, max_duration_s: 600, ..originate() };
        body(&run(calls::originate(&config(more), &call), &[]).0[0])
    };
    let plain = said(json!({}));
    assert_eq!((&plain["timeLimit"], &plain["machineDetection"]), (&json!(600), &json!("Enable")));
    assert_eq!(plain["asyncAmd"], true, "not a text");
    assert!(plain["asyncAmdStatusCallback"].as_str().unwrap().ends_with("/amd/tok/call-1"));
    assert!(plain["record"].is_null() && plain["trunk"].is_null());
    let sync =
        said(json!({"amd_mode": "sync", "amd_wait_for_beep": true, "record_outbound": true}));
    assert_eq!(sync["machineDetection"], "DetectMessageEnd");
    assert!(sync["asyncAmd"].is_null() && sync["record"] == true);
    assert!(sync["recordingStatusCallback"].as_str().unwrap().ends_with("/recording/tok/call-1"));
    assert!(said(json!({"amd_mode": "off"}))["machineDetection"].is_null());
}

/// What the carrier answers is told by the status alone; a message is kept, without numbers.
#[test]
fn errors_by_status() {
    let fails = |id: &str| {
        run(calls::originate(&config(json!({})), &originate()), &[of_vector(id)]).1.unwrap_err()
    };
    for exchange in vectors()["rest_exchanges"].as_array().unwrap() {
        let id = exchange["id"].as_str().unwrap();
        let Some(expected) = exchange["adapter_error"].as_str() else { continue };
        if id == "get-session-404" {
            continue;
        }
        let error = fails(id);
        let fits = match expected.split(':').next().unwrap() {
            "carrier_protocol_error" => matches!(error, CarrierError::Answer(_)),
            "invalid_request" => matches!(error, CarrierError::Refused { status: 400, .. }),
            "auth_failed" => error == CarrierError::Credentials,
            "configuration_error" => matches!(error, CarrierError::Config(_)),
            "rate_limited" => matches!(error, CarrierError::TooMany { .. }),
            "carrier_unavailable" => error == CarrierError::Unavailable,
            other => panic!("{other} is new"),
        };
        assert!(fits, "{id}: {error:?}");
        if let Some(retryable) = exchange["retryable"].as_bool() {
            assert_eq!(error.is_retryable(), retryable, "{id}");
        }
    }
    let told = answer(400, &json!({"status": false, "message": "no +15557654321 here"}));
    let error = run(calls::originate(&config(json!({})), &originate()), &[told]).1.unwrap_err();
    let shown = error.to_string();
    assert!(shown.contains("no +1555") && !shown.contains("5557654"), "{shown}");
}

/// A session is asked for, ended once and again, and switched to another document.
#[test]
fn sessions() {
    let (plain, id) = (config(json!({})), CarrierCallId(PLACED.to_owned()));
    let (sent, told) = run(calls::status(&plain, &id), &[of_vector("get-session")]);
    is_known(&sent[0], "get-session", &[]);
    let told = told.unwrap();
    assert_eq!((told.len(), &told[0].what), (1, &CallFact::Answered));
    assert_eq!((told[0].at_unix_ms, told[0].id.as_ref()), (Some(1_767_693_603_001), None));
    let gone = run(calls::status(&plain, &id), &[of_vector("get-session-404")]).1;
    assert_eq!(gone, Err(CarrierError::CallOver));
    let over = answer(200, &json!({"token": PLACED, "status": "noanswer"}));
    let over = run(calls::status(&plain, &id), &[over]).1.unwrap();
    assert!(matches!(&over[0].what, CallFact::Ended(e) if e.cause == HangupCause::NoAnswer));
    for vector in ["hangup", "hangup-gone"] {
        let (sent, done) = run(calls::hangup(&plain, &id), &[of_vector(vector)]);
        is_known(&sent[0], "hangup", &[]);
        assert!(done.is_ok() && sent[0].repeatable && sent[0].body.is_empty(), "{vector}");
    }
    let done = run(calls::hangup(&plain, &id), &[answer(200, &json!({}))]).1;
    assert!(done.is_ok());
}

/// Blind: the call gets a document that dials. Attended: the destination is called into a
/// conference, and the caller follows. There is no third way.
#[test]
fn transfers_by_each_way() {
    let plain = config(json!({"trunk": "carrier-out"}));
    let blind = transfer(TransferKind::Blind, "+15558889999");
    let switched = of_vector("switch-application");
    let (sent, done) = run(transfers::transfer(&plain, &blind), std::slice::from_ref(&switched));
    is_known(&sent[0], "switch-application", &["cxml"]);
    assert!(done == Ok(None) && !sent[0].repeatable, "nobody is called apart");
    assert!(body(&sent[0])["cxml"].as_str().unwrap().contains("<Number>+15558889999</Number>"));
    let accepted = answer(202, &json!({}));
    assert!(run(transfers::transfer(&plain, &blind), &[accepted]).1.is_ok());
    let gone = run(transfers::transfer(&plain, &blind), &[answer(404, &json!(""))]).1;
    assert_eq!(gone, Err(CarrierError::CallOver));
    let refer = transfer(TransferKind::Refer, "sip:alice@example.com");
    let refused = run(transfers::transfer(&plain, &refer), &[]);
    assert!(refused.0.is_empty() && matches!(refused.1, Err(CarrierError::Config(_))));
    let attended = transfer(TransferKind::Attended, "+15558889999");
    let placed = of_vector("originate");
    let (sent, done) = run(transfers::transfer(&plain, &attended), &[placed]);
    let said = body(&sent[0]);
    assert_eq!(sent[0].url, format!("{API}/calls/acme.cloudonix.net/application"));
    assert_eq!(
        (&said["destination"], &said["trunk"]),
        (&json!("+15558889999"), &json!("carrier-out"))
    );
    assert!(said["callback"].as_str().unwrap().contains("/transfer-leg/"));
    assert_eq!(done, Ok(Some(CarrierCallId(PLACED.to_owned()))));
    assert!(!sent[0].repeatable);
    let (sent, done) = run(transfers::join(&plain, &attended), &[switched]);
    is_known(&sent[0], "switch-application", &["cxml"]);
    assert!(done.is_ok());
    assert!(
        sent[0].url.contains(SESSION)
            && body(&sent[0])["cxml"].as_str().unwrap().contains("<Conference")
    );
}

fn bind(hooks: bool) -> Bind {
    let address = Address::parse("+15551234567", None).unwrap();
    Bind { address, hooks: hooks.then(urls) }
}

/// The list of numbers, which is not there when it is empty; what stands for many numbers is none.
#[test]
fn numbers_of_the_domain() {
    let plain = config(json!({}));
    let (sent, list) = run(numbers::numbers(&plain), &[of_vector("list-dnids")]);
    is_known(&sent[0], "list-dnids", &[]);
    let list = list.unwrap();
    assert_eq!((list.len(), list[0].address.expose()), (1, "+15551234567"));
    assert_eq!(
        (list[0].id.as_str(), list[0].bound_to.as_deref(), list[0].ours),
        ("90", Some("application 4500"), true)
    );
    let none = run(numbers::numbers(&plain), &[of_vector("list-dnids-empty")]).1;
    assert_eq!(none, Ok(Vec::new()));
    let odd = json!([{"id": 1, "source": "+1555", "prefix": true}, {"id": 2, "source": null}, 7,
        {"id": 3, "source": "15550001111", "applicationId": null}]);
    let list = run(numbers::numbers(&plain), &[answer(200, &odd)]).1.unwrap();
    assert_eq!(
        (list.len(), list[0].address.expose(), list[0].bound_to.as_deref()),
        (1, "+15550001111", Some(""))
    );
}

/// A number is added to our application; one that is there already is left as it is, one of another
/// application is not taken away, and none takes the address of the application with it.
#[test]
fn numbers_are_bound() {
    let plain = config(json!({}));
    let (added, set) = (of_vector("create-dnid"), of_vector("set-application-url"));
    let empty = of_vector("list-dnids-empty");
    let (sent, done) =
        run(numbers::bind(&plain, &bind(true)), &[empty.clone(), added, set.clone()]);
    assert!(done.is_ok());
    is_known(&sent[1], "create-dnid", &[]);
    assert!(!sent[1].repeatable);
    assert_eq!(sent[2].method, "PUT");
    assert!(sent[2].url.ends_with("/domains/acme.cloudonix.net/applications/4500"));
    assert_eq!(body(&sent[2])["url"], urls().url("voice"));
    let ours = of_vector("list-dnids");
    let (sent, done) = run(numbers::bind(&plain, &bind(true)), &[ours.clone(), set]);
    assert!(done.is_ok() && sent.len() == 2 && sent[1].method == "PUT");
    let others = answer(200, &json!([{"id": 9, "source": "15551234567", "applicationId": 7}]));
    let (sent, refused) = run(numbers::bind(&plain, &bind(true)), std::slice::from_ref(&others));
    let owner = "the number belongs to application 7".to_owned();
    assert_eq!((sent.len(), refused), (1, Err(CarrierError::NotPermitted(Some(owner)))));
    for (list, done) in [(others, true), (empty, true), (ours, false)] {
        let (sent, freed) = run(numbers::bind(&plain, &bind(false)), &[list]);
        assert_eq!((sent.len(), freed.is_ok()), (1, done));
    }
    let early = RawConfig::from_stored(json!({"domain": "a.b", "api_token": "t"})).unwrap();
    assert!(matches!(run(numbers::bind(&early, &bind(true)), &[]).1, Err(CarrierError::Config(_))));
}

/// The profile keeps what is in it and gets what is ours; the application is found by name, by the
/// id of before, or made; ids come back.
#[test]
fn a_domain_is_set_up() {
    let named = config(json!({"application_name": "voice-agent"}));
    let answers = [
        of_vector("get-domain"),
        of_vector("set-domain-callbacks"),
        of_vector("set-application-url"),
    ];
    let (sent, managed) = run(provision::provision(&named, &urls()), &answers);
    is_known(&sent[0], "get-domain", &[]);
    let profile = &body(&sent[1])["profile"];
    assert_eq!(profile["call-timeout"], 60, "kept");
    assert_eq!(profile["authorization-api-key"], "rk^made-up!_Value=01--Zz)");
    assert_eq!(profile["cdr-endpoint"], urls().url("cdr"));
    assert!(profile["session-update-endpoint"].is_null() && sent[1].method == "PUT");
    is_known(&sent[2], "set-application-url", &["url"]);
    let uuid = json!("11111111-2222-4333-8444-555555555555");
    assert_eq!(managed.unwrap(), [("application_id", json!("4500")), ("domain_uuid", uuid)]);
    assert!(sent.iter().all(|request| request.repeatable));

    let apart = config(json!({"domain_callbacks": false}));
    let made = answer(200, &json!({"id": 77, "uuid": "u", "name": "n"}));
    let answers = [of_vector("get-domain"), answer(404, &json!("")), made];
    let (sent, managed) = run(provision::provision(&apart, &urls()), &answers);
    assert!(sent[1].url.ends_with("/applications/4500") && sent[1].method == "PUT");
    assert!(sent[2].url.ends_with("/applications") && sent[2].method == "POST");
    assert!(
        !sent[2].repeatable && body(&sent[2])["name"].as_str().unwrap().starts_with("talkpath-")
    );
    assert_eq!(managed.unwrap()[0], ("application_id", json!("77")));

    let told = config(json!({"session_updates": true}));
    let (sent, _) = run(provision::provision(&told, &urls()), &[of_vector("get-domain")]);
    assert_eq!(body(&sent[1])["profile"]["session-update-endpoint"], urls().url("status"));
}

/// The domain is asked for: a key that is not known, a domain that is not there or not in use.
#[test]
fn credentials_are_tried() {
    let try_with = |answer| run(numbers::test(&config(json!({}))), &[answer]).1;
    assert_eq!(try_with(of_vector("get-domain")), Ok(()));
    assert_eq!(try_with(answer(403, &json!(""))), Err(CarrierError::Credentials));
    assert!(matches!(try_with(answer(404, &json!(""))), Err(CarrierError::Config(_))));
    let inactive = try_with(answer(200, &json!({"active": false})));
    assert_eq!(inactive, Err(CarrierError::NotPermitted(Some("inactive".to_owned()))));
}
