//! Vonage's own Python library judges: our token, call and document are what it makes itself, it
//! verifies the emulator's webhooks, and it is a client of the emulator's APIs.
#![cfg(feature = "emulate")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test")]

#[path = "support/judge.rs"]
mod judge;

use std::process::Command as Process;

use adapters::address::Address;
use adapters::config::RawConfig;
use adapters::emulate::{Clock, Command, Emulator, EmulatorStart, Output, Quirks, Told};
use adapters::event::CarrierCallId;
use adapters::exchange::HttpRequest;
use adapters::hook::{HookRequest, HookUrls, Take, VerifyError};
use adapters::op::{Bind, Moment, Op, Originate, Refusal, Step, Transfer, TransferKind};
use adapters::spec::ProviderSpec;
use http::{HeaderMap, Method};
use judge::{Judge, NOW_S, first};
use media::time::MonoTime;
use serde_json::{Value, json};

const NUMBER: &str = "+14155550199";

fn spec() -> &'static ProviderSpec {
    adapters::table::find("vonage").unwrap()
}

fn number(text: &str) -> Address {
    Address::parse(text, None).unwrap()
}

fn hooks() -> HookUrls {
    HookUrls::new("https://t.example", "vonage", "tok")
}

/// The judge, if there is one.
fn library() -> Option<Judge> {
    Judge::new("judge_vonage.py", &["vonage", "vonage_jwt", "jwt"])
}

struct World {
    config: RawConfig,
    vonage: Box<dyn Emulator>,
}

impl World {
    fn new() -> Self {
        let emulator = spec().emulator.unwrap();
        let given = (emulator.config)("https://api.test.example");
        let mut config = given.as_object().unwrap().clone();
        config.insert("record".to_owned(), json!(true));
        let config = spec().read(&Value::Object(config), None).unwrap();
        let vonage = (emulator.open)(EmulatorStart {
            config: config.clone(),
            numbers: vec![NUMBER.to_owned()],
            voice_url: None,
            seed: 3,
            quirks: Quirks::default(),
        });
        Self { config, vonage }
    }

    /// Performs an operation of ours; yields what was sent.
    fn perform<T>(&mut self, unix_s: u64, mut op: Box<dyn Op<T>>) -> Vec<HttpRequest> {
        let (mut sent, mut answer) = (Vec::new(), None);
        loop {
            match op.next(answer.take()) {
                Step::Send(mut request) => {
                    let moment = Moment { unix_s, random: [1; 16] };
                    spec().authorize.unwrap()(&self.config, &moment, &mut request).unwrap();
                    answer = self.vonage.rest(clock(unix_s), &request);
                    sent.push(request);
                }
                Step::Done(_) => return sent,
                Step::Fail(error) => panic!("{error}"),
            }
        }
    }

    /// The token of a webhook of an offered call.
    fn webhook(&mut self, unix_s: u64) -> String {
        let call = Command::Call { from: "+442079460000".to_owned(), to: NUMBER.to_owned() };
        self.vonage.command(clock(unix_s), call);
        let mut tokens = Vec::new();
        while let Some(output) = self.vonage.poll() {
            if let Output::Hook { request, .. } = output {
                tokens.push(request.headers["authorization"].to_str().unwrap().to_owned());
            }
        }
        tokens.pop().unwrap()
    }
}

fn clock(unix_s: u64) -> Clock {
    Clock { now: MonoTime::ZERO, unix_ms: unix_s * 1000 }
}

/// What is to be judged.
fn evidence(world: &mut World, unix_s: u64) -> Value {
    let bind = Bind { address: number(NUMBER), hooks: Some(hooks()) };
    let op = spec().calls.bind.unwrap()(&world.config, &bind).unwrap();
    world.perform(unix_s, op);
    let webhook = world.webhook(unix_s);
    let originate = Originate {
        to: number("+14155550100"),
        from: Some(number(NUMBER)),
        stream_url: "wss://media.example.test/v/abc".to_owned(),
        hooks: hooks().of_call("c-1"),
        ring_timeout_s: 30,
        max_duration_s: 600,
        detect_machine: true,
        extra: Vec::new(),
    };
    let op = spec().calls.originate.unwrap()(&world.config, &originate).unwrap();
    let sent = world.perform(unix_s, op);
    let mut call: Value = serde_json::from_slice(&sent[0].body).unwrap();
    let document = call["ncco"].clone();
    // The recording is judged as an action of its own.
    call["ncco"].as_array_mut().unwrap().remove(0);
    let take = Take { stream_url: originate.stream_url, hooks: hooks().of_call("c-1") };
    let answer = (spec().inbound.unwrap().answer)(&world.config, &take).unwrap();
    let answered: Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(answered, document);
    let mut documents = document.as_array().unwrap().clone();
    documents.extend(more_documents(&world.config));
    json!({
        "do": "judge",
        "config": world.config.expose(),
        "webhook": webhook,
        "token": sent[0].headers["authorization"].to_str().unwrap(),
        "call": call,
        "documents": documents,
    })
}

