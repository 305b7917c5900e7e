//! Official libraries of carriers as judges: of signatures in both directions, of documents, and of
//! the emulator's API, which the library's own client calls.
#![cfg(feature = "emulate")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test")]

use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use adapters::config::RawConfig;
use adapters::emulate::{Clock, Command as Person, Emulator, EmulatorStart, Output, Quirks};
use adapters::exchange::{HttpRequest, form};
use adapters::hook::{HookRequest, HookUrls, Take};
use adapters::op::Refusal;
use adapters::spec::ProviderSpec;
use adapters::table::find;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use media::time::MonoTime;
use serde_json::{Value, json};

/// The time of the tests, in seconds since 1970.
const NOW_S: u64 = 1_767_225_600;

/// A Python that has the libraries; `None`, with the reason printed, if there is none.
fn python() -> Option<PathBuf> {
    let python = std::env::var_os("TALKPATH_TEST_PYTHON").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../target/peers/bin/python"),
        PathBuf::from,
    );
    if python.is_file() {
        return Some(python);
    }
    let required = std::env::var_os("TALKPATH_REQUIRE_PEERS").is_some_and(|value| value == "1");
    let why = "no Python with tests/interop/requirements.txt; ./test makes target/peers";
    assert!(!required, "TALKPATH_REQUIRE_PEERS=1, but {why}");
    eprintln!("skipped: {why}");
    None
}

