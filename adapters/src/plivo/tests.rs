//! The carrier's own messages and those of its official libraries, against what is made of them
//! here.

mod signatures;
mod streams;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};
use serde_json::{Map, Value, json};

use super::{SPEC, answer, hooks};
use crate::address::Address;
use crate::config::RawConfig;
use crate::event::{CallFact, CarrierCallId, HangupCause, Price};
use crate::exchange::{CarrierError, HttpRequest, HttpResponse};
use crate::hook::{HookError, HookRequest, HookUrls, Take};
use crate::op::{Bind, Op, Originate, Record, Refusal, SendDigits, Step, Transfer, TransferKind};
use crate::secret::Pii;

const CALL: &str = "11112222-3333-4444-8555-666677778888";

fn vectors() -> Value {
    serde_json::from_str(include_str!("fixtures/vectors.json")).unwrap()
}

fn config_with(change: impl FnOnce(&mut Map<String, Value>)) -> RawConfig {
    let fixture: Value = serde_json::from_str(include_str!("fixtures/config_full.json")).unwrap();
    let mut given = fixture["config"].as_object().unwrap().clone();
    for field in ["media_codec", "media_rate", "l16_byte_order", "noise_cancellation_level"] {
        given.remove(field);
    }
    given.insert("noise_cancellation".to_owned(), json!(false));
    change(&mut given);
    let mut config = SPEC.read(&Value::Object(given), None).unwrap();
    let application = json!("12345678901234567");
    SPEC.set_managed(&mut config, &[("application_id", application)]).unwrap();
    config
}

fn config() -> RawConfig {
    config_with(|_| {})
}

fn stored(values: &[(&str, &str)], accept_v2: bool) -> RawConfig {
    let mut map: Map<String, Value> =
        values.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
    map.insert("accept_v2".to_owned(), json!(accept_v2));
    RawConfig::from_stored(Value::Object(map)).unwrap()
}

fn hook_of(name: &str, config: &RawConfig, body: &str) -> Result<crate::hook::Handled, HookError> {
    let request = HookRequest {
        method: &Method::POST,
        url: "https://t.example/api/v1/telephony/plivo/x/tok",
        headers: &HeaderMap::new(),
        body: body.as_bytes(),
        unix_s: 0,
    };
    (SPEC.hook(name).unwrap().handle)(&request, config)
}

/// A webhook of another account is refused; a subaccount's may name the main account, whether that
/// is configured or not.
#[test]
fn accounts_are_told_apart() {
    let body = |account: &str| format!("CallUUID=c&Event=Ring&ParentAuthID={account}");
    let foreign = hook_of("status", &config(), &body("MAOTHER0000000000009"));
    assert_eq!(foreign, Err(HookError::Field("ParentAuthID")));
    assert!(hook_of("status", &config(), &body("MAEXAMPLE00000000001")).is_ok());
    let sub = stored(&[("auth_id", "SAEXAMPLE00000000002")], false);
    assert!(hook_of("status", &sub, &body("MAEXAMPLE00000000001")).is_ok());
    let main = [("auth_id", "SAEXAMPLE00000000002"), ("main_auth_id", "MAEXAMPLE00000000001")];
    assert!(hook_of("status", &stored(&main, false), &body("MAEXAMPLE00000000001")).is_ok());
    assert!(hook_of("status", &stored(&main, false), &body("MAOTHER0000000000009")).is_err());
    let get = HookRequest {
        method: &Method::GET,
        url: "https://t.example/a?CallUUID=c&Direction=inbound&From=12025550143&To=12025550100",
        headers: &HeaderMap::new(),
        body: b"",
        unix_s: 0,
    };
    let offered = (hooks::INBOUND.parse)(&get).unwrap();
    assert_eq!(offered.call.0, "c");
}

fn urls() -> HookUrls {
    HookUrls::new("https://t.example", "plivo", "tok").of_call("c1")
}

fn document(reply: &crate::hook::HookReply) -> String {
    assert_eq!((reply.status.as_u16(), reply.content_type), (200, "application/xml"));
    String::from_utf8(reply.body.to_vec()).unwrap()
}

