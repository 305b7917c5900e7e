//! The carrier's own messages and those of its official library, against what is made of them here.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use media::codec::AudioFormat;
use media::time::MonoTime;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::{SPEC, calls, errors, verify};
use crate::address::Address;
use crate::agent::{Direction, MessageKind};
use crate::config::RawConfig;
use crate::event::{
    CallEvent, CallFact, CarrierCallId, HangupCause, Meaning, TransferOf, TransferState,
};
use crate::exchange::{CarrierError, HttpRequest, HttpResponse};
use crate::flow::{FlowCommand, FlowInput, FlowOutput, FlowStart};
use crate::hook::{HookError, HookRequest, HookUrls, VerifyError};
use crate::op::{Bind, Op, Originate, Refusal, Step, Transfer, TransferKind};
use crate::secret::Pii;
use crate::stream::{FrameSlot, Stream, StreamCommand, StreamEvent, StreamStart};
use crate::wire::WireError;

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

fn bytes_of(vector: &Value) -> Vec<u8> {
    match (vector["body_utf8"].as_str(), vector["body_base64"].as_str()) {
        (Some(text), _) => text.as_bytes().to_vec(),
        (None, Some(text)) => STANDARD.decode(text).unwrap(),
        (None, None) => panic!("no body"),
    }
}

/// Each signature is accepted or refused as an adapter must, for the reason that was meant, and the
/// explanation comes to the same end.
#[test]
fn signatures() {
    let fixture = fixture(include_str!("fixtures/signatures.json"));
    let mut seen = 0;
    for vector in fixture["vectors"].as_array().unwrap() {
        let mut headers = HeaderMap::new();
        for header in vector["headers"].as_array().unwrap() {
            let name: HeaderName = header[0].as_str().unwrap().parse().unwrap();
            headers.append(name, HeaderValue::from_str(header[1].as_str().unwrap()).unwrap());
        }
        let mut stored = fixture["config"].as_object().unwrap().clone();
        stored.extend(vector["config_overrides"].as_object().unwrap().clone());
        let config = RawConfig::from_stored(Value::Object(stored)).unwrap();
        let body = bytes_of(vector);
        let request = HookRequest {
            method: &Method::POST,
            url: "https://t.example/",
            headers: &headers,
            body: &body,
            unix_s: vector["now"].as_u64().unwrap(),
        };
        let got = verify::verify(&request, &config);
        let id = vector["id"].as_str().unwrap();
        let expected = match vector["expect"]["error"].as_str() {
            None => Ok(()),
            Some("no_public_key_configured" | "bad_public_key") => Err(VerifyError::NoKey),
            Some("missing_signature") => Err(VerifyError::Missing(verify::SIGNATURE)),
            Some("missing_timestamp") => Err(VerifyError::Missing(verify::TIMESTAMP)),
            Some("bad_timestamp") => Err(VerifyError::Malformed(verify::TIMESTAMP)),
            Some("stale" | "future") => Err(VerifyError::Stale),
            Some("bad_signature_encoding") => Err(VerifyError::Malformed(verify::SIGNATURE)),
            Some("bad_signature") => Err(VerifyError::Signature),
            Some(other) => panic!("{other} is new"),
        };
        assert_eq!(got, expected, "{id}");
        assert_eq!(verify::explain(&request, &config).verdict, expected, "{id}");
        seen += 1;
    }
    assert!(seen > 30, "{seen}");
}

