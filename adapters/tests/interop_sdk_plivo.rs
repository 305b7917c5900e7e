//! Plivo's official library for Python as judge: of signatures in both directions, of documents, of
//! the requests that we make, and of the emulator's API, which the library's own client calls.
#![cfg(feature = "emulate")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test")]

#[path = "support/judge.rs"]
mod judge;

use adapters::address::Address;
use adapters::config::RawConfig;
use adapters::emulate::{Command as Person, form};
use adapters::event::{CarrierCallId, Meaning};
use adapters::exchange::{HttpRequest, form as written};
use adapters::hook::{Handled, HookRequest, HookUrls, Take};
use adapters::op::{Originate, Record, Refusal, SendDigits, Transfer, TransferKind};
use adapters::secret::Pii;
use adapters::spec::ProviderSpec;
use adapters::table::find;
use http::{HeaderMap, Method};
use judge::{CLOCK, Judge, emulated, first, webhooks};
use serde_json::{Value, json};

const NUMBER: &str = "+14155550199";
const CALL: &str = "0a1b2c3d-1111-4222-8333-444455556666";

fn spec() -> &'static ProviderSpec {
    find("plivo").unwrap()
}

/// The judge, if there is one.
fn library() -> Option<Judge> {
    Judge::new("judge_plivo.py", &["plivo", "requests"])
}

fn number(text: &str) -> Address {
    Address::parse(text, None).unwrap()
}

fn hooks() -> HookUrls {
    HookUrls::new("https://t.example", "plivo", "tok")
}

/// What the library signs, we believe, whatever stands in query and parameters; what was changed we
/// do not.
#[test]
fn plivo_signatures() {
    let Some(mut judge) = library() else { return };
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
        let mut headers = HeaderMap::new();
        let signature = signed["signature"].as_str().unwrap();
        headers.insert("x-plivo-signature-v3", signature.parse().unwrap());
        headers.insert("x-plivo-signature-v3-nonce", nonce.parse().unwrap());
        let body = written(params);
        let request = HookRequest {
            method: &method,
            url,
            headers: &headers,
            body: body.as_bytes(),
            unix_s: 0,
        };
        let verify = spec().hooks[0].verify;
        assert_eq!(verify(&request, &config), Ok(()), "{method} {url} {params:?}");
        let other = format!("{url}x");
        assert!(verify(&HookRequest { url: &other, ..request }, &config).is_err());
    }
}

/// The library believes each webhook of the emulator, also one with a query in its address, and
/// none that was changed.
#[test]
fn the_emulators_webhooks_are_believed() {
    let Some(mut judge) = library() else { return };
    let (mut carrier, config) = emulated(spec(), NUMBER);
    let (from, to) = ("+442079460000".to_owned(), NUMBER.to_owned());
    carrier.command(CLOCK, Person::Call { from, to });
    let mut all = webhooks(carrier.as_mut());
    let call = form::read(str::from_utf8(&all[0].body).unwrap());
    let call = form::value(&call, "CallUUID").unwrap().to_owned();
    // Told at an address with a query, as transfers are.
    let url =
        format!("https://c.example/v1/Account/{}/Call/{call}/", config.text("auth_id").unwrap());
    let body =
        json!({"legs": "aleg", "aleg_url": "https://t.example/t?step=dial&to=sip%3Ab%40c&x="});
    let redirect =
        authorized(&config, HttpRequest::post(url, "application/json", body.to_string()));
    assert!(carrier.rest(CLOCK, &redirect).unwrap().status.is_success());
    carrier.command(CLOCK, Person::Hangup(call));
    all.extend(webhooks(carrier.as_mut()));
    assert!(all.len() > 2, "{all:?}");
    for request in &all {
        let text = |name: &str| request.headers[name].to_str().unwrap().to_owned();
        let mut line = json!({
            "do": "verify",
            "method": request.method.as_str(),
            "url": request.url,
            "params": form::read(str::from_utf8(&request.body).unwrap()),
            "token": config.text("auth_token").unwrap(),
            "nonce": text("x-plivo-signature-v3-nonce"),
            "signature": text("x-plivo-signature-v3"),
        });
        assert_eq!(judge.ask(&line)["valid"], true, "{line}");
        line["nonce"] = json!("1");
        assert_eq!(judge.ask(&line)["valid"], false, "{line}");
    }
}

fn authorized(config: &RawConfig, request: HttpRequest) -> HttpRequest {
    use base64::Engine;
    let text = |name| config.text(name).unwrap();
    let pair = format!("{}:{}", text("auth_id"), text("auth_token"));
    let pair = base64::engine::general_purpose::STANDARD.encode(pair);
    request.credentials(http::header::AUTHORIZATION, &format!("Basic {pair}")).unwrap()
}

