//! What is asked of the API, and what its answers mean.

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};

use super::super::SPEC;
use super::config;
use crate::address::Address;
use crate::config::RawConfig;
use crate::event::{CallFact, CarrierCallId, HangupCause, Price};
use crate::exchange::{CarrierError, HttpRequest, HttpResponse};
use crate::hook::{HookUrls, Take};
use crate::op::{Bind, Op, OpResult, Originate, Refusal, Step};
use crate::pairs::pairs;

const STREAM: &str = "wss://t.example/api/v1/telephony/ws/exotel/c1/tok?a=1";

fn hooks() -> HookUrls {
    HookUrls::new("https://t.example", "exotel", "tok").of_call("c1")
}

fn call() -> Originate {
    Originate {
        to: Address::parse("+919876543210", None).unwrap(),
        from: Address::parse("+918047491899", None).ok(),
        stream_url: STREAM.to_owned(),
        hooks: hooks(),
        ring_timeout_s: 25,
        max_duration_s: 86_400,
        detect_machine: true,
        extra: Vec::new(),
    }
}

fn answer(status: u16, body: &str) -> HttpResponse {
    let status = StatusCode::from_u16(status).unwrap();
    HttpResponse { status, headers: HeaderMap::new(), body: Bytes::from(body.to_owned()) }
}

/// Runs an operation whose requests get these answers.
fn run<T>(op: OpResult<T>, answers: &[&str]) -> (Vec<HttpRequest>, Result<T, CarrierError>) {
    let mut op: Box<dyn Op<T>> = match op {
        Ok(op) => op,
        Err(error) => return (Vec::new(), Err(error)),
    };
    let (mut sent, mut answers, mut last) = (Vec::new(), answers.iter(), None);
    loop {
        match op.next(last.take()) {
            Step::Send(request) => {
                sent.push(request);
                last = Some(answer(200, answers.next().unwrap()));
            }
            Step::Done(done) => return (sent, Ok(done)),
            Step::Fail(error) => return (sent, Err(error)),
        }
    }
}

fn form_of(request: &HttpRequest) -> Vec<(String, String)> {
    pairs(std::str::from_utf8(&request.body).unwrap()).collect()
}