/// A key that everybody can sign with is none, whatever its sign and however it is written; nor is
/// anything that is no 32 bytes in base64.
#[test]
fn weak_keys_are_refused() {
    let encode = |key: &[u8]| STANDARD.encode(key);
    let hex = "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05";
    let order_8: Vec<u8> =
        (0..32).map(|i| u8::from_str_radix(&hex[2 * i..2 * i + 2], 16).unwrap()).collect();
    for sign in [0, 0x80] {
        for (first, middle, last) in
            [(0, 0, 0), (1, 0, 0), (0xec, 0xff, 0x7f), (0xed, 0xff, 0x7f), (0xee, 0xff, 0x7f)]
        {
            let mut key = [middle; 32];
            (key[0], key[31]) = (first, last | sign);
            assert_eq!(verify::public_key(&encode(&key)), None, "{first:x} {last:x}");
        }
        let mut key = order_8.clone();
        key[31] |= sign;
        assert_eq!(verify::public_key(&encode(&key)), None);
    }
    assert_eq!(verify::public_key(&encode(&[7; 31])), None);
    assert_eq!(verify::public_key(&"A".repeat(43)), None);
    assert!(verify::public_key(&encode(&[7; 32])).is_some());
    let pem = "-----BEGIN PUBLIC KEY-----\nMCow\n-----END PUBLIC KEY-----";
    for bad in ["", "***", pem, &encode(&[0; 32])] {
        let mut given = fixture(include_str!("fixtures/config_full.json"))["config"].clone();
        given["webhook_public_key"] = bad.into();
        assert!(SPEC.read(&given, None).is_err(), "{bad}");
    }
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
            let of = TransferOf { id: Some("t-1".to_owned()), leg: apart };
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

fn flow(config: RawConfig) -> Box<dyn crate::flow::CallFlow> {
    (SPEC.flow.unwrap())(start_of(config))
}

fn start_of(config: RawConfig) -> FlowStart {
    FlowStart {
        config,
        direction: Direction::Inbound,
        call: Some(CarrierCallId(CALL.to_owned())),
        to: Address::parse("+14155550199", None).unwrap(),
        from: None,
        stream_url: STREAM.to_owned(),
        hooks: hooks(),
    }
}

/// A call that we placed is ended by the id that its own events have, whatever the request for it
/// was answered with; an offered one keeps its id.
#[test]
fn placed_calls_take_the_id_of_their_events() {
    for direction in [Direction::Outbound, Direction::Inbound] {
        let mut flow = (SPEC.flow.unwrap())(FlowStart { direction, ..start_of(config()) });
        let event = CallEvent {
            call: CarrierCallId("v3:live".to_owned()),
            id: None,
            at_unix_ms: None,
            what: CallFact::Answered,
        };
        flow.handle(MonoTime::ZERO, FlowInput::Event(&event));
        flow.handle(MonoTime::ZERO, FlowInput::Command(FlowCommand::Hangup));
        let (_, hangup) = next(flow.as_mut());
        assert_eq!(hangup.url.contains("v3:live"), direction == Direction::Outbound);
    }
}

fn next(flow: &mut dyn crate::flow::CallFlow) -> (u32, HttpRequest) {
    match flow.poll() {
        Some(FlowOutput::Send { request, what }) => (request, what),
        other => panic!("{other:?}"),
    }
}

fn ok(request: u32) -> FlowInput<'static> {
    FlowInput::Answer { request, result: Ok(answer(200, &json!({"data": {"result": "ok"}}))) }
}

/// Linear audio needs the rate, which the answer does not take: the stream is opened apart once the
/// call is answered, or after a while without that event.
#[test]
fn linear_streams_are_opened_apart() {
    for event_comes in [true, false] {
        let (mut flow, now) = (flow(linear()), MonoTime::ZERO);
        flow.handle(now, FlowInput::Command(FlowCommand::Answer));
        let (request, answer) = next(flow.as_mut());
        assert!(answer.url.starts_with("https://telnyx.example.test/v2/calls/v3:"));
        assert!(!String::from_utf8_lossy(&answer.body).contains("stream"));
        flow.handle(now, ok(request));
        assert_eq!(flow.poll(), None);
        let later = flow.deadline().unwrap();
        if event_comes {
            let event = CallEvent {
                call: CarrierCallId(CALL.to_owned()),
                id: None,
                at_unix_ms: None,
                what: CallFact::Answered,
            };
            flow.handle(now, FlowInput::Event(&event));
        } else {
            flow.handle(later, FlowInput::Timeout);
        }
        let (request, open) = next(flow.as_mut());
        assert!(open.url.ends_with("/actions/streaming_start"));
        let body: Value = serde_json::from_slice(&open.body).unwrap();
        assert_eq!(body["stream_bidirectional_sampling_rate"], 16_000);
        assert_eq!(body["stream_url"], STREAM);
        flow.handle(now, ok(request));
        assert_eq!(flow.deadline(), None);
    }
}

/// A refusal is told in the carrier's word before the answer; a lost stream is opened again where
/// it is wanted; keys and transfers are commands with ids of their own.
#[test]
fn commands_of_a_call() {
    for (refusal, word) in [
        (Refusal::NotFound, "NOT_FOUND"),
        (Refusal::Busy, "USER_BUSY"),
        (Refusal::Rejected, "CALL_REJECTED"),
        (Refusal::Unavailable, "TEMPORARILY_UNAVAILABLE"),
    ] {
        let mut flow = flow(config());
        flow.handle(MonoTime::ZERO, FlowInput::Command(FlowCommand::Refuse(refusal)));
        let (_, reject) = next(flow.as_mut());
        assert!(reject.url.ends_with("/actions/reject"));
        assert!(String::from_utf8_lossy(&reject.body).contains(word));
    }
    let (mut flow, now) = (flow(config()), MonoTime::ZERO);
    flow.handle(now, FlowInput::Command(FlowCommand::Answer));
    let (request, _) = next(flow.as_mut());
    flow.handle(now, ok(request));
    let again = "wss://media.example.test/t/43".to_owned();
    flow.handle(now, FlowInput::Command(FlowCommand::Restream(again)));
    let (request, open) = next(flow.as_mut());
    assert!(String::from_utf8_lossy(&open.body).contains("/t/43"));
    flow.handle(now, ok(request));
    let mut bodies = Vec::new();
    for _ in 0..2 {
        flow.handle(now, FlowInput::Command(FlowCommand::Dtmf(Pii::new("1"))));
        let (request, digits) = next(flow.as_mut());
        bodies.push(digits.body);
        flow.handle(now, ok(request));
    }
    assert_ne!(bodies[0], bodies[1], "the second 1 is another command");
    assert_eq!(flow.deadline(), None);
}