/// A judge, who is asked in lines of JSON. Ends with the test.
struct Judge {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Judge {
    fn new(name: &str) -> Option<Self> {
        let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/judges").join(name);
        let mut child = Command::new(python()?)
            .arg(script)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (input, output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        Some(Self { child, input, output: BufReader::new(output) })
    }

    fn say(&mut self, line: &Value) {
        writeln!(self.input, "{line}").unwrap();
        self.input.flush().unwrap();
    }

    fn hear(&mut self) -> Value {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"))
    }

    fn ask(&mut self, line: &Value) -> Value {
        self.say(line);
        self.hear()
    }
}

impl Drop for Judge {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn emulator(spec: &ProviderSpec) -> (Box<dyn Emulator>, RawConfig) {
    let emulator = spec.emulator.unwrap();
    let config = spec.read(&(emulator.config)("http://127.0.0.1:1"), None).unwrap();
    let start = EmulatorStart {
        config: config.clone(),
        numbers: vec!["+14155550199".to_owned()],
        voice_url: Some("https://t.example/hook".to_owned()),
        seed: 1,
        quirks: Quirks::default(),
    };
    ((emulator.open)(start), config)
}

const CLOCK: Clock = Clock { now: MonoTime::ZERO, unix_ms: NOW_S * 1000 };

fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in pairs {
        let value = HeaderValue::from_str(value).unwrap();
        headers.insert(HeaderName::from_static(name), value);
    }
    headers
}

/// The library believes each webhook of the emulator, takes it for what it is, and does not believe
/// one that was changed; what an independent signer signed, we believe.
#[test]
fn telnyx_signatures() {
    let Some(mut judge) = Judge::new("judge_telnyx.py") else { return };
    let spec = find("telnyx").unwrap();
    let (mut carrier, config) = emulator(spec);
    let (from, to) = ("+442079460000".to_owned(), "+14155550199".to_owned());
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
            Output::Told(adapters::emulate::Told::Offered { call: id }) => {
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
        let headers = headers(&[
            ("telnyx-signature-ed25519", signed["signature"].as_str().unwrap()),
            ("telnyx-timestamp", &timestamp),
        ]);
        let stored = json!({"webhook_public_key": signed["key"]});
        let request = HookRequest {
            method: &Method::POST,
            url: "https://t.example/",
            headers: &headers,
            body: body.as_bytes(),
            unix_s: NOW_S,
        };
        let config = RawConfig::from_stored(stored).unwrap();
        assert_eq!((spec.hooks[0].verify)(&request, &config), Ok(()));
    }
}

/// The library's client places a call at the emulator, asks for it, ends it, lists numbers, and
/// meets the errors it knows.
#[test]
fn telnyx_client() {
    let Some(mut judge) = Judge::new("judge_telnyx.py") else { return };
    let (mut carrier, config) = emulator(find("telnyx").unwrap());
    judge.say(&json!({"do": "call", "key": config.text("api_key").unwrap(),
        "connection": config.text("connection_id").unwrap()}));
    let told = loop {
        let line = judge.hear();
        if line["done"] == true {
            break line;
        }
        let mut request = HttpRequest::post(
            line["url"].as_str().unwrap().to_owned(),
            "application/json",
            line["body"].as_str().unwrap().to_owned(),
        );
        request.method = line["method"].as_str().unwrap().parse().unwrap();
        let key = line["headers"]["authorization"].as_str().unwrap();
        request = request.credentials(http::header::AUTHORIZATION, key).unwrap();
        let answer = carrier.rest(CLOCK, &request).unwrap();
        let body = String::from_utf8(answer.body.to_vec()).unwrap();
        judge.say(&json!({"status": answer.status.as_u16(), "body": body}));
    };
    assert_eq!(told["class"], "CallDialResponse");
    assert_eq!(told["alive"], json!([true, false]));
    let errors = ["UnprocessableEntityError", "NotFoundError", "AuthenticationError"];
    assert_eq!(told["errors"], json!(errors));
    assert_eq!(told["numbers"], json!(["+14155550199"]));
}

/// What the library signs, we believe, whatever stands in query and parameters; what was changed we
/// do not.
#[test]
fn plivo_signatures() {
    let Some(mut judge) = Judge::new("judge_plivo.py") else { return };
    let spec = find("plivo").unwrap();
    let token = "ExampleMainAuthToken00000000000000000001";
    let config = json!({"auth_id": "MAEXAMPLE00000000001", "auth_token": token});
    let config = RawConfig::from_stored(config).unwrap();
    // Nothing but ASCII: the library encodes the rest twice.
    let pairs: &[&[(&str, &str)]] = &[
        &[],
        &[("CallUUID", "c"), ("From", "12025550143"), ("Empty", "")],
        &[("b", "2"), ("a", "x + y & z"), ("a", "w"), ("c", "%41/~")],
    ];
    let urls = ["https://t.example:8443/a/b", "https://t.example/a?y=2&x=a%20b&x=&bare"];
    for (method, url, params) in urls.iter().flat_map(|url| {
        let posts = pairs.iter().map(move |params| (Method::POST, *url, *params));
        posts.chain([(Method::GET, *url, &[][..])])
    }) {
        let nonce = "12345678901234567890";
        let signed = judge.ask(&json!({"do": "sign", "method": method.as_str(), "url": url,
            "params": params, "token": token, "nonce": nonce}));
        let signature = signed["signature"].as_str().unwrap();
        let headers =
            headers(&[("x-plivo-signature-v3", signature), ("x-plivo-signature-v3-nonce", nonce)]);
        let body = form(params);
        let request = HookRequest {
            method: &method,
            url,
            headers: &headers,
            body: body.as_bytes(),
            unix_s: 0,
        };
        let verify = spec.hooks[0].verify;
        assert_eq!(verify(&request, &config), Ok(()), "{method} {url} {params:?}");
        let other = format!("{url}x");
        assert!(verify(&HookRequest { url: &other, ..request }, &config).is_err());
    }
}

/// Our documents mean what those of the library's builder do.
#[test]
fn plivo_documents() {
    let Some(mut judge) = Judge::new("judge_plivo.py") else { return };
    let spec = find("plivo").unwrap();
    let inbound = spec.inbound.unwrap();
    let config = RawConfig::default();
    let take = Take {
        stream_url: "wss://t.example/s?a=1&b=2".to_owned(),
        hooks: HookUrls::new("https://t.example", "plivo", "tok").of_call("c1"),
    };
    for (name, reply) in [
        ("stream", (inbound.answer)(&config, &take).unwrap()),
        ("busy", (inbound.refuse)(&config, Refusal::Busy)),
        ("rejected", (inbound.refuse)(&config, Refusal::Rejected)),
    ] {
        let ours = String::from_utf8(reply.body.to_vec()).unwrap();
        let ours = ours.split_once("?>").unwrap().1;
        let told = judge.ask(&json!({"do": "document", "name": name, "ours": ours}));
        assert_eq!(told["same"], true, "{name}: {told}");
    }
}
