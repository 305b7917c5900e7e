//! Twilio's own library for Python as judge: it signs what we accept, accepts what the carrier in
//! miniature signs, writes the documents that we write, makes the requests that we make, and is a
//! client of the carrier in miniature.
#![cfg(feature = "emulate")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "test")]

#[path = "support/judge.rs"]
mod judge;

use adapters::address::Address;
use adapters::config::RawConfig;
use adapters::emulate::xml::{self, Element};
use adapters::emulate::{Command, EmulatorStart, Output, Quirks, SocketInput, form};
use adapters::event::CarrierCallId;
use adapters::exchange::{HttpRequest, HttpResponse};
use adapters::hook::{HookReply, HookRequest, HookUrls, Take, VerifyError};
use adapters::op::{Bind, Op, Originate, Record, Refusal, Step, Transfer, TransferKind};
use adapters::spec::ProviderSpec;
use http::{HeaderMap, Method, StatusCode};
use judge::{CLOCK, Judge, emulated, first};
use serde_json::{Map, Value, json};

const TOKEN: &str = "0123456789abcdef0123456789abcdef";
const STREAM_URL: &str = "wss://t.example/api/v1/telephony/ws/twilio/c1/token";
/// Requests that the SDK signs.
const SIGNED: usize = 100;

/// The judge, if there is one.
fn library() -> Option<Judge> {
    Judge::new("judge_twilio.py", &["twilio", "requests"])
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

fn check(
    config: &RawConfig,
    url: &str,
    more: &[(&'static str, &str)],
    body: &str,
) -> Result<(), VerifyError> {
    let mut headers = HeaderMap::new();
    for (name, value) in more {
        headers.insert(*name, value.parse().unwrap());
    }
    let (method, body) = (&Method::POST, body.as_bytes());
    let request = HookRequest { method, url, headers: &headers, body, unix_s: 0 };
    (spec().hook("voice").unwrap().verify)(&request, config)
}

/// What the library signs we accept, with ports and queries, and refuse once a field is gone.
#[test]
fn what_the_library_signs_is_accepted() {
    let Some(mut judge) = library() else { return };
    let urls = [
        "https://t.example/api/v1/telephony/twilio/voice/tok",
        "https://t.example/a?b=c%20d&e",
        "https://t.example:8443/a",
        "https://t.example:443/a",
        "http://t.example:80/a",
    ];
    for (url, fields) in (0..SIGNED).map(|seed| (urls[seed % urls.len()], fields(seed))) {
        let task = json!({"do": "sign", "token": TOKEN, "url": url, "params": fields});
        let signature = judge.ask(&task)["signature"].as_str().unwrap().to_owned();
        let check = |fields: &Map<String, Value>| {
            let pairs = fields.iter().map(|(name, value)| (name.as_str(), value.as_str().unwrap()));
            let kind = ("content-type", "application/x-www-form-urlencoded");
            let signed = ("x-twilio-signature", &*signature);
            check(&config(), url, &[kind, signed], &form::write(pairs))
        };
        assert_eq!(check(&fields), Ok(()), "{url} {fields:?}");
        let mut fewer = fields.clone();
        if let Some(name) = fields.keys().next() {
            fewer.remove(name);
            assert!(check(&fewer).is_err(), "{url} {fields:?}");
        }
    }
}

/// The same of bodies that are no forms, whose hash stands in the address, and of signatures by a
/// shared key.
#[test]
fn hashes_and_shared_keys_are_accepted() {
    let Some(mut judge) = library() else { return };
    for (url, body) in [("https://t.example/a", "{}"), ("https://t.example/a?b=c", "[\"ü\"]\n")] {
        let task = json!({"do": "sign", "token": TOKEN, "url": url, "body": body});
        let told = judge.ask(&task);
        let text = |name: &str| told[name].as_str().unwrap();
        let signed =
            [("content-type", "application/json"), ("x-twilio-signature", text("signature"))];
        assert_eq!(check(&config(), text("url"), &signed, body), Ok(()), "{told}");
        assert_eq!(check(&config(), text("url"), &signed, "{} "), Err(VerifyError::Body));
        assert_eq!(check(&config(), url, &signed, body), Err(VerifyError::Body));
    }
    let mut shared = config().expose().clone();
    shared.insert("webhook_shared_keys".to_owned(), json!({"k1": "shared secret"}));
    let shared = RawConfig::from_stored(Value::Object(shared)).unwrap();
    let (url, body) = ("https://t.example/a", "CallSid=CA1&From=%2B15551234567");
    let params = json!({"CallSid": "CA1", "From": "+15551234567"});
    let task = json!({"do": "sign", "token": "shared secret", "url": url, "params": params,
        "algorithm": "HMAC_SHA256"});
    let signature = judge.ask(&task)["signature"].as_str().unwrap().to_owned();
    let checked = |settings: &str| {
        let signed = [
            ("content-type", "application/x-www-form-urlencoded"),
            ("x-twilio-signature", &*signature),
            ("x-twilio-webhooks-signature-settings", settings),
        ];
        check(&shared, url, &signed, body)
    };
    assert_eq!(checked("key=k1,algorithm=HMAC_SHA256"), Ok(()));
    assert!(checked("key=k2,algorithm=HMAC_SHA256").is_err());
    assert!(checked("key=k1,algorithm=HMAC_SHA1").is_err());
}

/// The webhooks and the upgrade request of the carrier in miniature bear signatures that the SDK
/// accepts, and none that it accepts for something else.
#[test]
fn what_the_emulator_signs_is_accepted() {
    let Some(mut judge) = library() else { return };
    let mut carrier = (spec().emulator.unwrap().open)(EmulatorStart {
        config: config(),
        numbers: vec!["+15551234567".to_owned()],
        voice_url: Some(hooks().url("voice")),
        seed: 1,
        quirks: Quirks::default(),
    });
    let (from, to) = ("+15557654321".to_owned(), "+15551234567".to_owned());
    carrier.command(CLOCK, Command::Call { from, to });
    let take = Take { stream_url: STREAM_URL.to_owned(), hooks: hooks() };
    let reply = (spec().inbound.unwrap().answer)(&config(), &take).unwrap();
    let (mut tasks, mut kinds) = (Vec::new(), Vec::new());
    while let Some(output) = carrier.poll() {
        let (request, params) = match output {
            Output::Hook { hook, request } => {
                let mut headers = HeaderMap::new();
                headers.insert("content-type", reply.content_type.parse().unwrap());
                let body = reply.body.clone();
                let answer = HttpResponse { status: reply.status, headers, body };
                carrier.answered(CLOCK, hook, Some(answer));
                let text = String::from_utf8(request.body.to_vec()).unwrap();
                let params = form::read(&text).into_iter().map(|(k, v)| (k, json!(v)));
                kinds.push("hook");
                (request, params.collect())
            }
            Output::Open { socket, request } => {
                carrier.socket(CLOCK, socket, SocketInput::Opened);
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
    for (index, task) in tasks.iter().enumerate() {
        assert_eq!(judge.ask(task)["valid"], json!(index % 2 == 0), "{task}");
    }
}

/// The document of the request that an operation sends.
fn sent(kind: TransferKind, to: &str) -> String {
    let transfer = Transfer {
        id: "t-1".to_owned(),
        kind,
        call: CarrierCallId("CA1".to_owned()),
        to: Address::parse(to, None).unwrap(),
        from: Address::parse("+15551234567", None).ok(),
        hooks: hooks(),
        ring_timeout_s: 20,
    };
    let HttpRequest { body, .. } = first(spec().calls.transfer.unwrap()(&config(), &transfer));
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

/// Our documents mean what the library's mean.
#[test]
fn documents_are_those_of_the_library() {
    let Some(mut judge) = library() else { return };
    let inbound = spec().inbound.unwrap();
    let take = Take { stream_url: STREAM_URL.to_owned(), hooks: hooks() };
    let text = |reply: HookReply| String::from_utf8(reply.body.to_vec()).unwrap();
    let refuse = |refusal| text((inbound.refuse)(&config(), refusal));
    let conference = sent(TransferKind::Attended, "+15558889999");
    let room = xml::read(&conference).unwrap().children[0].children[0].text.clone();
    let url = |hook| hooks().url(hook);
    let connect =
        json!({"url": STREAM_URL, "action": url("stream-ended"), "stream": url("stream")});
    let named = |hook| hooks().of_transfer(hook, "t-1");
    let dial = json!({"action": named("dial-ended"), "from": "+15551234567", "to": "+15558889999",
        "leg": named("transfer-leg")});
    let refer = json!({"action": named("refer-ended"), "to": "sip:alice@example.com"});
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
    for (name, said, ours) in &documents {
        let theirs = judge.ask(&json!({"do": "document", "name": name, "said": said}));
        let theirs = theirs["document"].as_str().unwrap();
        assert_eq!(sorted(ours), sorted(theirs), "{name}");
    }
}

/// The library's client places a call at the emulator, asks for it, records it, gives it another
/// document and ends it, lists and binds numbers, makes an application, and meets the errors that
/// the carrier has.
#[test]
fn the_librarys_client() {
    let Some(mut judge) = library() else { return };
    let number = "+15551234567";
    let (mut carrier, config) = emulated(spec(), number);
    let mut task = json!({"do": "place", "account": config.text("account_sid").unwrap(),
        "token": config.text("auth_token").unwrap(), "number": number});
    let placed = judge.ask_with(&task, carrier.as_mut());
    assert_eq!(
        (&placed["status"], &placed["direction"]),
        (&json!("queued"), &json!("outbound-api"))
    );
    let sid = placed["sid"].as_str().unwrap().to_owned();
    // Until the document has run out there is something to record.
    carrier.command(CLOCK, Command::Answer(sid.clone()));
    task["do"] = json!("rest");
    task["sid"] = json!(sid);
    let told = judge.ask_with(&task, carrier.as_mut());
    let expected = json!({
        "up": "in-progress",
        "recording": [true, true, "stopped"],
        "over": ["completed", "0", "-0.00000", "USD", true],
        "numbers": [[number, "https://t.example/v"]],
        "application": "AP",
        "errors": [[404, 20404], [404, 20404], [400, 21217], [400, 21211], [400, 21212], [401, 20003]],
    });
    assert_eq!(told, expected);
}

/// The requests of an operation, each answered as the carrier answers.
fn all<T>(mut op: Box<dyn Op<T>>, answers: &[&'static str]) -> Vec<HttpRequest> {
    let (mut sent, mut answer) = (Vec::new(), None);
    let mut answers = answers.iter();
    while let Step::Send(request) = op.next(answer.take()) {
        sent.push(request);
        let Some(body) = answers.next() else { break };
        let (status, headers) = (StatusCode::OK, HeaderMap::new());
        answer = Some(HttpResponse { status, headers, body: (*body).into() });
    }
    sent
}

/// Each request of ours that changes something is one that the library makes itself of the same
/// values: it knows every field, and puts it where we do.
#[test]
fn requests_are_those_of_the_library() {
    let Some(mut judge) = library() else { return };
    let mut config = config().expose().clone();
    config.remove("api_base");
    let config = RawConfig::from_stored(Value::Object(config)).unwrap();
    let calls = spec().calls;
    let call = CarrierCallId(format!("CA{}", "b".repeat(32)));
    let number = |text: &str| Address::parse(text, None).unwrap();
    let originate = Originate {
        to: number("+15558889999"),
        from: Some(number("+15551234567")),
        stream_url: STREAM_URL.to_owned(),
        hooks: hooks(),
        ring_timeout_s: 30,
        max_duration_s: 600,
        detect_machine: true,
        extra: Vec::new(),
    };
    let transfer = |kind, to: &str| Transfer {
        id: "t-1".to_owned(),
        kind,
        call: call.clone(),
        to: number(to),
        from: Some(number("+15551234567")),
        hooks: hooks(),
        ring_timeout_s: 20,
    };
    let record = |on| Record { call: call.clone(), on, hooks: hooks() };
    let begin = calls.transfer.unwrap();
    let mut ours = vec![
        first(calls.originate.unwrap()(&config, &originate)),
        first(calls.hangup.unwrap()(&config, &call)),
        first(begin(&config, &transfer(TransferKind::Blind, "+15558889999"))),
        first(begin(&config, &transfer(TransferKind::Refer, "sip:alice@example.com"))),
        first(begin(&config, &transfer(TransferKind::Attended, "+15558889999"))),
        first(calls.join.unwrap()(&config, &transfer(TransferKind::Attended, "+15558889999"))),
        first(calls.record.unwrap()(&config, &record(true))),
        first(calls.record.unwrap()(&config, &record(false))),
        first(calls.provision.unwrap()(&config, &hooks())),
    ];
    let list = r#"{"incoming_phone_numbers":[{"sid":"PNcccccccccccccccccccccccccccccccc",
        "phone_number":"+15551234567"}]}"#;
    for hooks in [Some(hooks()), None] {
        let bind = Bind { address: number("+15551234567"), hooks };
        ours.extend(all(calls.bind.unwrap()(&config, &bind).unwrap(), &[list]).pop());
    }
    for request in &ours {
        let account = config.text("account_sid").unwrap();
        let path = request.url.split(account).nth(1).unwrap();
        let mut fields = form::read(str::from_utf8(&request.body).unwrap());
        let task = json!({"do": "request", "account": account, "path": path, "fields": fields});
        fields.sort();
        let expected = json!({"method": "POST", "url": request.url, "fields": fields});
        assert_eq!(judge.ask(&task), expected);
    }
}