fn open(config: RawConfig) -> Box<dyn Stream> {
    (SPEC.stream.unwrap())(&StreamStart { config, call: None })
}

fn decode(stream: &mut dyn Stream, text: &str) -> Result<(String, Vec<u8>), WireError> {
    let mut message = text.as_bytes().to_vec();
    let mut room = [0; 4096];
    let mut slot = FrameSlot::new(&mut room);
    let event = stream.decode(MonoTime::ZERO, MessageKind::Text, &mut message, &mut slot)?;
    Ok((format!("{event:?}"), slot.filled().to_vec()))
}

fn start(codec: &str, rate_hz: u32) -> String {
    json!({"event": "start", "stream_id": "s", "start": {"call_control_id": "c",
        "media_format": {"encoding": codec, "sample_rate": rate_hz}}})
    .to_string()
}

/// Each message of the vectors that has to be refused is, by name of what is wrong.
#[test]
fn unusual_messages() {
    let mut seen = 0;
    for vector in vectors()["messages"].as_array().unwrap() {
        if vector["direction"] == "app_to_carrier" {
            continue;
        }
        let id = vector["id"].as_str().unwrap();
        let mut stream = open(config());
        if !id.starts_with("start") {
            let id = "32de0dea-53cb-4b21-89a4-9e1819c043bc";
            decode(stream.as_mut(), &start("PCMU", 8000).replace("\"s\"", &format!("\"{id}\"")))
                .unwrap();
        }
        let text = vector["text"].as_str().map_or(vector["json"].to_string(), str::to_owned);
        let got = decode(stream.as_mut(), &text);
        let fits = match id {
            "start_missing_ids" => field(&got) == Some("stream_id"),
            "start_unknown_codec" => matches!(got, Err(WireError::UnknownCodec(_))),
            "media_bad_base64" => field(&got) == Some("media.payload"),
            "media_wrong_stream_id" => field(&got) == Some("stream_id"),
            "not_json" => matches!(got, Err(WireError::BadJson(_))),
            "binary_frame" => {
                let (mut room, mut bytes) = ([0; 160], [0xff; 160]);
                let mut slot = FrameSlot::new(&mut room);
                let kind = MessageKind::Binary;
                let event = stream.decode(MonoTime::ZERO, kind, &mut bytes, &mut slot);
                matches!(event, Err(WireError::BadFrame(_)))
            }
            _ => got.is_ok(),
        };
        assert!(fits, "{id}: {got:?}");
        seen += 1;
    }
    assert!(seen > 15, "{seen}");
    let mut stream = open(config());
    decode(stream.as_mut(), &start("PCMU", 8000)).unwrap();
    assert_eq!(field(&decode(stream.as_mut(), &start("PCMU", 8000))), Some("event"));
    let mut stream = open(config());
    let early = r#"{"event":"media","media":{"payload":"AA=="}}"#;
    assert!(matches!(decode(stream.as_mut(), early), Err(WireError::BadFrame(_))));
}

fn field<T>(result: &Result<T, WireError>) -> Option<&'static str> {
    match result {
        Err(WireError::BadField { field, .. }) => Some(field),
        _ => None,
    }
}

/// Each direction has its codec: what comes as the leg has it, what goes as it is configured.
#[test]
fn directions_have_their_own_codecs() {
    for (codec, rate, format) in [
        ("PCMU", 8000, AudioFormat::PCMU),
        ("PCMA", 8000, AudioFormat::PCMA),
        ("G722", 8000, AudioFormat::G722),
        ("L16", 16_000, AudioFormat::l16be(16_000)),
        ("L16", 24_000, AudioFormat::l16be(24_000)),
    ] {
        for (config, out) in [(config(), AudioFormat::PCMU), (linear(), AudioFormat::l16be(16_000))]
        {
            let mut stream = open(config);
            let mut message = start(codec, rate).into_bytes();
            let mut slot = FrameSlot::new(&mut []);
            let event =
                stream.decode(MonoTime::ZERO, MessageKind::Text, &mut message, &mut slot).unwrap();
            let StreamEvent::Started { from_carrier, to_carrier, .. } = event else { panic!() };
            assert_eq!((from_carrier, to_carrier), (format, out), "{codec}");
        }
    }
}

