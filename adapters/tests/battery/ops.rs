//! Operations: what they send, and that every answer leads to an end.

use std::fmt::Debug;

use adapters::address::Address;
use adapters::config::RawConfig;
use adapters::event::{CarrierCallId, HangupCause};
use adapters::exchange::{CarrierError, HttpRequest, HttpResponse};
use adapters::hook::{HookUrls, Take};
use adapters::op::{
    Bind, Moment, Op, OpResult, Originate, Record, Refusal, SendDigits, Step, TakeBack, Transfer,
    TransferKind, TrunkState,
};
use adapters::secret::Pii;
use adapters::ui::{FieldKind, UiField};
use bytes::Bytes;
use http::{HeaderMap, StatusCode};

use super::without_credentials;
use crate::support::acme;
use crate::support::entry::{Entry, entries};

const STREAM_URL: &str = "wss://t.example/api/v1/telephony/ws/p/c1/token-of-one-use";
/// An id that would leave its place in a path if it were not escaped.
const HOSTILE: &str = "../../other?x=1#y z";
/// Most requests of one operation.
const STEPS_MAX: usize = 10;

fn number(text: &str) -> Address {
    Address::parse(text, None).unwrap()
}

fn hooks(entry: &Entry) -> HookUrls {
    HookUrls::new("https://t.example", entry.spec.name, "config-token").of_call("call-1")
}

fn originate(entry: &Entry) -> Originate {
    Originate {
        to: number("+15551234567"),
        from: Some(number("+4930123456")),
        stream_url: STREAM_URL.to_owned(),
        hooks: hooks(entry),
        ring_timeout_s: 30,
        max_duration_s: 600,
        detect_machine: true,
        extra: Vec::new(),
    }
}

fn answer(status: u16, body: &'static [u8]) -> HttpResponse {
    let (status, headers) = (StatusCode::from_u16(status).unwrap(), HeaderMap::new());
    HttpResponse { status, headers, body: Bytes::from_static(body) }
}

/// Runs an operation; every request gets the same answer.
fn run<T>(op: OpResult<T>, answer: &HttpResponse) -> (Vec<HttpRequest>, Result<T, CarrierError>) {
    let mut op = match op {
        Ok(op) => op,
        Err(error) => return (Vec::new(), Err(error)),
    };
    let (mut sent, mut last) = (Vec::new(), None);
    loop {
        match op.next(last.take()) {
            Step::Send(request) => {
                sent.push(request);
                last = Some(answer.clone());
            }
            Step::Done(done) => return (sent, Ok(done)),
            Step::Fail(error) => return (sent, Err(error)),
        }
        assert!(sent.len() < STEPS_MAX, "an operation without end");
    }
}

type Run = Box<dyn Fn(&RawConfig, &HttpResponse) -> (Vec<HttpRequest>, Result<(), CarrierError>)>;

fn run_of<T: 'static>(op: impl Fn(&RawConfig) -> OpResult<T> + 'static) -> Run {
    Box::new(move |config, answer| {
        let (sent, result) = run(op(config), answer);
        (sent, result.map(drop))
    })
}

/// Every operation that the provider has, by its name.
fn operations(entry: &Entry) -> Vec<(&'static str, Run)> {
    let mut all = call_operations(entry);
    all.extend(account_operations(entry));
    all
}

