//! Operations against what the carrier answers.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode};
use serde_json::{Value, json};

use super::super::{SPEC, calls, numbers, transfer};
use super::{CALL, config, vectors};
use crate::address::Address;
use crate::config::RawConfig;
use crate::event::{CallFact, CarrierCallId, HangupCause, Price};
use crate::exchange::{CarrierError, HttpRequest, HttpResponse};
use crate::hook::HookUrls;
use crate::op::{Bind, OpResult, Originate, Record, Step, Transfer, TransferKind};
use crate::pairs::pairs;

fn id() -> CarrierCallId {
    CarrierCallId(CALL.to_owned())
}

fn hooks() -> HookUrls {
    HookUrls::new("https://t.example", "twilio", "tok").of_call("call-1")
}

fn answer(status: u16, body: &Value) -> HttpResponse {
    let body = match body {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let (status, headers) = (StatusCode::from_u16(status).unwrap(), HeaderMap::new());
    HttpResponse { status, headers, body: Bytes::from(body) }
}

/// The answer of an exchange of the vectors.
fn of_vector(id: &str) -> HttpResponse {
    let vectors = vectors();
    let all = vectors["exchanges"].as_array().unwrap();
    let told = &all.iter().find(|exchange| exchange["id"] == id).unwrap()["response"];
    let status = u16::try_from(told["status"].as_u64().unwrap()).unwrap();
    let body = if told["json"].is_null() { &told["body"] } else { &told["json"] };
    let mut answer = answer(status, body);
    if let Some(seconds) = told["headers"]["Retry-After"].as_str() {
        answer.headers.insert("retry-after", HeaderValue::from_str(seconds).unwrap());
    }
    answer
}

/// Runs an operation with these answers, one after the other.
fn run<T>(
    op: OpResult<T>,
    answers: &[HttpResponse],
) -> (Vec<HttpRequest>, Result<T, CarrierError>) {
    let mut op = op.unwrap_or_else(|error| panic!("{error}"));
    let (mut sent, mut answers, mut last) = (Vec::new(), answers.iter(), None);
    loop {
        match op.next(last.take()) {
            Step::Send(request) => sent.push(request),
            Step::Done(done) => return (sent, Ok(done)),
            Step::Fail(error) => return (sent, Err(error)),
        }
        last = answers.next().cloned();
    }
}

fn fields(request: &HttpRequest) -> Vec<(String, String)> {
    pairs(str::from_utf8(&request.body).unwrap()).collect()
}

fn field(request: &HttpRequest, name: &str) -> Option<String> {
    fields(request).into_iter().find(|(key, _)| key == name).map(|(_, value)| value)
}

fn originate() -> Originate {
    Originate {
        to: Address::parse("+15557654321", None).unwrap(),
        from: Address::parse("+15551234567", None).ok(),
        stream_url: "wss://t.example/ws".to_owned(),
        hooks: hooks(),
        ring_timeout_s: 30,
        max_duration_s: 600,
        detect_machine: true,
        extra: Vec::new(),
    }
}

/// A call is placed as the SDK places one: same address, same credentials, same fields but for the
/// document that goes along; its id comes back.
#[test]
fn a_call_is_placed() {
    let (sent, placed) =
        run(calls::originate(&config(json!({})), &originate()), &[of_vector("create-call-url")]);
    assert_eq!(placed.unwrap().call, id());
    let vectors = vectors();
    let wanted = &vectors["exchanges"][0]["request"];
    assert_eq!(sent[0].url, wanted["url"].as_str().unwrap());
    assert_eq!(
        sent[0].headers["authorization"],
        wanted["headers"]["Authorization"].as_str().unwrap()
    );
    let names = |fields: Vec<String>| {
        fields.into_iter().filter(|n| !["Url", "Method"].contains(&n.as_str()))
    };
    let theirs =
        wanted["form"].as_array().unwrap().iter().map(|pair| pair[0].as_str().unwrap().to_owned());
    for name in names(theirs.collect()) {
        assert!(fields(&sent[0]).iter().any(|(key, _)| *key == name), "{name}");
    }
    let events: Vec<_> =
        fields(&sent[0]).into_iter().filter(|(key, _)| key == "StatusCallbackEvent").collect();
    assert_eq!(events.len(), 4);
    assert_eq!(field(&sent[0], "Timeout").as_deref(), Some("30"));
    assert_eq!(field(&sent[0], "AsyncAmd").as_deref(), Some("true"));
    assert!(!sent[0].repeatable);
}

/// Detection of machines follows the configuration; SIP credentials go to SIP addresses alone;
/// numbers are not called without a number.
#[test]
fn calls_follow_the_configuration() {
    let sent = |more: Value, call: &Originate| {
        run(calls::originate(&config(more), call), &[of_vector("create-call-url")]).0.remove(0)
    };
    let off = sent(json!({"amd_mode": "off"}), &originate());
    assert_eq!(field(&off, "MachineDetection"), None);
    let sync = sent(json!({"amd_mode": "sync", "amd_wait_for_beep": true}), &originate());
    assert_eq!(field(&sync, "MachineDetection").as_deref(), Some("DetectMessageEnd"));
    assert_eq!(field(&sync, "AsyncAmd"), None);
    let sip = json!({"sip_username": "u", "sip_password": "p"});
    assert_eq!(field(&sent(sip.clone(), &originate()), "SipAuthPassword"), None);
    let to_sip = Originate { to: Address::parse("sip:a@b.example", None).unwrap(), ..originate() };
    assert_eq!(field(&sent(sip, &to_sip), "SipAuthPassword").as_deref(), Some("p"));
    let long = Originate { ring_timeout_s: 9_999, max_duration_s: 0, ..originate() };
    let long = sent(json!({}), &long);
    assert_eq!(field(&long, "Timeout").as_deref(), Some("600"));
    assert_eq!(field(&long, "TimeLimit"), None);
    let odd = Originate { from: Address::parse("sip:a@b.example", None).ok(), ..originate() };
    let odd = calls::originate(&config(json!({})), &odd);
    assert!(matches!(odd, Err(CarrierError::CallerId(None))));
}

/// Hosts follow region and edge, or the address of another carrier; a key takes the place of the
/// token.
#[test]
fn hosts_and_keys() {
    let sent = |more: Value| {
        run(calls::status(&config(more), &id()), &[of_vector("hangup-ok")]).0.remove(0)
    };
    let region = sent(json!({"region": "ie1", "edge": "dublin"}));
    assert!(region.url.starts_with("https://api.dublin.ie1.twilio.com/2010-04-01/"));
    let other = sent(json!({"api_base": "http://127.0.0.1:9/api/laml"}));
    assert!(other.url.starts_with("http://127.0.0.1:9/api/laml/2010-04-01/Accounts/"));
    let key = json!({"api_key_sid": format!("SK{}", "d".repeat(32)), "api_key_secret": "s"});
    assert_ne!(sent(key).headers["authorization"], other.headers["authorization"]);
}

/// The carrier's codes are what they mean, whatever the body is made of.
#[test]
fn errors_mean_what_they_say() {
    let placed = |id: &str| {
        run(calls::originate(&config(json!({})), &originate()), &[of_vector(id)]).1.unwrap_err()
    };
    let code = |code: &str| Some(code.to_owned());
    for (id, error) in [
        ("create-call-bad-to", CarrierError::Destination(code("21211"))),
        ("create-call-unverified-from", CarrierError::CallerId(code("21210"))),
        ("create-call-trial-unverified-to", CarrierError::NotPermitted(code("21219"))),
        ("create-call-geo-permission", CarrierError::NotPermitted(code("21215"))),
        ("auth-failed", CarrierError::Credentials),
        ("rate-limited", CarrierError::TooMany { retry_after_s: Some(1) }),
        ("rate-limited-no-header-non-json", CarrierError::TooMany { retry_after_s: None }),
        ("server-error-html", CarrierError::Unavailable),
    ] {
        assert_eq!(placed(id), error, "{id}");
    }
}

/// A call that is over is ended; a call that is over cannot be handed over.
#[test]
fn calls_that_are_over() {
    for id_of in ["hangup-ok", "hangup-already-ended-404", "hangup-already-ended-21220"] {
        let (sent, done) = run(calls::hangup(&config(json!({})), &id()), &[of_vector(id_of)]);
        assert_eq!(done, Ok(()), "{id_of}");
        assert_eq!(fields(&sent[0]), [("Status".to_owned(), "completed".to_owned())]);
        assert!(sent[0].repeatable);
    }
    let handed = Transfer {
        id: "t-1".to_owned(),
        kind: TransferKind::Blind,
        call: id(),
        to: Address::parse("+15558889999", None).unwrap(),
        from: None,
        hooks: hooks(),
        ring_timeout_s: 20,
    };
    for id_of in ["hangup-already-ended-404", "hangup-already-ended-21220"] {
        let (_, over) = run(transfer::transfer(&config(json!({})), &handed), &[of_vector(id_of)]);
        assert_eq!(over, Err(CarrierError::CallOver), "{id_of}");
    }
    // Attended without a number to call from, and referred to a number: neither is asked for.
    let attended = Transfer { kind: TransferKind::Attended, ..handed.clone() };
    assert!(matches!(
        transfer::transfer(&config(json!({})), &attended),
        Err(CarrierError::Config(_))
    ));
    let refer = Transfer { kind: TransferKind::Refer, ..handed.clone() };
    assert!(matches!(
        transfer::transfer(&config(json!({})), &refer),
        Err(CarrierError::Destination(_))
    ));
    // The leg of an attended one says whom it is for.
    let from = Address::parse("+15551234567", None).ok();
    let attended = Transfer { kind: TransferKind::Attended, from, ..handed };
    let (sent, done) =
        run(transfer::transfer(&config(json!({})), &attended), &[of_vector("create-call-url")]);
    assert!(matches!(done, Ok(Some(_))), "the leg that is ended if nothing comes of it");
    let leg = field(&sent[0], "StatusCallback").unwrap();
    // The carrier tries again what it could not tell.
    let told =
        format!("/transfer-leg/tok/call-1?transfer=t-1&transferred={CALL}#rc=3&rp=5xx,ct,rt");
    assert!(leg.ends_with(&told), "{leg}");
}

/// How a call stands, and what it cost: the sign is dropped, the digits stay, what is not rated yet
/// has no price.
#[test]
fn state_and_price() {
    let state =
        |id_of| run(calls::status(&config(json!({})), &id()), &[of_vector(id_of)]).1.unwrap();
    let facts = state("fetch-call-completed");
    assert_eq!(facts[0].what, CallFact::Answered);
    assert_eq!(facts[0].at_unix_ms, Some(1_767_693_603_000));
    let CallFact::Ended(ended) = &facts[1].what else { panic!("{facts:?}") };
    assert_eq!((ended.cause, ended.duration_ms), (HangupCause::Normal, Some(62_000)));
    assert_eq!(facts[1].at_unix_ms, Some(1_767_693_665_000));
    assert_eq!(state("fetch-call-in-progress")[0].what, CallFact::Answered);
    let cost = |answer| run(calls::cost(&config(json!({})), &id()), &[answer]).1;
    let price = Price { amount: "0.02800".to_owned(), currency: "USD".to_owned() };
    assert_eq!(cost(of_vector("fetch-call-completed")), Ok(Some(price)));
    assert_eq!(cost(of_vector("fetch-call-price-pending")), Ok(None));
    for odd in ["free", "-", "1.2.3", "1e5", "--1", "."] {
        let answer = answer(200, &json!({"price": odd, "price_unit": "USD"}));
        assert!(matches!(cost(answer), Err(CarrierError::Answer(_))), "{odd}");
    }
}

fn numbers_page(numbers: &[&str], next: Option<&str>) -> HttpResponse {
    let numbers: Vec<_> =
        numbers.iter().map(|n| json!({"sid": format!("PN{n}"), "phone_number": n})).collect();
    answer(200, &json!({"incoming_phone_numbers": numbers, "next_page_uri": next}))
}

/// Numbers are listed over all pages; the next page is looked for at the same host only.
#[test]
fn numbers_are_listed() {
    let next = "/2010-04-01/Accounts/ACx/IncomingPhoneNumbers.json?Page=1&PageToken=PAx";
    let pages =
        [numbers_page(&["+15551234567"], Some(next)), numbers_page(&["+15551234568", "12"], None)];
    let (sent, found) = run(numbers::numbers(&config(json!({}))), &pages);
    assert_eq!(found.unwrap().len(), 3, "a short code is a number too");
    assert_eq!(sent[1].url, format!("https://api.twilio.com{next}"));
    let base = json!({"api_base": "https://x.example/api/laml"});
    let (sent, _) = run(numbers::numbers(&config(base.clone())), &pages);
    assert_eq!(sent[1].url, format!("https://x.example/api/laml{next}"));
    let whole = format!("/api/laml{next}");
    let pages = [numbers_page(&[], Some(&whole)), numbers_page(&[], None)];
    let (sent, _) = run(numbers::numbers(&config(base)), &pages);
    assert_eq!(sent[1].url, format!("https://x.example{whole}"));
    for hostile in ["//evil.example/", "https://evil.example/", "/a/../b", "/a b", "@evil.example"]
    {
        let pages = [numbers_page(&[], Some(hostile))];
        let (sent, failed) = run(numbers::numbers(&config(json!({}))), &pages);
        assert!(failed.is_err() && sent.len() == 1, "{hostile}");
    }
    let found =
        run(numbers::numbers(&config(json!({}))), &[of_vector("list-number-found")]).1.unwrap();
    let nowhere = Some("");
    assert_eq!(
        (found[0].label.as_deref(), found[0].bound_to.as_deref()),
        (Some("(555) 123-4567"), nowhere)
    );
    let trunk = json!({"incoming_phone_numbers": [{"sid": "PN1", "phone_number": "+15551234567",
        "voice_url": "https://t.example", "trunk_sid": "TK1"}]});
    let found = run(numbers::numbers(&config(json!({}))), &[answer(200, &trunk)]).1.unwrap();
    assert_eq!(found[0].bound_to.as_deref(), Some("trunk TK1"));
    let mut ours = config(json!({}));
    SPEC.set_managed(&mut ours, &[("application_sid", json!("AP1"))]).unwrap();
    for (application, trunk, is_ours) in
        [("AP1", "", true), ("AP2", "", false), ("AP1", "TK1", false)]
    {
        let page = json!({"incoming_phone_numbers": [{"sid": "PN1", "phone_number": "+15551234567",
            "voice_application_sid": application, "trunk_sid": trunk}]});
        let found = run(numbers::numbers(&ours), &[answer(200, &page)]).1.unwrap();
        assert_eq!(found[0].ours, is_ours, "{application} {trunk}");
    }
}

/// A number is bound by its own id, not by that of one that begins alike, to our addresses or to
/// the application; and unbound again.
#[test]
fn numbers_are_bound() {
    let address = Address::parse("+15551234567", None).unwrap();
    let to_us = Bind { address: address.clone(), hooks: Some(hooks()) };
    let bind = |config: &RawConfig, bind: &Bind| {
        run(
            numbers::bind(config, bind),
            &[of_vector("list-number-found"), of_vector("set-voice-url")],
        )
    };
    let (sent, done) = bind(&config(json!({})), &to_us);
    assert_eq!(done, Ok(()));
    assert!(sent[0].url.ends_with("?PhoneNumber=%2B15551234567"));
    assert!(sent[1].url.contains("/IncomingPhoneNumbers/PNdddd"));
    assert_eq!(field(&sent[1], "VoiceUrl").unwrap(), hooks().url("voice"));
    assert_eq!(field(&sent[1], "StatusCallback").unwrap(), hooks().url("status"));
    assert_eq!(field(&sent[1], "TrunkSid").unwrap(), "");
    let away = Bind { address, hooks: None };
    let (sent, _) = bind(&config(json!({})), &away);
    assert_eq!(field(&sent[1], "VoiceUrl").unwrap(), "");
    let alike = [of_vector("list-number-partial-match-must-be-filtered")];
    let (sent, done) = run(numbers::bind(&config(json!({})), &to_us), &alike);
    assert_eq!((sent.len(), done), (1, Err(CarrierError::NotFound)));
    let mut by_application = config(json!({"bind_by": "application"}));
    assert!(matches!(numbers::bind(&by_application, &to_us), Err(CarrierError::Config(_))));
    SPEC.set_managed(&mut by_application, &[("application_sid", json!("AP1"))]).unwrap();
    let (sent, _) = bind(&by_application, &to_us);
    assert_eq!(field(&sent[1], "VoiceApplicationSid").unwrap(), "AP1");
    assert_eq!(field(&sent[1], "VoiceUrl"), None);
}

/// The application is made once and brought up to date later; its id is what comes back.
#[test]
fn the_application_is_made() {
    let made = [answer(201, &json!({"sid": "AP1"}))];
    let mut config = config(json!({}));
    let (sent, managed) = run(numbers::provision(&config, &hooks()), &made);
    assert!(sent[0].url.ends_with("/Applications.json") && !sent[0].repeatable);
    SPEC.set_managed(&mut config, &managed.unwrap()).unwrap();
    let (sent, _) = run(numbers::provision(&config, &hooks()), &made);
    assert!(sent[0].url.ends_with("/Applications/AP1.json") && sent[0].repeatable);
}

/// Token and key are both tried; an account that is suspended is told.
#[test]
fn credentials_are_tried() {
    let active = answer(200, &json!({"status": "active"}));
    let key = json!({"api_key_sid": format!("SK{}", "d".repeat(32)), "api_key_secret": "s"});
    let (sent, done) = run(numbers::test(&config(key)), &[active.clone(), numbers_page(&[], None)]);
    assert_eq!((sent.len(), done), (2, Ok(())));
    assert_ne!(sent[0].headers["authorization"], sent[1].headers["authorization"]);
    assert_eq!(run(numbers::test(&config(json!({}))), &[active]).1, Ok(()));
    let blocked = [answer(200, &json!({"status": "suspended"}))];
    let blocked = run(numbers::test(&config(json!({}))), &blocked).1.unwrap_err();
    assert_eq!(blocked, CarrierError::NotPermitted(Some("suspended".to_owned())));
}

/// A recording begins and ends.
#[test]
fn recordings() {
    let record = |on| Record { call: id(), on, hooks: hooks() };
    let (sent, done) =
        run(calls::record(&config(json!({})), &record(true)), &[of_vector("start-recording")]);
    assert!(done.is_ok() && sent[0].url.ends_with(&format!("/Calls/{CALL}/Recordings.json")));
    assert_eq!(field(&sent[0], "RecordingChannels").as_deref(), Some("dual"));
    let (sent, _) =
        run(calls::record(&config(json!({})), &record(false)), &[of_vector("hangup-ok")]);
    assert!(sent[0].url.ends_with("/Recordings/Twilio.CURRENT.json"));
}
