//! The builder of the dialect's maker as judge: it writes the documents that we write.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "test")]
#![cfg(feature = "emulate")]

use std::env;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use adapters::address::Address;
use adapters::config::RawConfig;
use adapters::emulate::xml::{self, Element};
use adapters::event::CarrierCallId;
use adapters::hook::{HookUrls, Take};
use adapters::op::{OpResult, Refusal, Step, Transfer, TransferKind};
use adapters::spec::ProviderSpec;
use serde_json::{Value, json};

const STREAM_URL: &str = "wss://t.example/api/v1/telephony/ws/cloudonix/c1/token";
const TEXT: &str = "Sorry, this number can't take <calls> & \"things\" right now.";

/// The Python that has the builder, if there is one.
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

/// What the builder makes of the tasks.
fn judge(python: &Path, tasks: &[Value]) -> Vec<String> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/judges/judge_cloudonix.py");
    let mut child = Command::new(python)
        .arg(script)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(json!(tasks).to_string().as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    serde_json::from_slice(&output.stdout).unwrap()
}

fn spec() -> &'static ProviderSpec {
    adapters::table::find("cloudonix").unwrap()
}

fn config(text: Option<&str>) -> RawConfig {
    let given = json!({
        "domain": "acme",
        "api_token": "XI00000000000000000000000000000001",
        "request_key": "a key that is made up 0123456789",
        "unavailable_text": text,
    });
    spec().read(&given, None).unwrap()
}

fn hooks() -> HookUrls {
    HookUrls::new("https://t.example", "cloudonix", "tok").of_call("call-1")
}

fn transfer(kind: TransferKind, to: &str) -> Transfer {
    Transfer {
        id: "t-1".to_owned(),
        kind,
        call: CarrierCallId("0123456789abcdef0123456789abcdef".to_owned()),
        to: Address::parse(to, None).unwrap(),
        from: Address::parse("+15551234567", None).ok(),
        hooks: hooks(),
        ring_timeout_s: 20,
    }
}

/// The document of the request that an operation sends.
fn sent<T>(op: OpResult<T>) -> String {
    let Step::Send(request) = op.unwrap().next(None) else { panic!("nothing is sent") };
    let body: Value = serde_json::from_slice(&request.body).unwrap();
    body["cxml"].as_str().unwrap().to_owned()
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

/// Our documents mean what the builder's mean.
#[test]
fn documents_are_those_of_the_builder() {
    let Some(python) = python() else { return };
    let (inbound, calls) = (spec().inbound.unwrap(), spec().calls);
    let take = Take { stream_url: STREAM_URL.to_owned(), hooks: hooks() };
    let text = |reply: adapters::hook::HookReply| String::from_utf8(reply.body.to_vec()).unwrap();
    let refuse = |refusal, said| text((inbound.refuse)(&config(said), refusal));
    let blind =
        |to| sent((calls.transfer.unwrap())(&config(None), &transfer(TransferKind::Blind, to)));
    let attended = transfer(TransferKind::Attended, "+15558889999");
    let destination = sent((calls.transfer.unwrap())(&config(None), &attended));
    let caller = sent((calls.join.unwrap())(&config(None), &attended));
    let room = xml::read(&caller).unwrap().children[0].children[0].text.clone();
    let url = |hook| hooks().url(hook);
    let named = |hook| hooks().of_transfer(hook, "t-1");
    let dial = |to: &str| json!({"action": named("dial-ended"), "from": "+15551234567", "to": to});
    let reject = |reason: &str| json!({"reason": reason});
    let meet = |hook| json!({"room": room, "hook": named(hook)});
    let documents = [
        (
            "connect",
            json!({"url": STREAM_URL, "stream": url("stream")}),
            text((inbound.answer)(&config(None), &take).unwrap()),
        ),
        ("reject", reject("busy"), refuse(Refusal::Busy, None)),
        ("reject", reject("rejected"), refuse(Refusal::Rejected, None)),
        ("reject", reject("failed"), refuse(Refusal::NotFound, Some(TEXT))),
        ("reject", reject("congestion"), refuse(Refusal::Unavailable, None)),
        ("unavailable", json!({"text": TEXT}), refuse(Refusal::Unavailable, Some(TEXT))),
        ("dial", dial("+15558889999"), blind("+15558889999")),
        ("dial", dial("sip:alice@example.com"), blind("sip:alice@example.com")),
        ("conference", meet("conference"), destination),
        ("conference", meet("joined"), caller),
    ];
    let tasks: Vec<_> =
        documents.iter().map(|(name, said, _)| json!({"name": name, "said": said})).collect();
    let written = judge(&python, &tasks);
    assert_eq!(written.len(), documents.len());
    for ((name, _, ours), theirs) in documents.iter().zip(written) {
        assert_eq!(sorted(ours), sorted(&theirs), "{name}");
    }
}
