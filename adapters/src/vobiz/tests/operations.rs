//! Requests to the API, and what is made of its answers.

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use serde_json::{Map, Value, json};

use super::super::SPEC;
use super::{config, urls, vectors};
use crate::address::Address;
use crate::event::{CallFact, CarrierCallId, HangupCause, Price};
use crate::exchange::{CarrierError, HttpRequest, HttpResponse};
use crate::op::{Bind, Op, Originate, Record, SendDigits, Step, Transfer, TransferKind};
use crate::secret::Pii;

const CALL: &str = "66667777-3333-4444-8555-111122223333";

fn answer_of(status: u16, body: &Value) -> HttpResponse {
    let status = StatusCode::from_u16(status).unwrap();
    let body = if body.is_null() { Bytes::new() } else { Bytes::from(body.to_string()) };
    HttpResponse { status, headers: HeaderMap::new(), body }
}

fn rest(name: &str) -> Value {
    let vectors = vectors();
    vectors["rest"].as_array().unwrap().iter().find(|rest| rest["name"] == name).unwrap().clone()
}

fn response(name: &str) -> Option<HttpResponse> {
    let response = &rest(name)["response"];
    Some(answer_of(response["status"].as_u64().unwrap() as u16, &response["json"]))
}

fn sent<T>(op: &mut dyn Op<T>, last: Option<HttpResponse>) -> HttpRequest {
    match op.next(last) {
        Step::Send(request) => request,
        Step::Done(_) => panic!("done"),
        Step::Fail(error) => panic!("{error}"),
    }
}

/// Our request is the documented one, but for the fields that are named.
fn compare(name: &str, ours: &HttpRequest, own: &[&str]) {
    let theirs = rest(name)["request"].clone();
    assert_eq!(ours.method.as_str(), theirs["method"], "{name}");
    assert_eq!(ours.url, theirs["url"].as_str().unwrap(), "{name}");
    assert_eq!(ours.headers["x-auth-id"], "MA_EXAMPLE1");
    let token = &ours.headers["x-auth-token"];
    assert!(token.is_sensitive() && token.to_str().unwrap().starts_with("exampleMain"));
    let strip = |body: &Value| -> Map<String, Value> {
        let body = body.as_object().cloned().unwrap_or_default();
        body.into_iter().filter(|(name, _)| !own.contains(&name.as_str())).collect()
    };
    let body = serde_json::from_slice(&ours.body).unwrap_or_default();
    assert_eq!(strip(&body), strip(&theirs["json"]), "{name}");
}

fn number(text: &str) -> Address {
    Address::parse(text, None).unwrap()
}

fn originate() -> Originate {
    Originate {
        to: number("+911234567890"),
        from: Some(number("+911234567891")),
        stream_url: "wss://t.example/s".to_owned(),
        hooks: urls(),
        ring_timeout_s: 30,
        max_duration_s: 3600,
        detect_machine: false,
        extra: Vec::new(),
    }
}

fn transfer(kind: TransferKind, call: &str) -> Transfer {
    Transfer {
        id: "t-1".to_owned(),
        kind,
        call: CarrierCallId(call.to_owned()),
        to: number("+911234567899"),
        from: Some(number("+911234567891")),
        hooks: urls(),
        ring_timeout_s: 30,
    }
}

