//! Vonage's own Python library judges: our token, call and document are what it makes itself, it
//! verifies the emulator's webhooks, and it is a client of the emulator's APIs.
#![cfg(feature = "emulate")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test")]

#[path = "../../tests/support/peers.rs"]
mod peers;

use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, Command as Process, Stdio};

use adapters::address::Address;
use adapters::config::RawConfig;
use adapters::emulate::{Clock, Command, Emulator, EmulatorStart, Output, Quirks, Told};
use adapters::exchange::HttpRequest;
use adapters::hook::{HookUrls, Take};
use adapters::op::{Bind, Moment, Op, Originate, Step};
use adapters::spec::ProviderSpec;
use http::HeaderName;
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

/// A process that ends with the test.
struct Judge(Child);

impl Drop for Judge {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
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

    fn library_asks(&mut self, asked: &Value) -> Value {
        let http = &asked["http"];
        let mut request = HttpRequest::get(http["url"].as_str().unwrap().to_owned());
        request.method = http["method"].as_str().unwrap().parse().unwrap();
        request.body = http["body"].as_str().unwrap().to_owned().into();
        for (name, value) in http["headers"].as_object().unwrap() {
            let name: HeaderName = name.parse().unwrap();
            request.headers.insert(name, value.as_str().unwrap().parse().unwrap());
        }
        let at = clock(asked["now"].as_u64().unwrap());
        let answer = self.vonage.rest(at, &request).unwrap();
        let body = String::from_utf8(answer.body.to_vec()).unwrap();
        json!({"status": answer.status.as_u16(), "body": body})
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
    json!({
        "config": world.config.expose(),
        "webhook": webhook,
        "token": sent[0].headers["authorization"].to_str().unwrap(),
        "call": call,
        "document": document,
    })
}

/// The library agrees with all of it.
#[test]
fn vonages_library_agrees() {
    let Some(python) = peers::python() else { return };
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let script = root.join("../tests/interop/vonage_judge.py");
    // The library looks at the clock, as tokens are new.
    let date = Process::new("date").arg("+%s").output().unwrap();
    let unix_s: u64 = String::from_utf8(date.stdout).unwrap().trim().parse().unwrap();
    let mut judge = Process::new(python)
        .arg(script)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .map(Judge)
        .unwrap();
    let mut to = judge.0.stdin.take().unwrap();
    let mut from = BufReader::new(judge.0.stdout.take().unwrap());
    let mut world = World::new();
    writeln!(to, "{}", evidence(&mut world, unix_s)).unwrap();
    let verdict = loop {
        let mut line = String::new();
        assert!(from.read_line(&mut line).unwrap() > 0, "the judge has gone");
        let said: Value = serde_json::from_str(&line).unwrap();
        if let Some(missing) = said.get("skip") {
            let required = std::env::var("TALKPATH_REQUIRE_PEERS").is_ok_and(|value| value == "1");
            assert!(!required, "{missing}");
            eprintln!("skipped: {missing}");
            return;
        }
        match said.get("done") {
            Some(verdict) => break verdict.clone(),
            None => writeln!(to, "{}", world.library_asks(&said)).unwrap(),
        }
    };
    let id = world.config.text("application_id").unwrap();
    let expected = json!({
        "webhook": true,
        "webhook_of_another": false,
        "token": {"life_s": 900, "id": id},
        "documents": [true, true],
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