/// The answer of the hook for transfers to a question at an address with this query.
fn transfer_document(query: &str) -> String {
    let url = format!("{}?{query}", hooks().url("transfer"));
    let request = HookRequest {
        method: &Method::POST,
        url: &url,
        headers: &HeaderMap::new(),
        body: b"CallUUID=c-1&Event=Redirect&Direction=inbound",
        unix_s: 0,
    };
    let handle = spec().hook("transfer").unwrap().handle;
    let Handled { meaning, reply } = handle(&request, &RawConfig::default()).unwrap();
    assert!(matches!(meaning, Meaning::Events(_)));
    String::from_utf8(reply.body.to_vec()).unwrap()
}

/// Our documents mean what those of the library's builder do.
#[test]
fn plivo_documents() {
    let Some(mut judge) = library() else { return };
    let inbound = spec().inbound.unwrap();
    let config = RawConfig::default();
    let stream_url = "wss://t.example/s?a=1&b=2".to_owned();
    let take = Take { stream_url, hooks: hooks().of_call("c1") };
    let text = |body: &[u8]| String::from_utf8(body.to_vec()).unwrap();
    for (name, ours) in [
        ("stream", text(&(inbound.answer)(&config, &take).unwrap().body)),
        ("busy", text(&(inbound.refuse)(&config, Refusal::Busy).body)),
        ("rejected", text(&(inbound.refuse)(&config, Refusal::Rejected).body)),
        (
            "dial",
            transfer_document("step=dial&call=c-1&to=%2B14155550100&ring=20&from=14155550199"),
        ),
        ("conference", transfer_document("step=destination&call=c-1&room=transfer-c-1")),
    ] {
        let ours = ours.split_once("?>").unwrap().1;
        let told = judge.ask(&json!({"do": "document", "name": name, "ours": ours}));
        assert_eq!(told["same"], true, "{name}: {ours} {told}");
    }
}

/// The library's client places a call at the emulator, asks for it, records it, presses keys,
/// sends it elsewhere and ends it, makes an application and links a number, and meets the errors
/// it knows.
#[test]
fn plivo_client() {
    let Some(mut judge) = library() else { return };
    let (mut carrier, config) = emulated(spec(), NUMBER);
    let line = json!({"do": "call", "id": config.text("auth_id").unwrap(),
        "token": config.text("auth_token").unwrap()});
    let told = judge.ask_with(&line, carrier.as_mut());
    let expected = json!({
        "state": "ringing",
        "over": [4000, "0.00550"],
        "numbers": [["14155550199", true]],
        "errors": ["ResourceNotFoundError", "ResourceNotFoundError", "AuthenticationError"],
    });
    assert_eq!(told, expected);
}

/// Each request of ours is one that the library makes itself of the same values: it knows every
/// field, finds it valid, and puts it where we do. What it adds are the carrier's defaults.
#[test]
fn plivo_requests() {
    let Some(mut judge) = library() else { return };
    let (_, config) = emulated(spec(), NUMBER);
    let calls = spec().calls;
    let call = CarrierCallId(CALL.to_owned());
    let transfer = |kind| Transfer {
        id: "t-1".to_owned(),
        kind,
        call: call.clone(),
        to: number("+14155550100"),
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
    let ours = [
        first(calls.originate.unwrap()(&config, &originate)),
        first(calls.hangup.unwrap()(&config, &call)),
        first(begin(&config, &transfer(TransferKind::Blind))),
        first(begin(&config, &transfer(TransferKind::Attended))),
        first(calls.join.unwrap()(&config, &transfer(TransferKind::Attended))),
        first(calls.dtmf.unwrap()(&config, &digits)),
        first(calls.record.unwrap()(&config, &record(true))),
        first(calls.record.unwrap()(&config, &record(false))),
        first(calls.provision.unwrap()(&config, &hooks())),
    ];
    for request in &ours {
        let body: Value = serde_json::from_slice(&request.body).unwrap_or_else(|_| json!({}));
        let path = request.url.split("/Account/").nth(1).unwrap();
        let path = path.split_once('/').map(|(_, path)| format!("/{path}")).unwrap();
        let method = request.method.as_str();
        let line = json!({"do": "request", "method": method, "path": path, "body": body});
        let told = judge.ask(&line);
        assert_eq!((&told["method"], &told["path"]), (&json!(method), &json!(path)));
        for (name, value) in body.as_object().unwrap() {
            assert_eq!(&told["body"][name], value, "{path}: {name}");
        }
    }
}
