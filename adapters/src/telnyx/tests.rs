//! The carrier's own messages and those of its official library, against what is made of them here.

mod flows;
mod signatures;
mod streams;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use serde_json::{Map, Value, json};

use super::{SPEC, calls, errors};
use crate::address::Address;
use crate::config::RawConfig;
use crate::event::{CallFact, CarrierCallId, HangupCause, Meaning, TransferOf, TransferState};
use crate::exchange::{CarrierError, HttpRequest, HttpResponse};
use crate::hook::{HookError, HookRequest, HookUrls};
use crate::op::{Bind, Op, Originate, Refusal, Step, Transfer, TransferKind};

const CALL: &str = "v3:TESTONLYcallcontrolid";
const STREAM: &str = "wss://media.example.test/t/42";

fn fixture(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

fn vectors() -> Value {
    fixture(include_str!("fixtures/vectors.json"))
}

fn config() -> RawConfig {
    let given = fixture(include_str!("fixtures/config_full.json"));
    let mut given = given["config"].clone();
    for optional in ["stream_codec", "send_silence", "media_codec", "media_rate", "l16_byte_order"]
    {
        given.as_object_mut().unwrap().remove(optional);
    }
    SPEC.read(&given, None).unwrap()
}

fn linear() -> RawConfig {
    let given = fixture(include_str!("fixtures/config_linear.json"));
    SPEC.read(&given["config"], None).unwrap()
}

fn hook(body: &str) -> Result<Meaning, HookError> {
    let headers = HeaderMap::new();
    let (method, url) = (&Method::POST, "https://t.example/");
    let request = HookRequest { method, url, headers: &headers, body: body.as_bytes(), unix_s: 0 };
    (SPEC.hooks[0].handle)(&request, &config()).map(|handled| handled.meaning)
}

/// What is no webhook of a call is an error by the name of what is missing; what another product
/// of the account tells is passed over, and so is another application's.
#[test]
fn malformed_and_foreign_webhooks() {
    for vector in vectors()["malformed_webhooks"].as_array().unwrap() {
        let got = hook(vector["raw_body"].as_str().unwrap());
        let expected = match vector["expect"]["error"].as_str() {
            Some("missing_field:data") => Err(HookError::Field("data")),
            Some("missing_field:call_control_id") => Err(HookError::Field("call_control_id")),
            Some("bad_json") => Err(HookError::Body("JSON")),
            _ => Ok(Meaning::Events(Vec::new())),
        };
        assert_eq!(got, expected, "{vector}");
    }
    let other = json!({"data": {"event_type": "call.answered", "id": "e",
        "payload": {"call_control_id": "v3:x", "connection_id": "1"}}});
    assert_eq!(hook(&other.to_string()), Err(HookError::Field("connection_id")));
}

/// Events of the leg that a transfer called are told as steps of the caller's transfer; an end that
/// is no failure says nothing, unless it was called apart.
#[test]
fn transfers_are_told_of_the_callers_leg() {
    let caller = CarrierCallId("v3:caller".to_owned());
    let of = |kind| Transfer { call: caller.clone(), ..transfer(kind, "+14155550123") };
    let event = |made: TransferKind, kind: &str, cause: &str| {
        let body = json!({"data": {"event_type": kind, "id": "e", "payload": {
            "call_control_id": "v3:other", "hangup_cause": cause, "direction": "outgoing",
            "client_state": calls::transfer_state(&of(made))}}});
        match hook(&body.to_string()).unwrap() {
            Meaning::Events(mut events) => events.pop(),
            other => panic!("{other:?}"),
        }
    };
    for (kind, cause, state) in [
        ("call.initiated", "", Some(TransferState::Trying)),
        ("call.answered", "", Some(TransferState::Answered)),
        ("call.bridged", "", Some(TransferState::Done)),
        ("call.hangup", "user_busy", Some(TransferState::Failed)),
        ("call.hangup", "normal_clearing", None),
        ("streaming.started", "", None),
    ] {
        for made in [TransferKind::Blind, TransferKind::Attended] {
            let told = event(made, kind, cause);
            assert!(told.iter().all(|event| event.call == caller));
            let apart = (made == TransferKind::Attended).then(|| CarrierCallId("v3:other".into()));
            let of = TransferOf { id: Some("t-1".to_owned()), leg: apart, cause: None };
            let apart_ended = of.leg.is_some() && kind == "call.hangup";
            let state = state.or(apart_ended.then_some(TransferState::Failed));
            let expected = state.map(|state| CallFact::Transfer { state, of });
            assert_eq!(told.map(|event| event.what), expected, "{kind} {cause}");
        }
    }
    for other in ["cnVuLTQy", "***", "dHJhbnNmZXI6dA=="] {
        assert!(calls::made_by(other).is_none(), "another's client_state");
    }
}

fn answer_of(vector: &Value) -> HttpResponse {
    let mut headers = HeaderMap::new();
    for (name, value) in vector["headers"].as_object().into_iter().flatten() {
        let name: HeaderName = name.parse().unwrap();
        headers.append(name, HeaderValue::from_str(value.as_str().unwrap()).unwrap());
    }
    let body = match vector["body"].as_str() {
        Some(text) => text.to_owned(),
        None => vector["json"].to_string(),
    };
    let status = StatusCode::from_u16(vector["status"].as_u64().unwrap() as u16).unwrap();
    HttpResponse { status, headers, body: Bytes::from(body) }
}

/// The carrier's answers mean what they should, codes before statuses.
#[test]
fn answers_and_errors() {
    let mut seen = 0;
    for vector in vectors()["answers"].as_array().unwrap() {
        let got = errors::success(&answer_of(vector));
        let word = got.as_ref().err().map(CarrierError::as_str);
        let expected = match vector["expect"]["error"].as_str() {
            None => None,
            Some("auth") => Some("credentials"),
            Some("forbidden") => Some("not_permitted"),
            Some("not_found") => Some("not_found"),
            Some("invalid_number") => Some("destination"),
            Some("bad_request") => Some("config"),
            Some("unknown_call" | "call_ended") => Some("call_over"),
            Some("rate_limited") => Some("too_many"),
            Some("upstream") => Some("unavailable"),
            Some(other) => panic!("{other} is new"),
        };
        assert_eq!(word, expected, "{vector}");
        if let Some(wait) = vector["expect"]["wait_s"].as_u64() {
            let retry_after_s = Some(wait as u32);
            assert_eq!(got, Err(CarrierError::TooMany { retry_after_s }));
        }
        if vector["expect"]["hangup_is"] == "success" {
            assert_eq!(errors::over_is_done(&answer_of(vector)), Ok(()));
        }
        seen += 1;
    }
    assert!(seen >= 14);
}

fn answer(status: u16, body: &Value) -> HttpResponse {
    answer_of(&json!({"status": status, "json": body}))
}

fn sent<T>(op: &mut dyn Op<T>, last: Option<HttpResponse>) -> HttpRequest {
    match op.next(last) {
        Step::Send(request) => request,
        Step::Done(_) => panic!("done"),
        Step::Fail(error) => panic!("{error}"),
    }
}

/// Our request says what the official library's says, but for what only one of the two wants.
fn compare(id: &str, ours: &HttpRequest, own: &[&str]) {
    let vectors = vectors();
    let all = vectors["requests"].as_array().unwrap();
    let theirs = all.iter().find(|request| request["id"] == id).unwrap();
    assert_eq!(ours.method.as_str(), theirs["method"], "{id}");
    assert_eq!(ours.url, theirs["url"].as_str().unwrap(), "{id}");
    let authorization = ours.headers[http::header::AUTHORIZATION].to_str().unwrap();
    assert_eq!(authorization, "Bearer KEY_TEST_ONLY_0123456789");
    let strip = |body: &Value| -> Map<String, Value> {
        let body = body.as_object().cloned().unwrap_or_default();
        let keep = |name: &str| !own.contains(&name) && name != "command_id";
        body.into_iter().filter(|(name, _)| keep(name)).collect()
    };
    let body = serde_json::from_slice(&ours.body).unwrap_or_default();
    assert_eq!(strip(&body), strip(&theirs["json"]), "{id}");
}

fn hooks() -> HookUrls {
    HookUrls::new("https://t.example", "telnyx", "tok").of_call("call-1")
}

fn originate() -> Originate {
    Originate {
        to: Address::parse("+14155550100", None).unwrap(),
        from: Address::parse("+14155550199", None).ok(),
        stream_url: STREAM.to_owned(),
        hooks: hooks(),
        ring_timeout_s: 30,
        max_duration_s: 600,
        detect_machine: true,
        extra: Vec::new(),
    }
}

fn transfer(kind: TransferKind, to: &str) -> Transfer {
    Transfer {
        id: "t-1".to_owned(),
        kind,
        call: CarrierCallId(CALL.to_owned()),
        to: Address::parse(to, None).unwrap(),
        from: Address::parse("+14155550199", None).ok(),
        hooks: hooks(),
        ring_timeout_s: 20,
    }
}

/// Each request is that of the official library.
#[test]
fn requests_are_those_of_the_official_library() {
    let config = config();
    let call = CarrierCallId(CALL.to_owned());
    let ops = SPEC.calls;
    // What a call's address and our choices make, and what the library was not asked for.
    let dial = [
        "answering_machine_detection",
        "client_state",
        "stream_auth_token",
        "stream_bidirectional_sampling_rate",
        "time_limit_secs",
        "webhook_url",
        "webhook_retries_policies",
    ];
    let mut op = ops.originate.unwrap()(&config, &originate()).unwrap();
    compare("dial", &sent(op.as_mut(), None), &dial);
    let hooks = hooks();
    let request = calls::answer_request(&config, &call, &hooks.url("events"), STREAM, "1");
    compare("answer", &request.unwrap(), &["client_state", "webhook_url"]);
    let body = calls::stream(&config, STREAM, true);
    let request = calls::command(&config, &call, "streaming_start", Some("1"), body).unwrap();
    let theirs = [
        "custom_parameters",
        "stream_auth_token",
        "stream_bidirectional_codec",
        "stream_bidirectional_sampling_rate",
        "stream_bidirectional_target_legs",
        "stream_codec",
        "stream_track",
        "stream_bidirectional_mode",
    ];
    compare("streaming_start", &request, &theirs);
    let mut op = ops.hangup.unwrap()(&config, &call).unwrap();
    compare("hangup", &sent(op.as_mut(), None), &["client_state"]);
    compare("reject", &calls::refuse_request(&config, &call, Refusal::Busy).unwrap(), &[]);
    let mut op =
        ops.transfer.unwrap()(&config, &transfer(TransferKind::Blind, "+14155550123")).unwrap();
    let ours = ["target_leg_client_state", "webhook_url", "webhook_url_method"];
    compare("transfer", &sent(op.as_mut(), None), &ours);
    let to = "sip:agent@pbx.example.test";
    let mut op = ops.transfer.unwrap()(&config, &transfer(TransferKind::Refer, to)).unwrap();
    compare("refer", &sent(op.as_mut(), None), &[]);
    let request = calls::dtmf_request(&config, &call, "1www2WABCD#", None).unwrap();
    compare("send_dtmf", &request, &["duration_millis"]);
    let mut op = ops.status.unwrap()(&config, &call).unwrap();
    compare("status", &sent(op.as_mut(), None), &[]);
    let mut op = ops.test.unwrap()(&config).unwrap();
    compare("get_app", &sent(op.as_mut(), None), &[]);
    let mut op = ops.provision.unwrap()(&config, &hooks).unwrap();
    compare("get_app", &sent(op.as_mut(), None), &[]);
    let app =
        answer(200, &json!({"data": {"application_name": "gw", "id": "1494404757140276705"}}));
    let request = sent(op.as_mut(), Some(app));
    compare("patch_app", &request, &["webhook_event_url"]);
    assert!(String::from_utf8_lossy(&request.body).contains(&hooks.url("events")));
    let done = op.next(Some(answer(200, &json!({"data": {}}))));
    assert!(matches!(done, Step::Done(values) if values == [("application_name", json!("gw"))]));
}

/// The same command has the same id, so that it can be repeated; another has another, and what may
/// be wanted twice at once has none.
#[test]
fn command_ids() {
    let (config, call) = (config(), CarrierCallId(CALL.to_owned()));
    let id = |request: &HttpRequest| {
        let body: Value = serde_json::from_slice(&request.body).unwrap();
        body["command_id"].as_str().map(str::to_owned)
    };
    let hangup = || calls::hangup_request(&config, &call).unwrap();
    assert!(hangup().repeatable && id(&hangup()).is_some_and(|id| id.len() == 36));
    assert_eq!(id(&hangup()), id(&hangup()));
    let other = calls::hangup_request(&config, &CarrierCallId("v3:b".to_owned())).unwrap();
    assert_ne!(id(&hangup()), id(&other));
    let digits = calls::dtmf_request(&config, &call, "1", None).unwrap();
    assert!(!digits.repeatable && id(&digits).is_none());
}

/// Binding gives the number to the application, then points the application here; what is right
/// already is left alone.
#[test]
fn binding_takes_what_it_needs() {
    let (config, ops) = (config(), SPEC.calls);
    let bind = |hooks| Bind { address: Address::parse("+14155550199", None).unwrap(), hooks };
    let number = |connection: &str| {
        let other = json!({"id": "0", "phone_number": "+14155550198", "connection_id": ""});
        let ours = json!({"id": "7", "phone_number": "+14155550199", "connection_id": connection});
        Some(answer(200, &json!({"data": [other, ours]})))
    };
    let mut op = ops.bind.unwrap()(&config, &bind(Some(hooks()))).unwrap();
    let find = sent(op.as_mut(), None);
    assert!(find.url.contains("filter%5Bphone_number%5D=14155550199&"), "{}", find.url);
    let give = sent(op.as_mut(), number("1"));
    assert_eq!((give.method.as_str(), give.repeatable), ("PATCH", true));
    assert!(give.url.ends_with("/phone_numbers/7"));
    assert_eq!(give.body, r#"{"connection_id":"1494404757140276705"}"#);
    sent(op.as_mut(), Some(answer(200, &json!({"data": {}}))));
    let app = json!({"data": {"application_name": "gw", "webhook_api_version": "2",
        "webhook_event_url": hooks().url("events"), "call_cost_in_webhooks": true}});
    assert!(matches!(op.next(Some(answer(200, &app))), Step::Done(())));

    let mut op = ops.bind.unwrap()(&config, &bind(None)).unwrap();
    sent(op.as_mut(), None);
    let take = sent(op.as_mut(), number("1494404757140276705"));
    assert_eq!(take.body, r#"{"connection_id":null}"#);
    let mut op = ops.bind.unwrap()(&config, &bind(None)).unwrap();
    sent(op.as_mut(), None);
    assert!(matches!(op.next(number("1")), Step::Done(())), "not ours to take away");
    let mut op = ops.bind.unwrap()(&config, &bind(None)).unwrap();
    sent(op.as_mut(), None);
    let none = op.next(Some(answer(200, &json!({"data": []}))));
    assert!(matches!(none, Step::Fail(CarrierError::NotFound)));
}

/// All pages of numbers are read, and joining finds the leg that the transfer made.
#[test]
fn operations_of_several_requests() {
    let (config, ops) = (config(), SPEC.calls);
    let page = |number: &str| {
        let numbers = [json!({"id": "1", "phone_number": number, "customer_reference": "desk"})];
        Some(answer(200, &json!({"data": numbers, "meta": {"total_pages": 2}})))
    };
    let mut op = ops.numbers.unwrap()(&config).unwrap();
    sent(op.as_mut(), None);
    assert!(sent(op.as_mut(), page("+14155550198")).url.ends_with("page%5Bnumber%5D=2"));
    let Step::Done(numbers) = op.next(page("+14155550199")) else { panic!("more") };
    assert_eq!((numbers.len(), numbers[1].label.as_deref()), (2, Some("desk")));

    let attended = transfer(TransferKind::Attended, "+14155550123");
    let mut op = ops.transfer.unwrap()(&config, &attended).unwrap();
    let dial: Value = serde_json::from_slice(&sent(op.as_mut(), None).body).unwrap();
    assert_eq!(dial["link_to"], CALL);
    let mut op = ops.join.unwrap()(&config, &attended).unwrap();
    sent(op.as_mut(), None);
    let legs = json!({"data": [{"call_control_id": "v3:x", "client_state": "cnVuLTQy"},
        {"call_control_id": "v3:OTHER", "client_state": dial["client_state"]}]});
    compare("bridge", &sent(op.as_mut(), Some(answer(200, &legs))), &[]);
}

/// What the status tells: alive, or over since when.
#[test]
fn status_is_read() {
    let ended = |id: &str| {
        let vectors = vectors();
        let all = vectors["answers"].as_array().unwrap();
        let vector = all.iter().find(|vector| vector["id"] == id).unwrap();
        let call = CarrierCallId(CALL.to_owned());
        let mut op = SPEC.calls.status.unwrap()(&config(), &call).unwrap();
        sent(op.as_mut(), None);
        match op.next(Some(answer_of(vector))) {
            Step::Done(events) => events,
            other => panic!("{other:?}"),
        }
    };
    let alive = ended("status_200_alive");
    assert_eq!(
        (&alive[0].what, alive[0].at_unix_ms),
        (&CallFact::Initiated, Some(1_767_225_600_000))
    );
    let over = ended("status_200_ended");
    assert_eq!(over[0].at_unix_ms, Some(1_767_225_631_000));
    assert!(matches!(&over[0].what, CallFact::Ended(end) if end.cause == HangupCause::Unknown));
}
