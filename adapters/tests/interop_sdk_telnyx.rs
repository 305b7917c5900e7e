//! Telnyx's official library for Python as judge: of signatures in both directions, and of the
//! emulator's API, which the library's own client calls.
#![cfg(feature = "emulate")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test")]

#[path = "support/judge.rs"]
mod judge;

use adapters::address::Address;
use adapters::agent::Direction;
use adapters::config::RawConfig;
use adapters::emulate::{Command as Person, Output, Told};
use adapters::event::CarrierCallId;
use adapters::exchange::{HttpRequest, HttpResponse};
use adapters::flow::{FlowCommand, FlowInput, FlowOutput, FlowStart};
use adapters::hook::{HookRequest, HookUrls};
use adapters::op::{Originate, Record, Refusal, SendDigits, Transfer, TransferKind};
use adapters::secret::Pii;
use adapters::spec::ProviderSpec;
use adapters::table::find;
use http::{HeaderMap, Method, StatusCode};
use judge::{CLOCK, Judge, NOW_S, emulated, first};
use media::time::MonoTime;
use serde_json::{Value, json};

const NUMBER: &str = "+14155550199";
const CALL: &str = "v3:MdI91X4lWFEs7IgbBEOT9M4AigoY08M0WWZFISt1Yw2axZ_IiE4pqg";

fn number(text: &str) -> Address {
    Address::parse(text, None).unwrap()
}

fn hooks() -> HookUrls {
    HookUrls::new("https://t.example", "telnyx", "tok").of_call("c1")
}

fn spec() -> &'static ProviderSpec {
    find("telnyx").unwrap()
}

/// The judge, if there is one.
fn library() -> Option<Judge> {
    Judge::new("judge_telnyx.py", &["telnyx", "nacl"])
}

/// The library believes each webhook of the emulator, takes it for what it is, and does not believe
/// one that was changed; what an independent signer signed, we believe.
#[test]
fn telnyx_signatures() {
    let Some(mut judge) = library() else { return };
    let (mut carrier, config) = emulated(spec(), NUMBER);
    let (from, to) = ("+442079460000".to_owned(), NUMBER.to_owned());
    carrier.command(CLOCK, Person::Call { from, to });
    let mut classes = Vec::new();
    let mut call = None;
    while let Some(output) = carrier.poll() {
        match output {
            Output::Hook { request, .. } => {
                let body = String::from_utf8(request.body.to_vec()).unwrap();
                let text = |name: &str| request.headers[name].to_str().unwrap();
                let pairs = json!({"telnyx-signature-ed25519": text("telnyx-signature-ed25519"),
                    "telnyx-timestamp": text("telnyx-timestamp")});
                let key = config.text("webhook_public_key").unwrap();
                let mut line = json!({"do": "verify", "now": NOW_S, "body": body,
                    "headers": pairs, "key": key});
                let told = judge.ask(&line);
                assert_eq!(told["valid"], true, "{told}");
                classes.push(told["class"].as_str().unwrap().to_owned());
                line["body"] = json!(body + " ");
                assert_eq!(judge.ask(&line)["valid"], false);
            }
            Output::Told(Told::Offered { call: id }) => {
                call = Some(id.clone());
                carrier.command(CLOCK, Person::Hangup(id));
            }
            _ => {}
        }
    }
    assert!(call.is_some());
    assert_eq!(classes, ["CallInitiatedWebhookEvent", "CallHangupWebhookEvent"]);

    for body in ["{}", "", "{\"data\":{\"event_type\":\"call.ü\"}}\n"] {
        let timestamp = NOW_S.to_string();
        let signed = judge.ask(&json!({"do": "sign", "timestamp": timestamp, "body": body}));
        let mut headers = HeaderMap::new();
        let signature = signed["signature"].as_str().unwrap();
        headers.insert("telnyx-signature-ed25519", signature.parse().unwrap());
        headers.insert("telnyx-timestamp", timestamp.parse().unwrap());
        let request = HookRequest {
            method: &Method::POST,
            url: "https://t.example/",
            headers: &headers,
            body: body.as_bytes(),
            unix_s: NOW_S,
        };
        let config = RawConfig::from_stored(json!({"webhook_public_key": signed["key"]})).unwrap();
        let verify = spec().hooks[0].verify;
        assert_eq!(verify(&request, &config), Ok(()));
        assert!(verify(&HookRequest { body: b"other", ..request }, &config).is_err());
    }
}