/// Documents are those of the official library, in its words; ours say more about a stream.
#[test]
fn documents_are_those_of_the_official_library() {
    let xml = vectors()["xml"].clone();
    let text = |name: &str| xml[name].as_str().unwrap().to_owned();
    let says = config_with(|given| {
        let text = "Sorry, we cannot take your call <now> & here.";
        given.insert("unavailable_text".to_owned(), json!(text));
    });
    for config in [config(), says.clone()] {
        assert_eq!(document(&answer::refuse(&config, Refusal::Busy)), text("reject_busy"));
        for refusal in [Refusal::NotFound, Refusal::Rejected] {
            assert_eq!(document(&answer::refuse(&config, refusal)), text("reject"));
        }
    }
    assert_eq!(document(&answer::refuse(&config(), Refusal::Unavailable)), text("reject"));
    assert_eq!(document(&answer::refuse(&says, Refusal::Unavailable)), text("speak_error"));
    assert_eq!(document(&answer::hangup()), text("hangup"));
    let callback =
        " callbackUrl=\"https://agent.example.com/hooks/plivo/conf/1\" callbackMethod=\"POST\"";
    let conference = text("conference").replace(callback, "");
    assert_eq!(document(&answer::conference("xfer-1f2e3d")), conference);
    let stream_url = "wss://agent.example.com/media/plivo?run=42&key=abc".to_owned();
    let take = Take { stream_url, hooks: urls() };
    let taken = document(&answer::take(&config(), &take).unwrap());
    let status = " statusCallbackUrl=\"https://t.example/api/v1/telephony/plivo/stream/tok/c1\" \
                  statusCallbackMethod=\"POST\"";
    let again = "<Redirect method=\"POST\">https://t.example/api/v1/telephony/plivo/answer/tok/c1\
                 </Redirect>";
    let bare = taken.replace(status, "").replace(again, "").replace(" audioTrack=\"inbound\"", "");
    assert_eq!(bare, text("stream"));
    let linear = config_with(|given| {
        given.insert("media_codec".to_owned(), json!("L16"));
        given.insert("noise_cancellation".to_owned(), json!(true));
    });
    let taken = document(&answer::take(&linear, &take).unwrap());
    assert!(taken.contains("contentType=\"audio/x-l16;rate=16000\""), "{taken}");
    assert!(taken.contains("noiseCancellationLevel=\"85\""), "{taken}");
}

/// A blind transfer dials, comes back to the same hook when that is over, and tells how it goes.
#[test]
fn blind_transfers_dial() {
    let request =
        |query: &str| format!("https://t.example/api/v1/telephony/plivo/transfer/tok/c1?{query}");
    let ask = |query: &str| {
        let url = request(query);
        let request = HookRequest {
            method: &Method::POST,
            url: &url,
            headers: &HeaderMap::new(),
            body: b"CallUUID=u1",
            unix_s: 0,
        };
        (SPEC.hook("transfer").unwrap().handle)(&request, &config())
    };
    let dialled = ask("step=dial&call=u1&to=%2B12025550177&ring=20&from=12025550100").unwrap();
    assert_eq!(
        document(&dialled.reply),
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?><Response><Dial callerId=\"12025550100\" \
         timeout=\"20\" action=\"https://t.example/api/v1/telephony/plivo/transfer/tok/c1?\
         step=dialled&amp;call=u1\" method=\"POST\" \
         callbackUrl=\"https://t.example/api/v1/telephony/plivo/status/tok/c1\" \
         callbackMethod=\"POST\"><Number>12025550177</Number></Dial></Response>"
    );
    let sip = ask("step=dial&call=u1&to=sip%3Abob%40example.com&ring=20").unwrap();
    assert!(document(&sip.reply).contains("<User>sip:bob@example.com</User>"));
    for bad in ["", "step=dial&call=u1", "step=dial&call=u1&to=%20&ring=1", "step=x&call=u1"] {
        assert!(ask(bad).is_err(), "{bad}");
    }
}

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