/// Calls are placed, whatever success is called, and ended.
#[test]
fn calls_are_placed_and_ended() {
    let (config, ops, call) = (config(json!({})), SPEC.calls, CarrierCallId(CALL.to_owned()));
    let own = ["answer_url", "ring_url", "hangup_url", "ring_timeout", "time_limit"];
    let mut op = ops.originate.unwrap()(&config, &originate()).unwrap();
    let request = sent(op.as_mut(), None);
    compare("make_call", &request, &own);
    assert!(!request.repeatable, "it may have been carried out");
    assert!(matches!(op.next(response("make_call")), Step::Done(placed) if placed.call == call));
    let place = |answer| {
        let mut op = ops.originate.unwrap()(&config, &originate()).unwrap();
        sent(op.as_mut(), None);
        op.next(Some(answer))
    };
    let placed = place(response("make_call_201").unwrap());
    assert!(matches!(placed, Step::Done(placed) if placed.call == call));
    for name in ["RequestUUID", "call_uuid", "CallUUID"] {
        let placed = place(answer_of(202, &json!({name: "x"})));
        assert!(matches!(placed, Step::Done(placed) if placed.call.0 == "x"), "{name}");
    }
    assert!(matches!(place(answer_of(200, &json!({}))), Step::Fail(CarrierError::Answer(_))));
    let busy = place(response("error_shape_a").unwrap());
    assert!(matches!(busy, Step::Fail(CarrierError::TooMany { retry_after_s: Some(1) })));
    let poor = place(response("insufficient_balance").unwrap());
    assert!(matches!(poor, Step::Fail(CarrierError::NotPermitted(_))));

    for gone in ["hangup_ok", "hangup_gone"] {
        let mut op = ops.hangup.unwrap()(&config, &call).unwrap();
        compare("hangup_ok", &sent(op.as_mut(), None), &[]);
        assert!(matches!(op.next(response(gone)), Step::Done(())), "{gone}");
    }
    let digits = SendDigits { call: call.clone(), digits: Pii::new("12#") };
    let mut op = ops.dtmf.unwrap()(&config, &digits).unwrap();
    compare("send_dtmf", &sent(op.as_mut(), None), &[]);
    let record = |on| Record { call: call.clone(), on, hooks: urls() };
    let mut op = ops.record.unwrap()(&config, &record(true)).unwrap();
    let request = sent(op.as_mut(), None);
    assert!(request.url.ends_with(&format!("/Account/MA_EXAMPLE1/Call/{CALL}/Record/")));
    assert!(String::from_utf8_lossy(&request.body).contains("/vobiz/record/tok/c1"));
    let mut op = ops.record.unwrap()(&config, &record(false)).unwrap();
    assert_eq!(sent(op.as_mut(), None).method, "DELETE");
    let mut op = ops.test.unwrap()(&config).unwrap();
    compare("auth_check", &sent(op.as_mut(), None), &[]);
    assert!(matches!(op.next(response("auth_check")), Step::Done(())));
}

/// How a call stands: live, waiting, or over as its record says. The record tells its cost too, and
/// comes late.
#[test]
fn calls_are_asked_about() {
    let (config, ops, call) = (config(json!({})), SPEC.calls, CarrierCallId(CALL.to_owned()));
    let status = || ops.status.unwrap()(&config, &call).unwrap();
    let mut op = status();
    compare("live_call", &sent(op.as_mut(), None), &[]);
    let Step::Done(live) = op.next(response("live_call")) else { panic!("more") };
    assert_eq!(live[0].what, CallFact::Answered);
    for (state, what) in [("RINGING", CallFact::Ringing), ("EARLY", CallFact::Ringing)] {
        let mut op = status();
        sent(op.as_mut(), None);
        let body = json!({"calls": [{"call_uuid": CALL, "call_state": state}]});
        let Step::Done(live) = op.next(Some(answer_of(200, &body))) else { panic!("more") };
        assert_eq!(live[0].what, what);
    }
    let mut op = status();
    sent(op.as_mut(), None);
    let empty = Some(answer_of(200, &json!({"calls": []})));
    let queued = sent(op.as_mut(), empty);
    assert!(queued.url.ends_with("/?status=queued"));
    compare("cdr", &sent(op.as_mut(), response("hangup_gone")), &[]);
    let Step::Done(over) = op.next(response("cdr")) else { panic!("more") };
    assert_eq!(over[0].at_unix_ms, Some(1_772_600_813_000));
    let CallFact::Ended(end) = &over[0].what else { panic!("{over:?}") };
    assert_eq!((end.cause, end.duration_ms), (HangupCause::Normal, Some(41_000)));

    let cost = |answer: Option<HttpResponse>| {
        let mut op = ops.cost.unwrap()(&config, &call).unwrap();
        compare("cdr", &sent(op.as_mut(), None), &[]);
        op.next(answer)
    };
    let price = Some(Price { amount: "0.55".to_owned(), currency: "INR".to_owned() });
    assert!(matches!(cost(response("cdr")), Step::Done(cost) if cost == price));
    assert!(matches!(cost(response("hangup_gone")), Step::Done(None)), "not there yet");
}