/// The library's client places a call at the emulator, asks for it, ends it, lists numbers, and
/// meets the errors it knows.
#[test]
fn telnyx_client() {
    let Some(mut judge) = library() else { return };
    let (mut carrier, config) = emulated(spec(), NUMBER);
    let line = json!({"do": "call", "key": config.text("api_key").unwrap(),
        "connection": config.text("connection_id").unwrap()});
    let told = judge.ask_with(&line, carrier.as_mut());
    assert_eq!(told["class"], "CallDialResponse");
    assert_eq!(told["alive"], json!([true, false]));
    let errors = ["UnprocessableEntityError", "NotFoundError", "AuthenticationError"];
    assert_eq!(told["errors"], json!(errors));
    assert_eq!(told["numbers"], json!([NUMBER]));
    assert_eq!(told["application"][0], "emulated");
}

/// What a flow sends when these are wanted, each answered well.
fn flow_requests(
    config: &RawConfig,
    direction: Direction,
    wanted: Vec<FlowCommand>,
) -> Vec<HttpRequest> {
    let mut flow = (spec().flow.unwrap())(FlowStart {
        config: config.clone(),
        direction,
        call: Some(CarrierCallId(CALL.to_owned())),
        to: number("+14155550100"),
        from: Some(number(NUMBER)),
        stream_url: "wss://t.example/s".to_owned(),
        hooks: hooks(),
    });
    let mut sent = Vec::new();
    for command in wanted {
        flow.handle(MonoTime::ZERO, FlowInput::Command(command));
        while let Some(output) = flow.poll() {
            let FlowOutput::Send { request, what } = output else { continue };
            sent.push(what);
            let (status, headers) = (StatusCode::OK, HeaderMap::new());
            let body = "{\"data\":{\"result\":\"ok\"}}".into();
            let result = Ok(HttpResponse { status, headers, body });
            flow.handle(MonoTime::ZERO, FlowInput::Answer { request, result });
        }
    }
    sent
}

fn operation_requests(config: &RawConfig) -> Vec<HttpRequest> {
    let calls = spec().calls;
    let call = CarrierCallId(CALL.to_owned());
    let transfer = |kind, to: &str| Transfer {
        id: "t-1".to_owned(),
        kind,
        call: call.clone(),
        to: number(to),
        from: Some(number(NUMBER)),
        hooks: hooks(),
        ring_timeout_s: 20,
    };
    let record = |on| Record { call: call.clone(), on, hooks: hooks() };
    let originate = Originate {
        to: number("+14155550100"),
        from: Some(number(NUMBER)),
        stream_url: "wss://t.example/s".to_owned(),
        hooks: hooks(),
        ring_timeout_s: 30,
        max_duration_s: 600,
        detect_machine: true,
        extra: Vec::new(),
    };
    let begin = calls.transfer.unwrap();
    let digits = SendDigits { call: call.clone(), digits: Pii::new("12#") };
    vec![
        first(calls.originate.unwrap()(config, &originate)),
        first(calls.hangup.unwrap()(config, &call)),
        first(begin(config, &transfer(TransferKind::Blind, "+14155550100"))),
        first(begin(config, &transfer(TransferKind::Refer, "sip:bob@example.com"))),
        first(begin(config, &transfer(TransferKind::Attended, "+14155550100"))),
        first(calls.dtmf.unwrap()(config, &digits)),
        first(calls.record.unwrap()(config, &record(true))),
        first(calls.record.unwrap()(config, &record(false))),
    ]
}

/// Each request of ours about calls is one that the library makes itself of the same values: it
/// knows every field, and puts it where we do. It would refuse one that it does not know.
#[test]
fn telnyx_requests() {
    let Some(mut judge) = library() else { return };
    let (_, config) = emulated(spec(), NUMBER);
    let mut ours = operation_requests(&config);
    let answered = vec![FlowCommand::Answer, FlowCommand::Hangup];
    ours.extend(flow_requests(&config, Direction::Inbound, answered));
    for refusal in Refusal::ALL {
        let refused = vec![FlowCommand::Refuse(refusal)];
        ours.extend(flow_requests(&config, Direction::Inbound, refused));
    }
    let again = vec![FlowCommand::Restream("wss://t.example/again".to_owned())];
    ours.extend(flow_requests(&config, Direction::Outbound, again));
    assert!(ours.len() > 14, "{ours:?}");
    for request in &ours {
        let body: Value = serde_json::from_slice(&request.body).unwrap();
        let path = request.url.split_once("/v2").unwrap().1;
        let told = judge.ask(&json!({"do": "request", "path": path, "body": body}));
        let expected = json!({"method": request.method.as_str(), "path": path, "body": body});
        assert_eq!(told, expected);
    }
}