fn call_operations(entry: &Entry) -> Vec<(&'static str, Run)> {
    let calls = entry.spec.calls;
    let call = || CarrierCallId(HOSTILE.to_owned());
    let (hooks, placed) = (hooks(entry), originate(entry));
    let transfer = |kind| Transfer {
        id: "t-1".to_owned(),
        kind,
        call: call(),
        to: number("sip:bob@example.com"),
        from: Some(number("+4930123456")),
        hooks: hooks.clone(),
        ring_timeout_s: 20,
    };
    let send = SendDigits { call: call(), digits: Pii::new("12#") };
    let record = |on| Record { call: call(), on, hooks: hooks.clone() };
    let mut all: Vec<(&'static str, Run)> = Vec::new();
    if let Some(op) = calls.originate {
        all.push(("originate", run_of(move |config| op(config, &placed))));
    }
    if let Some(op) = calls.hangup {
        all.push(("hangup", run_of(move |config| op(config, &call()))));
    }
    if let Some(op) = calls.transfer {
        for kind in [TransferKind::Blind, TransferKind::Refer, TransferKind::Attended] {
            let transfer = transfer(kind);
            // A carrier need not know every way; then it says so before it is asked.
            if matches!(op(&entry.config(), &transfer), Err(CarrierError::Config(_))) {
                continue;
            }
            all.push(("transfer", run_of(move |config| op(config, &transfer))));
        }
    }
    if let Some(op) = calls.join {
        let transfer = transfer(TransferKind::Attended);
        all.push(("join", run_of(move |config| op(config, &transfer))));
    }
    if let Some(op) = calls.take_back {
        let take = Take { stream_url: STREAM_URL.to_owned(), hooks: hooks.clone() };
        let back = TakeBack { call: call(), take };
        all.push(("take_back", run_of(move |config| op(config, &back))));
    }
    if let Some(op) = calls.dtmf {
        all.push(("dtmf", run_of(move |config| op(config, &send))));
    }
    if let Some(op) = calls.record {
        for on in [true, false] {
            let record = record(on);
            all.push(("record", run_of(move |config| op(config, &record))));
        }
    }
    if let Some(op) = calls.status {
        all.push(("status", run_of(move |config| op(config, &call()))));
    }
    if let Some(op) = calls.cost {
        all.push(("cost", run_of(move |config| op(config, &call()))));
    }
    all
}

fn account_operations(entry: &Entry) -> Vec<(&'static str, Run)> {
    let (calls, hooks) = (entry.spec.calls, hooks(entry));
    let bind = Bind { address: number("+4930123456"), hooks: Some(hooks.clone()) };
    let trunk = TrunkState {
        name: "t".to_owned(),
        enabled: true,
        settings: RawConfig::default(),
        external_id: Some(HOSTILE.to_owned()),
    };
    let mut all: Vec<(&'static str, Run)> = Vec::new();
    if let Some(op) = calls.numbers {
        all.push(("numbers", run_of(op)));
    }
    if let Some(op) = calls.bind {
        all.push(("bind", run_of(move |config| op(config, &bind))));
    }
    if let Some(op) = calls.test {
        all.push(("test", run_of(op)));
    }
    if let Some(op) = calls.provision {
        all.push(("provision", run_of(move |config| op(config, &hooks))));
    }
    if let Some(trunks) = entry.spec.trunks {
        all.push(("apply trunk", run_of(move |config| (trunks.apply)(config, &trunk))));
        all.push(("remove trunk", run_of(move |config| (trunks.remove)(config, HOSTILE))));
    }
    all
}

/// What a request says, escapes undone.
fn text(request: &HttpRequest) -> String {
    let raw = format!("{} {}", request.url, String::from_utf8_lossy(&request.body));
    let raw = raw.replace('+', " ").into_bytes();
    let (mut text, mut at) = (Vec::new(), 0);
    while at < raw.len() {
        let escaped = raw.get(at + 1..at + 3).filter(|_| raw[at] == b'%');
        let byte = escaped
            .and_then(|hex| std::str::from_utf8(hex).ok())
            .and_then(|hex| u8::from_str_radix(hex, 16).ok());
        text.push(byte.unwrap_or(raw[at]));
        at += if byte.is_some() { 3 } else { 1 };
    }
    without_credentials(&String::from_utf8_lossy(&text), "wss://")
}

/// Placing a call names the number, the address of the audio and a hook of the configuration.
#[test]
fn originate_names_stream_and_hooks() {
    for entry in entries() {
        let Some(op) = entry.spec.calls.originate else { continue };
        let (sent, _) = run(op(&entry.config(), &originate(&entry)), &answer(200, b"{}"));
        let said: String = sent.iter().map(text).collect();
        // A carrier that asks when the call is answered is told then.
        let asks = entry.hooks().iter().any(|(_, hook)| hook.meaning.get("asked").is_some());
        let stream = if asks { "/config-token/call-1" } else { STREAM_URL };
        // One without hooks tells the flow, which asks for the audio.
        let told = !entry.spec.hooks.is_empty();
        let (stream, hook) =
            if told { (stream, "/config-token/call-1") } else { ("call-1", "call-1") };
        for part in ["15551234567", "4930123456", stream, hook] {
            assert!(said.contains(part), "{}: {part} is not in {said}", entry.spec.name);
        }
        assert!(sent.iter().all(|request| !request.repeatable || request.method == "GET"));
    }
}

/// Requests go to an absolute, encrypted or explicitly configured address, keep ids in their place,
/// and show neither secrets nor numbers in `Debug`.
#[test]
fn requests_are_sound() {
    for entry in entries() {
        let (config, secrets) = (entry.config(), entry.secrets());
        for (name, op) in operations(&entry) {
            let (sent, result) = op(&config, &answer(200, b"{}"));
            assert!(!sent.is_empty(), "{name}: {result:?}");
            for request in sent {
                let scheme = request.url.split_once("://").unwrap().0;
                assert!(matches!(scheme, "https" | "http"), "{name}: {}", request.url);
                assert!(!request.url.contains(HOSTILE) && !request.url.contains("/../"), "{name}");
                assert!(request.url.bytes().all(|b| b.is_ascii_graphic()), "{name}");
                let shown = format!("{request:?}");
                let private = secrets.iter().map(String::as_str).chain(["5551234567", "30123456"]);
                for private in private {
                    assert!(!shown.contains(private), "{name}: {shown}");
                    assert!(!request.url.contains(private) || private.starts_with(['5', '3']));
                }
            }
        }
    }
}

/// With another address of the API, every request goes there and nowhere else.
#[test]
fn another_address_takes_every_request() {
    for entry in entries() {
        // Where everybody has an API of their own, its address is no other than theirs.
        let is_base = |field: &&UiField| match field.kind {
            FieldKind::Text(rule) => rule.format == "api-base",
            _ => false,
        };
        let Some(field) = entry.spec.ui.fields.iter().find(is_base) else {
            assert!(operations(&entry).is_empty(), "{}: no field api_base", entry.spec.name);
            continue;
        };
        let is_other = field.name == "api_base";
        assert!(
            field.advanced == is_other && field.required != is_other && field.default.is_none()
        );
        let mut stored = entry.config().expose().clone();
        let base = "http://127.0.0.1:9/base";
        stored.insert(field.name.to_owned(), base.into());
        let config = RawConfig::from_stored(stored.into()).unwrap();
        for (name, op) in operations(&entry) {
            let (sent, _) = op(&config, &answer(200, b"{}"));
            let there = |request: &HttpRequest| request.url.starts_with(&format!("{base}/"));
            assert!(!sent.is_empty() && sent.iter().all(there), "{name}: {sent:?}");
        }
    }
}

/// Credentials that age are added to each request, differ from one sending to the next, are not
/// shown, and need what the configuration holds.
#[test]
fn credentials_that_age_are_added() {
    for entry in entries() {
        let Some(authorize) = entry.spec.authorize else { continue };
        let (config, secrets) = (entry.config(), entry.secrets());
        for (name, op) in operations(&entry) {
            for request in op(&config, &answer(200, b"{}")).0 {
                let sent = |unix_s, random| {
                    let mut sent = request.clone();
                    let moment = Moment { unix_s, random: [random; 16] };
                    authorize(&config, &moment, &mut sent)
                        .unwrap_or_else(|e| panic!("{name}: {e}"));
                    sent
                };
                let (first, second) = (sent(1_767_225_600, 1), sent(1_767_225_660, 2));
                assert_eq!((&first.url, &first.body), (&request.url, &request.body), "{name}");
                let shown = format!("{first:?} {:?}", first.headers);
                assert!(secrets.iter().all(|secret| !shown.contains(secret)), "{name}: {shown}");
                let ages = first.headers != request.headers;
                assert_eq!(ages, first.headers != second.headers, "{name}");
                let mut none = request.clone();
                let moment = Moment { unix_s: 0, random: [0; 16] };
                let without = authorize(&RawConfig::default(), &moment, &mut none);
                assert_eq!(ages, matches!(without, Err(CarrierError::Config(_))), "{name}");
            }
        }
    }
}

/// Refused credentials, too many requests and an outage are told apart by every operation; whatever
/// else comes back leads to an end without panic, and no error tells a secret.
#[test]
fn every_answer_leads_to_an_end() {
    for entry in entries() {
        let (config, secrets) = (entry.config(), entry.secrets());
        for (name, op) in operations(&entry) {
            let fails = |status| op(&config, &answer(status, b"<html>")).1.unwrap_err();
            assert_eq!(fails(401), CarrierError::Credentials, "{name}");
            assert_eq!(fails(429), CarrierError::TooMany { retry_after_s: None }, "{name}");
            assert_eq!(fails(503), CarrierError::Unavailable, "{name}");
            let ends = matches!(name, "hangup" | "remove trunk");
            // The price of a call may be told later than it is asked for, and to some carriers a
            // list without entries is none.
            if !matches!(name, "cost" | "numbers") {
                assert_eq!(op(&config, &answer(404, b"")).1.is_ok(), ends, "{name}: what is gone");
            }
            for body in [&b""[..], b"{", b"[]", b"null", b"\xff\xfe", b"{\"a\":[1]}"] {
                for status in [200, 201, 204, 302, 400, 418] {
                    let (_, result) = op(&config, &answer(status, body));
                    let shown = format!("{result:?}");
                    assert!(secrets.iter().all(|secret| !shown.contains(secret)), "{shown}");
                }
            }
        }
        // Without what it needs an operation does not begin.
        if let Some(op) = entry.spec.calls.originate {
            let (sent, result) =
                run(op(&RawConfig::default(), &originate(&entry)), &answer(200, b""));
            assert!(sent.is_empty() && matches!(result, Err(CarrierError::Config(_))));
        }
    }
}

fn step<T: Debug>(op: &mut dyn Op<T>, answer: Option<HttpResponse>) -> HttpRequest {
    match op.next(answer) {
        Step::Send(request) => request,
        other => panic!("{other:?}"),
    }
}

/// An operation of two requests takes the second from the answer to the first.
#[test]
fn two_requests_make_one_operation() {
    let entry = entries().pop().unwrap();
    let bind = Bind { address: number("+4930123456"), hooks: Some(hooks(&entry)) };
    let mut op = acme::SPEC.calls.bind.unwrap()(&entry.config(), &bind).unwrap();
    let find = step(op.as_mut(), None);
    assert_eq!((find.method.as_str(), find.repeatable), ("GET", true));
    let list =
        br#"{"numbers":[{"number":"15550100","id":"n0"},{"number":"4930123456","id":"n/7"}]}"#;
    let set = step(op.as_mut(), Some(answer(200, list)));
    assert!(set.url.ends_with("/numbers/n%2F7"), "{}", set.url);
    assert!(text(&set).contains("/voice/config-token/call-1"));
    assert!(matches!(op.next(Some(answer(204, b""))), Step::Done(())));

    let mut op = acme::SPEC.calls.bind.unwrap()(&entry.config(), &bind).unwrap();
    step(op.as_mut(), None);
    let none = op.next(Some(answer(200, br#"{"numbers":[]}"#)));
    assert!(matches!(none, Step::Fail(CarrierError::NotFound)));
}

/// What operations yield arrives: the id of a call, its state, its price, numbers, managed fields.
#[test]
fn results_arrive() {
    let entry = entries().pop().unwrap();
    let (config, calls) = (entry.config(), acme::SPEC.calls);
    let call = CarrierCallId("c1".to_owned());
    let placed = calls.originate.unwrap()(&config, &originate(&entry));
    let placed = run(placed, &answer(201, br#"{"call":"c1"}"#)).1.unwrap();
    assert_eq!(placed.call, call);
    let unknown = calls.originate.unwrap()(&config, &originate(&entry));
    let unknown = run(unknown, &answer(400, br#"{"code":211}"#)).1.unwrap_err();
    assert_eq!(unknown, CarrierError::Destination(Some("211".to_owned())));
    let state = answer(200, br#"{"call":"c1","state":"ended","sip":480}"#);
    let events = run(calls.status.unwrap()(&config, &call), &state).1.unwrap();
    assert_eq!((events.len(), &events[0].call), (1, &call));
    let price = answer(200, br#"{"amount":"0.013"}"#);
    let price = run(calls.cost.unwrap()(&config, &call), &price).1.unwrap().unwrap();
    assert_eq!((price.amount.as_str(), price.currency.as_str()), ("0.013", "EUR"));
    let open = run(calls.cost.unwrap()(&config, &call), &answer(200, b"{}")).1.unwrap();
    assert_eq!(open, None, "not rated yet");
    let list = answer(200, br#"{"numbers":[{"number":"4930123456","id":"n7","label":"L"}]}"#);
    let numbers = run(calls.numbers.unwrap()(&config), &list).1.unwrap();
    assert_eq!(numbers[0].address, number("+4930123456"));
    assert_eq!((numbers[0].label.as_deref(), &numbers[0].bound_to), (Some("L"), &None));
    let app = answer(200, br#"{"id":"77","name":"talkpath"}"#);
    let values = run(calls.provision.unwrap()(&config, &hooks(&entry)), &app).1.unwrap();
    let mut provisioned = config;
    acme::SPEC.set_managed(&mut provisioned, &values).unwrap();
    assert_eq!(provisioned.text("app_id"), Some("77"));
}

/// Each refusal of a call has a cause of its own for the record.
#[test]
fn refusals_have_causes() {
    let causes = Refusal::ALL.map(Refusal::cause);
    assert_eq!(
        causes,
        [
            HangupCause::NotFound,
            HangupCause::Congestion,
            HangupCause::Rejected,
            HangupCause::Failed
        ]
    );
}