/// Transfers: the caller is sent to a document that dials, or both meet in a room.
#[test]
fn transfers() {
    let (config, ops) = (config(json!({})), SPEC.calls);
    let blind = transfer(TransferKind::Blind, "5d6e7f80-1111-4222-8333-444455556666");
    let mut op = ops.transfer.unwrap()(&config, &blind).unwrap();
    compare("transfer", &sent(op.as_mut(), None), &["aleg_url"]);
    assert!(matches!(op.next(response("transfer")), Step::Done(None)));
    let attended = transfer(TransferKind::Attended, CALL);
    let mut op = ops.transfer.unwrap()(&config, &attended).unwrap();
    let call: Value = serde_json::from_slice(&sent(op.as_mut(), None).body).unwrap();
    let mut op = ops.join.unwrap()(&config, &attended).unwrap();
    let join: Value = serde_json::from_slice(&sent(op.as_mut(), None).body).unwrap();
    let room = |url: &Value| url.as_str().unwrap().split("room=").nth(1).unwrap().to_owned();
    assert_eq!(room(&call["answer_url"]), room(&join["aleg_url"]));
    assert!(matches!(op.next(response("hangup_gone")), Step::Fail(CarrierError::CallOver)));
    let refer = ops.transfer.unwrap()(&config, &transfer(TransferKind::Refer, CALL));
    assert!(matches!(refer, Err(CarrierError::Config(_))));
}

/// Numbers are listed by pages and attached to our application, which is brought up to date only
/// then; another's is left alone; an application that is gone is made again.
#[test]
fn numbers_and_application() {
    let (config, ops) = (config(json!({})), SPEC.calls);
    let mut op = ops.numbers.unwrap()(&config).unwrap();
    assert!(sent(op.as_mut(), None).url.ends_with("/numbers?page=1&per_page=100"));
    let mut first = rest("numbers_search")["response"]["json"].clone();
    first["total"] = json!(101);
    let second = sent(op.as_mut(), Some(answer_of(200, &first)));
    assert!(second.url.ends_with("/numbers?page=2&per_page=100"));
    first["items"][0]["e164"] = json!("not a number, really");
    let Step::Done(numbers) = op.next(Some(answer_of(200, &first))) else { panic!("more") };
    assert_eq!(numbers.len(), 1);
    assert_eq!(numbers[0].bound_to.as_deref(), Some("12345678901234567"));

    let bind = |hooks| {
        let mut op = ops.bind.unwrap()(&config, &Bind { address: number("+911234567891"), hooks });
        compare("numbers_search", &sent(op.as_mut().unwrap().as_mut(), None), &[]);
        op.unwrap()
    };
    let held_by = |application: Value| {
        let mut body = rest("numbers_search")["response"]["json"].clone();
        body["items"][0]["application_id"] = application;
        Some(answer_of(200, &body))
    };
    let own =
        ["fallback_answer_url", "fallback_method", "hangup_url", "hangup_method", "answer_url"];
    let mut op = bind(Some(urls()));
    compare("app_update", &sent(op.as_mut(), response("numbers_search")), &own);
    assert!(matches!(op.next(response("app_update")), Step::Done(())), "attached already");
    let mut op = bind(Some(urls()));
    compare("attach_number", &sent(op.as_mut(), held_by(Value::Null)), &[]);
    compare("app_update", &sent(op.as_mut(), response("attach_number")), &own);
    let mut op = bind(Some(urls()));
    sent(op.as_mut(), held_by(json!("9")));
    let refused = op.next(Some(answer_of(409, &json!({"error": "attached elsewhere"}))));
    assert!(matches!(refused, Step::Fail(CarrierError::Refused { status: 409, .. })));
    for gone in ["detach_number", "hangup_gone"] {
        let mut op = bind(None);
        compare("detach_number", &sent(op.as_mut(), response("numbers_search")), &[]);
        assert!(matches!(op.next(response(gone)), Step::Done(())), "{gone}");
    }
    assert!(matches!(bind(None).next(held_by(json!("9"))), Step::Done(())), "another's");
    let nobody = Some(answer_of(200, &json!({"items": [], "total": 0})));
    assert!(matches!(bind(None).next(nobody), Step::Fail(CarrierError::NotFound)));

    let mut op = ops.provision.unwrap()(&config, &urls()).unwrap();
    sent(op.as_mut(), None);
    let make = sent(op.as_mut(), response("hangup_gone"));
    compare("app_create", &make, &[&own[..], &["app_name"]].concat());
    let made = op.next(response("app_create"));
    assert!(matches!(made, Step::Done(v) if v == [("application_id", json!("12345678901234567"))]));
}
