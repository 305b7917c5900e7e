//! The builder of the dialect's maker as judge: it writes the documents that we write.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "test")]
#![cfg(feature = "emulate")]

#[path = "support/judge.rs"]
mod judge;

use adapters::address::Address;
use adapters::config::RawConfig;
use adapters::emulate::xml::{self, Element};
use adapters::event::CarrierCallId;
use adapters::hook::{HookUrls, Take};
use adapters::op::{OpResult, Refusal, Step, Transfer, TransferKind};
use adapters::spec::ProviderSpec;
use judge::Judge;
use serde_json::{Value, json};

const STREAM_URL: &str = "wss://t.example/api/v1/telephony/ws/cloudonix/c1/token";
const TEXT: &str = "Sorry, this number can't take <calls> & \"things\" right now.";

/// The judge, if there is one.
fn builder() -> Option<Judge> {
    Judge::new("judge_cloudonix.py", &["twilio"])
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
    let Some(mut builder) = builder() else { return };
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
            json!({"url": STREAM_URL, "stream": url("stream"), "ended": url("stream-ended")}),
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
    for (name, said, ours) in documents {
        let task = json!({"do": "document", "name": name, "said": said});
        let theirs = builder.ask(&task)["document"].as_str().unwrap().to_owned();
        assert_eq!(sorted(&ours), sorted(&theirs), "{name}");
    }
}