/// Our request says what the official library's says, but for what is named.
fn compare(name: &str, ours: &HttpRequest, own: &[&str]) {
    let theirs = rest(name)["request"].clone();
    assert_eq!(ours.method.as_str(), theirs["method"], "{name}");
    assert_eq!(ours.url, theirs["url"].as_str().unwrap(), "{name}");
    let authorization = ours.headers[http::header::AUTHORIZATION].to_str().unwrap();
    let pair = STANDARD.decode(authorization.strip_prefix("Basic ").unwrap()).unwrap();
    assert!(pair.starts_with(b"MAEXAMPLE00000000001:Example"));
    let strip = |body: &Value| -> Map<String, Value> {
        let body = body.as_object().cloned().unwrap_or_default();
        body.into_iter().filter(|(name, _)| !own.contains(&name.as_str())).collect()
    };
    let body = serde_json::from_slice(&ours.body).unwrap_or_default();
    assert_eq!(strip(&body), strip(&theirs["json"]), "{name}");
}

fn originate() -> Originate {
    Originate {
        to: Address::parse("+12025550143", None).unwrap(),
        from: Address::parse("+12025550100", None).ok(),
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
        to: Address::parse("+12025550177", None).unwrap(),
        from: Address::parse("+12025550100", None).ok(),
        hooks: urls(),
        ring_timeout_s: 30,
    }
}

/// Each request is that of the official library, and its answer is understood.
#[test]
fn requests_are_those_of_the_official_library() {
    let (config, ops, call) = (config(), SPEC.calls, CarrierCallId(CALL.to_owned()));
    let mut op = ops.originate.unwrap()(&config, &originate()).unwrap();
    let addresses = ["answer_url", "ring_url", "hangup_url"];
    compare("make_call", &sent(op.as_mut(), None), &addresses);
    assert!(matches!(op.next(response("make_call")), Step::Done(placed) if placed.call == call));
    let mut op = ops.originate.unwrap()(&config, &originate()).unwrap();
    sent(op.as_mut(), None);
    assert!(matches!(op.next(response("make_call_bulk")), Step::Done(p) if p.call == call));

    let mut op = ops.hangup.unwrap()(&config, &call).unwrap();
    compare("hangup_ok", &sent(op.as_mut(), None), &[]);
    assert!(matches!(op.next(response("hangup_ok")), Step::Done(())));
    let mut op = ops.hangup.unwrap()(&config, &call).unwrap();
    sent(op.as_mut(), None);
    compare("cancel_queued", &sent(op.as_mut(), response("hangup_gone")), &[]);
    assert!(matches!(op.next(response("cancel_queued")), Step::Done(())));

    let blind = transfer(TransferKind::Blind, "0a1b2c3d-1111-4222-8333-444455556666");
    let mut op = ops.transfer.unwrap()(&config, &blind).unwrap();
    compare("transfer", &sent(op.as_mut(), None), &["aleg_url"]);
    assert!(matches!(op.next(response("transfer")), Step::Done(None)));
    let digits = SendDigits { call: call.clone(), digits: Pii::new("12#") };
    let mut op = ops.dtmf.unwrap()(&config, &digits).unwrap();
    compare("send_dtmf", &sent(op.as_mut(), None), &[]);
    let record = Record { call: call.clone(), on: true, hooks: urls() };
    let mut op = ops.record.unwrap()(&config, &record).unwrap();
    let own = ["time_limit", "file_format", "record_channel_type", "callback_url"];
    compare("record_start", &sent(op.as_mut(), None), &own);

    let mut op = ops.cost.unwrap()(&config, &call).unwrap();
    compare("cdr", &sent(op.as_mut(), None), &[]);
    let price = Some(Price { amount: "0.00550".to_owned(), currency: "USD".to_owned() });
    assert!(matches!(op.next(response("cdr")), Step::Done(cost) if cost == price));
    let mut op = ops.status.unwrap()(&config, &call).unwrap();
    compare("live_call", &sent(op.as_mut(), None), &[]);
    let Step::Done(live) = op.next(response("live_call")) else { panic!("more") };
    assert_eq!(live[0].what, CallFact::Answered);
    let mut op = ops.status.unwrap()(&config, &call).unwrap();
    sent(op.as_mut(), None);
    sent(op.as_mut(), response("hangup_gone"));
    compare("cdr", &sent(op.as_mut(), response("hangup_gone")), &[]);
    let Step::Done(over) = op.next(response("cdr")) else { panic!("more") };
    assert_eq!(over[0].at_unix_ms, Some(1_772_600_813_000), "in a zone of its own");
    let CallFact::Ended(end) = &over[0].what else { panic!("{over:?}") };
    assert_eq!((end.cause, end.duration_ms), (HangupCause::Normal, Some(41_000)));
}