/// Linear audio comes and goes big-endian, whichever order the carrier turns out to have.
#[test]
fn linear_audio_is_big_endian_here() {
    let l16 = vectors()["l16"].clone();
    let big = STANDARD.decode(l16["l16_16k_big_endian"].as_str().unwrap()).unwrap();
    for order in ["l16_16k_big_endian", "l16_16k_little_endian"] {
        let payload = l16[order].as_str().unwrap();
        let mut stream = open(linear());
        decode(stream.as_mut(), &start("L16", 16_000)).unwrap();
        let text = json!({"event": "media", "stream_id": "s",
            "media": {"track": "inbound", "chunk": "1", "timestamp": "0", "payload": payload}});
        let (_, audio) = decode(stream.as_mut(), &text.to_string()).unwrap();
        assert!(audio == big, "{order}");
        let mut out = Vec::new();
        stream.encode(&big, &mut out);
        let said: Value = serde_json::from_slice(&out).unwrap();
        assert_eq!(said["media"]["payload"], payload, "{order}");
    }
    let mut stream = open(linear());
    decode(stream.as_mut(), &start("L16", 16_000)).unwrap();
    let odd = r#"{"event":"media","media":{"payload":"AAAA"}}"#;
    assert_eq!(decode(stream.as_mut(), odd), Err(WireError::BadFrame("not whole samples")));
}

/// What we say is what the carrier's documents show.
#[test]
fn what_is_said() {
    let vectors = vectors();
    let find = |id: &str| {
        let all = vectors["messages"].as_array().unwrap();
        all.iter().find(|message| message["id"] == id).unwrap()["json"].clone()
    };
    let mut stream = open(config());
    let mut said = |command| {
        let mut out = Vec::new();
        stream.command(command, &mut out).map(|_| serde_json::from_slice::<Value>(&out).unwrap())
    };
    assert_eq!(said(StreamCommand::Clear), Some(find("clear")));
    assert_eq!(said(StreamCommand::Mark("utt-7")), Some(find("mark_out")));
    assert_eq!((said(StreamCommand::Dtmf('1')), said(StreamCommand::Hangup)), (None, None));
    let out = find("media_out");
    let audio = STANDARD.decode(out["media"]["payload"].as_str().unwrap()).unwrap();
    let mut text = Vec::new();
    stream.encode(&audio, &mut text);
    assert_eq!(serde_json::from_slice::<Value>(&text).unwrap(), out);
}

proptest! {
    /// The quick way and the full parser read the same, whatever the blanks and the types of
    /// numbers; a mark comes back as it was named.
    #[test]
    fn both_ways_read_the_same(
        chunk in 1_u64..1_000_000,
        ms in 0_u64..100_000_000,
        audio in proptest::collection::vec(any::<u8>(), 1..400),
        bare in any::<bool>(),
        name in ".{0,40}",
    ) {
        let number = |n: u64| if bare { json!(n) } else { json!(n.to_string()) };
        let message = json!({"event": "media", "sequence_number": "4", "stream_id": "s",
            "media": {"track": "inbound", "chunk": number(chunk), "timestamp": number(ms),
            "payload": STANDARD.encode(&audio)}});
        let quick = message.to_string();
        // An escape leaves the message to the full parser.
        let full = quick.replacen("\"media\"", "\"\\u006dedia\"", 1);
        let pretty = serde_json::to_string_pretty(&message).unwrap();
        let expected = format!("Audio {{ ts: Some({}), seq: Some({}) }}", ms * 8, chunk - 1);
        for text in [quick, full, pretty] {
            let mut stream = open(config());
            decode(stream.as_mut(), &start("PCMU", 8000)).unwrap();
            let (event, got) = decode(stream.as_mut(), &text).unwrap();
            prop_assert_eq!(&event, &expected);
            prop_assert_eq!(&got, &audio);
        }
        let mut stream = open(config());
        let mut out = Vec::new();
        stream.command(StreamCommand::Mark(&name), &mut out);
        let (event, _) = decode(stream.as_mut(), &String::from_utf8(out).unwrap()).unwrap();
        prop_assert_eq!(event, format!("{:?}", StreamEvent::Mark(&name)));
    }
}
