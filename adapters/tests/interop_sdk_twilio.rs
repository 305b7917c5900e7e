//! The carrier's own SDK as judge: it signs what we accept, accepts what the carrier in miniature
//! signs, and writes the documents that we write.
#![cfg(feature = "emulate")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "test")]

use std::env;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use adapters::address::Address;
use adapters::config::RawConfig;
use adapters::emulate::xml::{self, Element};
use adapters::emulate::{Clock, EmulatorStart, Output, Quirks, form};
use adapters::event::CarrierCallId;
use adapters::exchange::{HttpRequest, HttpResponse};
use adapters::hook::{HookRequest, HookUrls, Take};
use adapters::op::{Refusal, Step, Transfer, TransferKind};
use adapters::spec::ProviderSpec;
use http::{HeaderMap, HeaderValue, Method};
use media::time::MonoTime;
use serde_json::{Map, Value, json};

const TOKEN: &str = "0123456789abcdef0123456789abcdef";
const STREAM_URL: &str = "wss://t.example/api/v1/telephony/ws/twilio/c1/token";
/// Requests that the SDK signs.
const SIGNED: usize = 100;

/// The Python that has the SDK, if there is one.
fn python() -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let python = env::var_os("TALKPATH_TEST_PYTHON")
        .map_or_else(|| root.join("target/peers/bin/python"), PathBuf::from);
    let has = |python: &PathBuf| {
        let found = Command::new(python).args(["-c", "import twilio"]).output();
        found.is_ok_and(|output| output.status.success())
    };
    if python.is_file() && has(&python) {
        return Some(python);
    }
    let why = "no Python with tests/interop/requirements.txt; ./test makes target/peers";
    let required = env::var_os("TALKPATH_REQUIRE_PEERS").is_some_and(|value| value == "1");
    assert!(!required, "TALKPATH_REQUIRE_PEERS=1, but {why}");
    eprintln!("skipped: {why}");
    None
}

/// What the SDK makes of the tasks.
fn judge(python: &Path, tasks: &[Value]) -> Vec<Value> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/interop/sdk_twilio.py");
    let mut child = Command::new(python)
        .arg(script)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(json!(tasks).to_string().as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    let answers: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(answers.len(), tasks.len());
    answers
}

fn spec() -> &'static ProviderSpec {
    adapters::table::find("twilio").unwrap()
}

fn config() -> RawConfig {
    let account = format!("AC{}", "a".repeat(32));
    let config = json!({
        "account_sid": account,
        "auth_token": TOKEN,
        "unavailable_text": "Sorry, this number can't take <calls> & \"things\" right now.",
        "language": "en-US",
        "api_base": "http://127.0.0.1:9",
    });
    spec().read(&config, None).unwrap()
}

fn hooks() -> HookUrls {
    HookUrls::new("https://t.example", "twilio", "tok").of_call("call-1")
}

/// Fields of all kinds: blank, with spaces, beyond ASCII, in no order.
fn fields(seed: usize) -> Map<String, Value> {
    let values = ["", " ", "+15551234567", "a b", "Müller & Söhne", "日本", "%41", "a=b&c", "ü"];
    (0..seed % 12)
        .map(|index| {
            let name =
                format!("{}Field{}", if index % 3 == 0 { "x" } else { "X" }, seed * 7 + index);
            (name, json!(values[(seed + index * 5) % values.len()]))
        })
        .collect()
}

/// What the SDK signs we accept, with ports and queries, and refuse once a field is gone.
#[test]
fn what_the_sdk_signs_is_accepted() {
    let Some(python) = python() else { return };
    let urls = [
        "https://t.example/api/v1/telephony/twilio/voice/tok",
        "https://t.example/a?b=c%20d&e",
        "https://t.example:8443/a",
        "https://t.example:443/a",
        "http://t.example:80/a",
    ];
    let cases: Vec<_> = (0..SIGNED).map(|seed| (urls[seed % urls.len()], fields(seed))).collect();
    let tasks: Vec<_> = cases
        .iter()
        .map(|(url, fields)| json!({"do": "sign", "token": TOKEN, "url": url, "params": fields}))
        .collect();
    let hook = spec().hook("voice").unwrap();
    for ((url, fields), signature) in cases.iter().zip(judge(&python, &tasks)) {
        let check = |fields: &Map<String, Value>| {
            let pairs = fields.iter().map(|(name, value)| (name.as_str(), value.as_str().unwrap()));
            let body = form::write(pairs);
            let mut headers = HeaderMap::new();
            let kind = HeaderValue::from_static("application/x-www-form-urlencoded");
            headers.insert("content-type", kind);
            let signature = HeaderValue::from_str(signature.as_str().unwrap()).unwrap();
            headers.insert("x-twilio-signature", signature);
            let request = HookRequest {
                method: &Method::POST,
                url,
                headers: &headers,
                body: body.as_bytes(),
                unix_s: 0,
            };
            (hook.verify)(&request, &config())
        };
        assert_eq!(check(fields), Ok(()), "{url} {fields:?}");
        let mut fewer = fields.clone();
        if let Some(name) = fields.keys().next() {
            fewer.remove(name);
            assert!(check(&fewer).is_err(), "{url} {fields:?}");
        }
    }
}