/// Numbers are listed by pages and linked to our application, which is brought up to date first;
/// another's is left alone; an application that is gone is made again.
#[test]
fn numbers_and_application() {
    let (config, ops) = (config(), SPEC.calls);
    let mut op = ops.numbers.unwrap()(&config).unwrap();
    compare("number_list", &sent(op.as_mut(), None), &[]);
    let mut first = rest("number_list")["response"]["json"].clone();
    first["meta"]["next"] = json!("/v1/…");
    let second = sent(op.as_mut(), Some(answer_of(200, &first)));
    assert!(second.url.ends_with("?limit=20&offset=20"));
    let Step::Done(numbers) = op.next(response("number_list")) else { panic!("more") };
    assert_eq!(numbers.len(), 2);
    assert_eq!(
        (numbers[0].bound_to.as_deref(), numbers[0].ours),
        (Some("12345678901234567"), true)
    );

    let bind = |hooks| Bind { address: Address::parse("+12025550100", None).unwrap(), hooks };
    let mut op = ops.bind.unwrap()(&config, &bind(Some(urls()))).unwrap();
    compare("number_owned", &sent(op.as_mut(), None), &[]);
    let own =
        ["answer_url", "fallback_answer_url", "fallback_method", "hangup_url", "hangup_method"];
    compare("app_update", &sent(op.as_mut(), response("number_owned")), &own);
    assert!(matches!(op.next(response("app_update")), Step::Done(())), "linked already");
    let mut op = ops.bind.unwrap()(&config, &bind(Some(urls()))).unwrap();
    sent(op.as_mut(), None);
    sent(op.as_mut(), Some(answer_of(200, &json!({"number": "12025550100", "application": null}))));
    compare("number_link_app", &sent(op.as_mut(), response("app_update")), &[]);
    let mut op = ops.bind.unwrap()(&config, &bind(None)).unwrap();
    sent(op.as_mut(), None);
    assert_eq!(sent(op.as_mut(), response("number_owned")).body, r#"{"app_id":""}"#);
    let mut op = ops.bind.unwrap()(&config, &bind(None)).unwrap();
    sent(op.as_mut(), None);
    let other = json!({"application": "/v1/Account/MAEXAMPLE00000000001/Application/9/"});
    assert!(matches!(op.next(Some(answer_of(200, &other))), Step::Done(())), "another's");
    let mut op = ops.bind.unwrap()(&config, &bind(None)).unwrap();
    sent(op.as_mut(), None);
    let gone = op.next(response("number_not_owned"));
    assert!(matches!(gone, Step::Fail(CarrierError::NotFound)));

    let mut op = ops.provision.unwrap()(&config, &urls()).unwrap();
    sent(op.as_mut(), None);
    let make = sent(op.as_mut(), response("number_not_owned"));
    let own = [&own[..], &["app_name"]].concat();
    compare("app_create", &make, &own);
    let made = op.next(response("app_create"));
    assert!(matches!(made, Step::Done(v) if v == [("application_id", json!("12345678901234567"))]));
}

/// An attended transfer calls the destination into a room and sends the caller there afterwards.
#[test]
fn attended_transfers_meet_in_a_room() {
    let (config, ops) = (config(), SPEC.calls);
    let attended = transfer(TransferKind::Attended, CALL);
    let mut op = ops.transfer.unwrap()(&config, &attended).unwrap();
    let call: Value = serde_json::from_slice(&sent(op.as_mut(), None).body).unwrap();
    let mut op = ops.join.unwrap()(&config, &attended).unwrap();
    let join: Value = serde_json::from_slice(&sent(op.as_mut(), None).body).unwrap();
    let room = |url: &Value| {
        let url = url.as_str().unwrap().to_owned();
        url.split("room=").nth(1).unwrap().to_owned()
    };
    assert_eq!(room(&call["answer_url"]), room(&join["aleg_url"]));
    assert!(matches!(op.next(response("hangup_gone")), Step::Fail(CarrierError::CallOver)));
    let refer = ops.transfer.unwrap()(&config, &transfer(TransferKind::Refer, CALL));
    assert!(matches!(refer, Err(CarrierError::Config(_))));
}