fn place(config: &RawConfig, call: &Originate) -> Result<HttpRequest, CarrierError> {
    let (mut sent, placed) =
        run((SPEC.calls.originate.unwrap())(config, call), &[r#"{"call":{"sid":"x"}}"#]);
    placed.map(|placed| {
        assert_eq!(placed.call, CarrierCallId("x".into()));
        sent.remove(0)
    })
}

/// A call is placed in the region, with the credential in the addresses and within the limits of
/// the documents.
#[test]
fn calls_are_placed() {
    let request = place(&config(json!({})), &call()).unwrap();
    assert_eq!(request.url, "https://api.exotel.com/v1/accounts/acme1/calls/connect");
    assert_eq!(request.headers["authorization"], "Basic a2V5OnRva2Vu");
    assert!(!request.repeatable);
    let said = form_of(&request);
    let text = |name: &str| -> Vec<&str> {
        said.iter().filter(|(it, _)| it == name).map(|(_, value)| value.as_str()).collect()
    };
    for (name, value) in [
        ("from", "+919876543210"),
        ("callerid", "+918047491899"),
        (
            "streamurl",
            "wss://talkpath:0123456789abcdef@t.example/api/v1/telephony/ws/exotel/c1/tok?a=1",
        ),
        ("streamtype", "bidirectional"),
        ("timeout", "25"),
        ("timelimit", "14400"),
        ("customfield", "c1"),
        (
            "statuscallback",
            "https://talkpath:0123456789abcdef@t.example/api/v1/telephony/exotel/status/tok/c1",
        ),
    ] {
        assert_eq!(text(name), [value], "{name}");
    }
    assert!(text("streamname").iter().all(|name| name.len() <= 32));
    assert_eq!(text("statuscallbackevents[]"), ["ringing", "answered", "terminal"]);
    assert!(text("record").is_empty());
    let more = json!({"region": "mumbai", "record_outbound": true, "sample_rate": "16000",
        "https_credentials": false, "allow_from": ["192.0.2.1"]});
    let request = place(&config(more), &call()).unwrap();
    assert!(request.url.starts_with("https://api.in.exotel.com/"));
    let said = form_of(&request);
    let text = |name: &str| &said.iter().find(|(it, _)| it == name).unwrap().1;
    assert!(text("streamurl").ends_with("/tok?a=1&sample-rate=16000"));
    assert_eq!(text("statuscallback"), "https://t.example/api/v1/telephony/exotel/status/tok/c1");
    assert_eq!(text("record"), "true");
}

/// What the carrier would refuse, or cut short, is not asked for.
#[test]
fn limits_are_kept() {
    let config = config(json!({}));
    let mut long = call();
    long.stream_url = format!("wss://t.example/{}", "a".repeat(600));
    assert!(matches!(place(&config, &long), Err(CarrierError::Config(_))));
    let mut other = call();
    other.hooks = hooks().of_call(&"c".repeat(129));
    let said = form_of(&place(&config, &other).unwrap());
    assert!(said.iter().all(|(name, _)| name != "customfield"));
    other.from = None;
    assert!(matches!(place(&config, &other), Err(CarrierError::Config(_))));
    other.from = Address::parse("sip:a@b.example", None).ok();
    assert!(matches!(place(&config, &other), Err(CarrierError::CallerId(None))));
}

/// The id of a placed call is found in each spelling of the answer; what has none is in doubt.
#[test]
fn placed_calls_have_ids() {
    let run =
        |body: &str| run((SPEC.calls.originate.unwrap())(&config(json!({})), &call()), &[body]).1;
    for body in [
        r#"{"call":{"sid":"x1","status":"in-progress"}}"#,
        r#"{"Call":{"Sid":"x1","Status":"queued"}}"#,
        "<?xml version=\"1.0\"?><TwilioResponse><Call><Sid> x1 </Sid></Call></TwilioResponse>",
    ] {
        assert_eq!(run(body).unwrap().call.0, "x1", "{body}");
    }
    for body in ["", "{}", "[]", "\"<html>\"", r#"{"call":{"sid":""}}"#, "<Sid></Sid>", "<Sid>"] {
        assert!(matches!(run(body), Err(CarrierError::Answer(_))), "{body}");
    }
}

/// How a call stands, and what it cost once that is known.
#[test]
fn calls_are_asked_about() {
    let config = config(json!({"currency": "usd"}));
    let id = CarrierCallId("x/1".into());
    let facts = |body: &str| {
        let (sent, facts) = run((SPEC.calls.status.unwrap())(&config, &id), &[body]);
        assert_eq!(sent[0].url, "https://api.exotel.com/v1/Accounts/acme1/Calls/x%2F1.json");
        facts
    };
    let told = facts(r#"{"Call":{"Sid":"x/1","Status":"completed","Duration":"41"}}"#).unwrap();
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].call, id);
    let CallFact::Ended(ended) = &told[0].what else { panic!("{told:?}") };
    assert_eq!((ended.cause, ended.duration_ms), (HangupCause::Normal, Some(41_000)));
    let told = facts(r#"{"Call":{"Sid":"x/1","Status":"in-progress"}}"#).unwrap();
    assert_eq!(told[0].what, CallFact::Answered);
    assert!(facts(r#"{"Call":{"Sid":"x/1","Status":"odd"}}"#).is_err());
    let cost = |body: &str| run((SPEC.calls.cost.unwrap())(&config, &id), &[body]).1;
    let price = |amount: &str| Some(Price { amount: amount.into(), currency: "USD".into() });
    assert_eq!(cost(r#"{"Call":{"Price":"0.650000"}}"#), Ok(price("0.650000")));
    assert_eq!(cost(r#"{"Call":{"Price":-1.5}}"#), Ok(price("1.5")));
    assert_eq!(cost(r#"{"Call":{"Price":null}}"#), Ok(None));
    assert_eq!(cost(r#"{"Call":{"Price":""}}"#), Ok(None));
    assert!(cost(r#"{"Call":{"Price":"much"}}"#).is_err());
}

/// Numbers lead to the flow or elsewhere; one is led there, and away again, unless it leads
/// elsewhere by then.
#[test]
fn numbers_lead_to_the_flow() {
    let config = config(json!({"flow_id": "42"}));
    let listed = |leads: &str| {
        json!([{"sid": "n/1", "phone_number": "+918047491899", "friendly_name": "Front desk",
            "voice_url": leads}, {"sid": "n2", "PhoneNumber": "08047491800"}])
    };
    let ours = "http://my.exotel.com/acme1/exoml/start_voice/42";
    for (body, is_ours) in [
        (listed(ours), true),
        (json!({"incoming_phone_numbers": listed("https://my.exotel.com/exoml/start/41")}), false),
        (json!({"IncomingPhoneNumbers": listed("")}), false),
    ] {
        let (sent, numbers) = run((SPEC.calls.numbers.unwrap())(&config), &[&body.to_string()]);
        let url = "https://api.exotel.com/v2_beta/Accounts/acme1/IncomingPhoneNumbers";
        assert_eq!(sent[0].url, url);
        let numbers = numbers.unwrap();
        assert_eq!((numbers[0].ours, &*numbers[0].id, numbers.len()), (is_ours, "n/1", 2));
        assert_eq!(numbers[1].address.expose(), "+918047491800");
    }
    let bind = |on: bool, leads: &str| {
        let address = Address::parse("+918047491899", None).unwrap();
        let hooks = on.then(hooks);
        let answers = [listed(leads).to_string(), "{}".to_owned()];
        let answers = answers.each_ref().map(String::as_str);
        let op = (SPEC.calls.bind.unwrap())(&config, &Bind { address, hooks });
        let (sent, done) = run(op, &answers);
        done.unwrap();
        sent.get(1).map(|request| {
            assert!(request.url.ends_with("/IncomingPhoneNumbers/n%2F1"), "{}", request.url);
            assert_eq!((request.method.as_str(), request.repeatable), ("PUT", true));
            form_of(request)[0].clone()
        })
    };
    let voice = |url: &str| Some(("VoiceUrl".to_owned(), url.to_owned()));
    assert_eq!(bind(true, ""), voice(ours));
    assert_eq!(bind(true, "http://my.exotel.com/acme1/exoml/start_voice/7"), voice(ours));
    assert_eq!(bind(true, ours), None, "it does already");
    assert_eq!(bind(false, ours), voice(""));
    assert_eq!(bind(false, "http://my.exotel.com/acme1/exoml/start_voice/7"), None);
    let none = super::config(json!({}));
    let address = Address::parse("+918047491899", None).unwrap();
    let op = (SPEC.calls.bind.unwrap())(&none, &Bind { address, hooks: Some(hooks()) });
    assert!(matches!(op.map(drop), Err(CarrierError::Config("no flow is named"))));
}

/// The applet is told the address with credential and rate; whoever is refused is told none.
#[test]
fn the_applet_is_answered() {
    let take = Take { stream_url: STREAM.to_owned(), hooks: hooks() };
    let inbound = SPEC.inbound.unwrap();
    let url = |more: Value| {
        let reply = (inbound.answer)(&config(more), &take).unwrap();
        assert_eq!((reply.status, reply.content_type), (StatusCode::OK, "application/json"));
        let body: Value = serde_json::from_slice(&reply.body).unwrap();
        assert_eq!(body.as_object().unwrap().len(), 1);
        body["url"].as_str().unwrap().to_owned()
    };
    let proven = STREAM.replace("://", "://talkpath:0123456789abcdef@");
    assert_eq!(url(json!({})), proven);
    assert_eq!(url(json!({"sample_rate": "24000"})), format!("{proven}&sample-rate=24000"));
    let bare = json!({"socket_user": null, "socket_password": null, "allow_from": ["192.0.2.1"]});
    assert_eq!(url(bare), STREAM);
    for refusal in Refusal::ALL {
        let reply = (inbound.refuse)(&config(json!({})), refusal);
        assert!(reply.status.is_client_error());
        let body: Value = serde_json::from_slice(&reply.body).unwrap();
        assert!(body.get("url").is_none() && body["error"].is_string());
    }
}