/// The actions of transfers, and of a refusal in words.
fn more_documents(config: &RawConfig) -> Vec<Value> {
    let transfer = |kind| Transfer {
        id: "t-1".to_owned(),
        kind,
        call: CarrierCallId("aaaaaaaa-bbbb-cccc-dddd-0123456789ab".to_owned()),
        to: number("+14155550100"),
        from: Some(number(NUMBER)),
        hooks: hooks().of_call("c-1"),
        ring_timeout_s: 20,
    };
    let read = |request: &HttpRequest| -> Value { serde_json::from_slice(&request.body).unwrap() };
    let calls = spec().calls;
    let begin = calls.transfer.unwrap();
    let connected = read(&first(begin(config, &transfer(TransferKind::Blind))));
    let consulted = read(&first(begin(config, &transfer(TransferKind::Attended))));
    let joined = read(&first(calls.join.unwrap()(config, &transfer(TransferKind::Attended))));
    let mut words = config.expose().clone();
    words.insert("refusal_text".to_owned(), json!("Sorry, not now."));
    let words = RawConfig::from_stored(Value::Object(words)).unwrap();
    let refused = (spec().inbound.unwrap().refuse)(&words, Refusal::Unavailable);
    let refused: Value = serde_json::from_slice(&refused.body).unwrap();
    let moved = |body: &Value| body["destination"]["ncco"].clone();
    let all = [moved(&connected), consulted["ncco"].clone(), moved(&joined), refused];
    all.iter().flat_map(|document| document.as_array().unwrap().clone()).collect()
}

/// The library agrees with all of it.
#[test]
fn vonages_library_agrees() {
    let Some(mut judge) = library() else { return };
    // The library looks at the clock, as tokens are new.
    let date = Process::new("date").arg("+%s").output().unwrap();
    let unix_s: u64 = String::from_utf8(date.stdout).unwrap().trim().parse().unwrap();
    let mut world = World::new();
    let evidence = evidence(&mut world, unix_s);
    let verdict = judge.ask_with(&evidence, world.vonage.as_mut());
    assert!(evidence["documents"].as_array().unwrap().len() > 5, "{evidence}");
    let id = world.config.text("application_id").unwrap();
    let expected = json!({
        "webhook": true,
        "webhook_of_another": false,
        "token": {"life_s": 900, "id": id},
        "documents": evidence["documents"],
        "call": true,
        "numbers": ["14155550199"],
        "placed": "started",
        "status": "ringing",
        "keys": "DTMF sent",
        "over": ["completed", "0", "0.00000000"],
        "application": [
            "emulated",
            "https://t.example/api/v1/telephony/vonage/answer/tok",
            true,
        ],
        "unknown": "NotFoundError",
    });
    assert_eq!(verdict, expected);
    let mut said = Vec::new();
    while let Some(output) = world.vonage.poll() {
        if let Output::Told(told) = output {
            said.push(told);
        }
    }
    let moved = |told: &Told| matches!(told, Told::Said { text, .. } if text == "moved");
    assert!(said.iter().any(moved), "{said:?}");
    assert!(!said.iter().any(|told| matches!(told, Told::Complaint { .. })), "{said:?}");
}

/// What is signed as the carrier signs we believe, whatever the body; not for another account or
/// application, nor by another method or key, nor with another body or an old time.
#[test]
fn what_is_signed_is_believed() {
    let Some(mut judge) = library() else { return };
    let config = World::new().config;
    let text = |name: &str| config.text(name).unwrap().to_owned();
    let claims = json!({"iat": NOW_S, "jti": "c5ba8f24-1a14-4c10-bfdf-3fbe8ce511b5",
        "iss": "Vonage", "api_key": text("api_key"), "application_id": text("application_id")});
    let secret = text("signature_secret");
    let mut check = |claims: &Value, secret: &str, algorithm: &str, body: &str, sent: &str| {
        let signed = judge.ask(&json!({"do": "sign", "claims": claims, "secret": secret,
            "algorithm": algorithm, "body": body}));
        let mut headers = HeaderMap::new();
        let bearer = format!("Bearer {}", signed["token"].as_str().unwrap());
        headers.insert(http::header::AUTHORIZATION, bearer.parse().unwrap());
        let request = HookRequest {
            method: &Method::POST,
            url: "https://t.example/api/v1/telephony/vonage/events/tok",
            headers: &headers,
            body: sent.as_bytes(),
            unix_s: NOW_S,
        };
        (spec().hooks[0].verify)(&request, &config)
    };
    for body in ["", "{}", "{\"from\":\"442079460000\",\"to\":\"ü\"}\n", "not JSON"] {
        assert_eq!(check(&claims, &secret, "HS256", body, body), Ok(()), "{body}");
    }
    let mut refused = |name: &str, value: Value, why: VerifyError| {
        let mut claims = claims.clone();
        claims[name] = value;
        assert_eq!(check(&claims, &secret, "HS256", "{}", "{}"), Err(why), "{name}");
    };
    refused("iss", json!("Somebody"), VerifyError::Account);
    refused("api_key", json!("00000000"), VerifyError::Account);
    refused("application_id", json!("00000000-0000-4000-8000-000000000000"), VerifyError::Account);
    refused("iat", json!(NOW_S - 301), VerifyError::Stale);
    refused("iat", json!(NOW_S + 301), VerifyError::Stale);
    refused("exp", json!(NOW_S - 60), VerifyError::Stale);
    let longer = "another secret that is as long as the right one may be";
    for (secret, algorithm, sent, why) in [
        (longer, "HS256", "{}", VerifyError::Signature),
        (&*secret, "HS512", "{}", VerifyError::Method),
        (&*secret, "HS256", "{} ", VerifyError::Body),
    ] {
        assert_eq!(check(&claims, secret, algorithm, "{}", sent), Err(why), "{algorithm}");
    }
}