/// The webhooks and the upgrade request of the carrier in miniature bear signatures that the SDK
/// accepts, and none that it accepts for something else.
#[test]
fn what_the_emulator_signs_is_accepted() {
    let Some(python) = python() else { return };
    let mut carrier = (spec().emulator.unwrap().open)(EmulatorStart {
        config: config(),
        numbers: vec!["+15551234567".to_owned()],
        voice_url: Some(hooks().url("voice")),
        seed: 1,
        quirks: Quirks::default(),
    });
    let clock = Clock { now: MonoTime::ZERO, unix_ms: 1_767_693_600_000 };
    let call = adapters::emulate::Command::Call {
        from: "+15557654321".to_owned(),
        to: "+15551234567".to_owned(),
    };
    carrier.command(clock, call);
    let take = Take { stream_url: STREAM_URL.to_owned(), hooks: hooks() };
    let reply = (spec().inbound.unwrap().answer)(&config(), &take).unwrap();
    let (mut tasks, mut kinds) = (Vec::new(), Vec::new());
    while let Some(output) = carrier.poll() {
        let (request, params) = match output {
            Output::Hook { hook, request } => {
                let mut headers = HeaderMap::new();
                headers.insert("content-type", HeaderValue::from_static(reply.content_type));
                let body = reply.body.clone();
                let answer = HttpResponse { status: reply.status, headers, body };
                carrier.answered(clock, hook, Some(answer));
                let text = String::from_utf8(request.body.to_vec()).unwrap();
                let params = form::read(&text).into_iter().map(|(k, v)| (k, json!(v)));
                kinds.push("hook");
                (request, params.collect())
            }
            Output::Open { socket, request } => {
                carrier.socket(clock, socket, adapters::emulate::SocketInput::Opened);
                kinds.push("open");
                (request, Map::new())
            }
            _ => continue,
        };
        let signature = request.headers["x-twilio-signature"].to_str().unwrap();
        tasks.push(json!({"do": "validate", "token": TOKEN, "url": request.url,
            "params": params, "signature": signature}));
        tasks.push(json!({"do": "validate", "token": TOKEN, "url": format!("{}x", request.url),
            "params": params, "signature": signature}));
    }
    assert!(kinds.contains(&"open") && kinds.iter().filter(|kind| **kind == "hook").count() > 1);
    for (index, valid) in judge(&python, &tasks).iter().enumerate() {
        assert_eq!(*valid, json!(index % 2 == 0), "{}", tasks[index]);
    }
}

/// The document of the request that an operation sends.
fn sent(kind: TransferKind, to: &str) -> String {
    let transfer = Transfer {
        kind,
        call: CarrierCallId("CA1".to_owned()),
        to: Address::parse(to, None).unwrap(),
        from: Address::parse("+15551234567", None).ok(),
        hooks: hooks(),
        ring_timeout_s: 20,
    };
    let mut op = (spec().calls.transfer.unwrap())(&config(), &transfer).unwrap();
    let Step::Send(HttpRequest { body, .. }) = op.next(None) else { panic!("nothing is sent") };
    let fields = form::read(str::from_utf8(&body).unwrap());
    form::value(&fields, "Twiml").unwrap().to_owned()
}

fn sorted(text: &str) -> Element {
    fn sort(element: &mut Element) {
        element.attributes.sort();
        element.children.iter_mut().for_each(sort);
    }
    let mut element = xml::read(text).unwrap_or_else(|| panic!("not well-formed: {text}"));
    sort(&mut element);
    element
}

/// Our documents mean what the SDK's mean.
#[test]
fn documents_are_those_of_the_sdk() {
    let Some(python) = python() else { return };
    let inbound = spec().inbound.unwrap();
    let take = Take { stream_url: STREAM_URL.to_owned(), hooks: hooks() };
    let text = |reply: adapters::hook::HookReply| String::from_utf8(reply.body.to_vec()).unwrap();
    let refuse = |refusal| text((inbound.refuse)(&config(), refusal));
    let conference = sent(TransferKind::Attended, "+15558889999");
    let room = xml::read(&conference).unwrap().children[0].children[0].text.clone();
    let url = |hook| hooks().url(hook);
    let connect =
        json!({"url": STREAM_URL, "action": url("stream-ended"), "stream": url("stream")});
    let dial = json!({"action": url("dial-ended"), "from": "+15551234567", "to": "+15558889999",
        "leg": url("transfer-leg")});
    let refer = json!({"action": url("refer-ended"), "to": "sip:alice@example.com"});
    let says = json!({"text": config().text("unavailable_text"), "language": "en-US"});
    let documents = [
        ("connect", connect, text((inbound.answer)(&config(), &take).unwrap())),
        ("busy", json!({}), refuse(Refusal::Busy)),
        ("rejected", json!({}), refuse(Refusal::Rejected)),
        ("unavailable", says, refuse(Refusal::Unavailable)),
        ("dial", dial, sent(TransferKind::Blind, "+15558889999")),
        ("refer", refer, sent(TransferKind::Refer, "sip:alice@example.com")),
        ("conference", json!({"room": room}), conference),
    ];
    let tasks: Vec<_> = documents
        .iter()
        .map(|(name, said, _)| json!({"do": "document", "name": name, "said": said}))
        .collect();
    for ((name, _, ours), theirs) in documents.iter().zip(judge(&python, &tasks)) {
        assert_eq!(sorted(ours), sorted(theirs.as_str().unwrap()), "{name}");
    }
}
