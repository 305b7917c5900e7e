//! What webhooks mean.

use http::{HeaderMap, HeaderValue, Method};
use serde_json::{Value, json};

use super::super::events::State;
use super::super::{SPEC, hooks};
use super::{SESSION, config, vectors};
use crate::event::{CallEvent, CallFact, Ended, HangupCause, Meaning, TransferState};
use crate::hook::{Handled, HookError, HookRequest};

const URL: &str = "https://t.example/api/v1/telephony/cloudonix/x/tok";

fn handle(hook: &str, method: &Method, url: &str, body: &str) -> Result<Handled, HookError> {
    let headers = HeaderMap::new();
    let request = HookRequest {
        method,
        url,
        headers: &headers,
        body: body.as_bytes(),
        unix_s: 0,
        from: None,
    };
    (SPEC.hook(hook).unwrap().handle)(&request, &config(json!({"currency": "usd"})))
}

fn events(hook: &str, body: &Value) -> Vec<CallEvent> {
    match handle(hook, &Method::POST, URL, &body.to_string()).unwrap().meaning {
        Meaning::Events(events) => events,
        other => panic!("{other:?}"),
    }
}

fn ended(events: &[CallEvent]) -> Option<&Ended> {
    events.iter().find_map(|event| match &event.what {
        CallFact::Ended(ended) => Some(ended),
        _ => None,
    })
}

/// The word that many use for it.
fn canonical(fact: &CallFact) -> &'static str {
    match fact {
        CallFact::Initiated => "initiated",
        CallFact::Ringing => "ringing",
        CallFact::Answered => "answered",
        CallFact::Ended(ended) => match ended.cause {
            HangupCause::Normal => "completed",
            HangupCause::Busy => "busy",
            HangupCause::NoAnswer => "no-answer",
            HangupCause::Cancelled => "canceled",
            _ => "failed",
        },
        other => panic!("{other:?}"),
    }
}

/// A call is offered the same way by JSON, form and query; the session is its id in each, whatever
/// else is called so.
#[test]
fn offers_in_every_form() {
    let webhooks = vectors()["webhooks"].clone();
    let get = webhooks["voice_application_request_get"]["url"].as_str().unwrap().to_owned();
    let query = get.split_once('?').unwrap().1;
    let form = handle("voice", &Method::POST, URL, query).unwrap();
    assert_eq!(handle("voice", &Method::GET, &get, "").unwrap(), form);
    let json = &webhooks["voice_application_request_post"]["json"];
    let mut whole = handle("voice", &Method::POST, URL, &json.to_string()).unwrap();
    let Meaning::Offered(call) = &mut whole.meaning else { panic!("{whole:?}") };
    assert_eq!(call.call.0, SESSION);
    call.extra.clear();
    assert_eq!(whole, form);
    for (fields, id) in [
        (json!({"Session": "s", "CallSid": "c"}), Some("s")),
        (json!({"SessionData": {"token": "t"}, "CallSid": "c"}), Some("t")),
        (json!({"SessionData": "odd", "CallSid": "c"}), Some("c")),
        (json!({"SessionData": {"token": 7}, "Session": null}), None),
    ] {
        let mut fields = fields;
        fields["To"] = "+15551234567".into();
        let read = handle("voice", &Method::POST, URL, &fields.to_string());
        let read = read.map(|handled| match handled.meaning {
            Meaning::Offered(call) => call.call.0,
            other => panic!("{other:?}"),
        });
        assert_eq!(read.ok().as_deref(), id, "{fields}");
    }
}

/// Headers of the caller's network come along by their own names, those by which carriers talk
/// among themselves do not.
#[test]
fn headers_of_trunks() {
    let body = json!({"Session": "s", "To": "1004", "From": "anonymous", "CallerName": "Alice",
        "SessionData": {"profile": {"inbound-trunk-name": "in", "trunk-sip-headers": {
            "CID": "a@b", "Tenant": "blue", "Cloudonix-Signature": "0", "Twilio-AccountSid": "AC1",
            "Twilio-CallSid": "CA1", "Auth-Key": "k", "bad name": "x", "Long": "x".repeat(600),
            "Number": 7}}}});
    let Meaning::Offered(call) =
        handle("voice", &Method::POST, URL, &body.to_string()).unwrap().meaning
    else {
        panic!("no offer")
    };
    let told: Vec<_> = call.extra.iter().map(|(name, pii)| (name.as_str(), pii.expose())).collect();
    let expected = [("CallerName", "Alice"), ("SipCallId", "a@b"), ("Trunk", "in")];
    assert_eq!(told[..3], expected);
    assert_eq!(told[3..], [("X-Tenant", "blue")]);
    assert_eq!(call.from, None);
}

/// What is the carrier's is told from what it has copied, whosever trunk the call came by.
#[test]
fn requests_are_recognised() {
    let recognised = |name: &'static str, value: &'static str, body: &str| {
        let mut headers = HeaderMap::new();
        headers.insert(name, HeaderValue::from_static(value));
        let (method, body) = (&Method::POST, body.as_bytes());
        let request =
            HookRequest { method, url: URL, headers: &headers, body, unix_s: 0, from: None };
        let found = crate::table::recognise(&request);
        assert_eq!(
            (hooks::INBOUND.recognise)(&request),
            found.is_some_and(|f| f.0.name == "cloudonix")
        );
        (hooks::INBOUND.recognise)(&request)
    };
    assert!(recognised("user-agent", "Cloudonix APP.Core/5.3.673", ""));
    assert!(recognised("x-cx-stageid", "aa00bb11cc22dd33", ""));
    let webhooks = vectors()["webhooks"].clone();
    let body = webhooks["voice_application_request_post"]["json"].to_string();
    assert!(recognised("user-agent", "a proxy", &body));
    assert!(recognised("user-agent", "a proxy", "AccountSid=acme.cloudonix.net&CallSid=c"));
    assert!(!recognised("user-agent", "TwilioProxy/1.1", "AccountSid=AC1&CallSid=CA1"));
    assert!(!recognised("user-agent", "curl", r#"{"Domain":"acme.cloudonix.net"}"#));
}

/// Each status of the carrier's, and each that documents use, in any case; what is unknown changes
/// nothing. "answer" is the end only of what has ended.
#[test]
fn statuses() {
    for (words, over, state) in [
        ("new processing QUEUED", false, Some(State::Initiated)),
        ("ringing Ringing", false, Some(State::Ringing)),
        ("connected in-progress answer", false, Some(State::Answered)),
        ("answer answered completed external", true, Some(State::Over(HangupCause::Normal))),
        ("busy BUSY", false, Some(State::Over(HangupCause::Busy))),
        ("noanswer no-answer", false, Some(State::Over(HangupCause::NoAnswer))),
        ("cancel canceled", false, Some(State::Over(HangupCause::Cancelled))),
        ("congestion", false, Some(State::Over(HangupCause::Congestion))),
        ("nocredit error failed", false, Some(State::Over(HangupCause::Failed))),
        ("unknown what-else", false, None),
    ] {
        for word in words.split(' ') {
            assert_eq!(State::read(word, over), state, "{word}");
        }
    }
    let mut session = vectors()["webhooks"]["session_updates"]["answer"].clone();
    let over = events("status", &session);
    assert_eq!(ended(&over).unwrap().duration_ms, Some(62_001));
    assert_eq!(over[0].at_unix_ms, Some(1_767_693_665_002));
    // Numbers come as texts too.
    session["callEndTime"] = json!("1767693665002");
    session["callAnswerTime"] = json!("1767693603001");
    assert_eq!(events("status", &session), over);
    // Without them the written ones count.
    for name in ["callEndTime", "callAnswerTime"] {
        session.as_object_mut().unwrap().remove(name);
    }
    session["answerTime"] = json!("2026-01-06T10:00:03.001Z");
    session["endTime"] = json!("2026-01-06T10:01:05.002Z");
    assert_eq!(events("status", &session), over);
    session["callEndTime"] = Value::Null;
    assert_eq!(canonical(&events("status", &session)[0].what), "answered");
    session["reason"] = json!("to +15557654321 was lost");
    session["status"] = json!("failed");
    let raw = ended(&events("status", &session)).unwrap().raw.clone().unwrap();
    assert!(raw.starts_with("failed: to +1555***") && !raw.contains("5557654"), "{raw}");
}

/// Sequences of updates lead where the vectors say: a state that is told again is the same fact,
/// and the record of the call closes what nobody closed.
#[test]
fn sequences_of_updates() {
    let vectors = vectors();
    for case in vectors["status_machine_cases"].as_array().unwrap() {
        let mut seen: Vec<(Option<String>, &str)> = Vec::new();
        let mut take = |told: Vec<CallEvent>| {
            for event in told {
                if seen.iter().all(|(id, _)| *id != event.id) {
                    seen.push((event.id.clone(), canonical(&event.what)));
                }
            }
        };
        for name in case["events"].as_array().unwrap() {
            let update = &vectors["webhooks"]["session_updates"][name.as_str().unwrap()];
            take(events("status", update));
            take(events("status", update));
        }
        if let Some(id) = case["then_cdr"].as_str() {
            let all = vectors["cdr_vectors"].as_array().unwrap();
            let record = all.iter().find(|vector| vector["id"] == id).unwrap();
            take(events("cdr", &record["payload"]));
        }
        let words: Vec<_> = seen.iter().map(|(_, word)| json!(word)).collect();
        assert_eq!(json!(words), case["transitions"], "{}", case["id"]);
    }
}

/// Records of calls in every spelling; what they lack is no fault.
#[test]
fn records() {
    let vectors = vectors();
    for vector in vectors["cdr_vectors"].as_array().unwrap() {
        let (id, payload) = (vector["id"].as_str().unwrap(), &vector["payload"]);
        let told = events("cdr", payload);
        let end = ended(&told).unwrap_or_else(|| panic!("{id}: {told:?}"));
        let expected = &vector["expect_result"];
        if let Some(status) = expected["status"].as_str() {
            assert_eq!(canonical(&told.last().unwrap().what), status, "{id}");
            assert_eq!(expected["call_id"], told[0].call.0, "{id}");
        }
        if let Some(seconds) = expected["duration_s"].as_u64() {
            assert_eq!(end.duration_ms, Some(seconds * 1000), "{id}");
        }
    }
    let mut record = vectors["webhooks"]["cdr"].clone();
    let call = |record: &Value| events("cdr", record).pop().unwrap().call.0;
    record["session"]["token"] = Value::Null;
    assert_eq!(call(&record), "22000001", "by the number of the session");
    record["session"] = Value::Null;
    assert_eq!(call(&record), "a84b4c76e66710@198.51.100.7", "by the id that SIP has");
    record.as_object_mut().unwrap().remove("billsec");
    assert_eq!(ended(&events("cdr", &record)).unwrap().duration_ms, Some(65_000));
    for (field, cost, price) in [
        ("approx_cost", json!(0.02), Some("0.02")),
        ("rated_cost", json!("0.0135"), Some("0.0135")),
        ("rated_cost", json!(-1), None),
        ("rated_cost", json!({"a": 1}), None),
    ] {
        record[field] = cost;
        let told = events("cdr", &record);
        let got = told.iter().find_map(|event| match &event.what {
            CallFact::Priced(price) => Some((price.amount.as_str(), price.currency.as_str())),
            _ => None,
        });
        assert_eq!(got, price.map(|amount| (amount, "USD")));
    }
    record["call_id"] = Value::Null;
    let none = handle("cdr", &Method::POST, URL, &record.to_string());
    assert_eq!(none, Err(HookError::Field("session")));
}

/// What became of a transfer: done, or the caller is back; and if the call is over, nobody asks.
#[test]
fn transfers_end() {
    let ask = |fields: &str| handle("dial-ended", &Method::POST, URL, fields).unwrap().meaning;
    for (word, state) in [
        ("completed", TransferState::Done),
        ("answered", TransferState::Done),
        ("connected", TransferState::Done),
        ("busy", TransferState::Failed),
        ("noanswer", TransferState::Failed),
        ("failed", TransferState::Failed),
        ("cancel", TransferState::Failed),
    ] {
        let meaning = ask(&format!("Session=s&DialCallStatus={word}&CallStatus=in-progress"));
        let (events, asks) = match meaning {
            Meaning::Events(events) => (events, false),
            Meaning::Asked { events, .. } => (events, true),
            other => panic!("{other:?}"),
        };
        assert_eq!(events[0].what, CallFact::transfer(state), "{word}");
        assert_eq!(asks, state == TransferState::Failed, "{word}");
    }
    let over = ask("Session=s&DialCallStatus=cancel&CallStatus=completed");
    assert!(matches!(over, Meaning::Events(events) if ended(&events).is_some()));
    for bad in ["Session=s", "DialCallStatus=busy", "Session=s&DialCallStatus=what"] {
        assert!(handle("dial-ended", &Method::POST, URL, bad).is_err(), "{bad}");
    }
}

/// A body that is cut off anywhere, or nested where it should not be, is an answer and no panic.
#[test]
fn truncation_at_every_length() {
    let webhooks = vectors()["webhooks"].clone();
    let updates = &webhooks["session_updates"];
    for body in [
        &webhooks["voice_application_request_post"]["json"],
        &updates["answer"],
        &updates["as_one_element_list"],
        &webhooks["cdr"],
    ] {
        let text = body.to_string();
        for hook in SPEC.hooks {
            for len in 0..text.len() {
                if let Some(cut) = text.get(..len) {
                    let read = handle(hook.name, &Method::POST, URL, cut);
                    assert!(read.is_err(), "{} {len}", hook.name);
                }
            }
        }
    }
    for odd in [r#"[{"token":"t"},{"token":"u"}]"#, "[[]]", "7", r#"{"Session":[1]}"#] {
        for hook in SPEC.hooks {
            assert!(handle(hook.name, &Method::POST, URL, odd).is_err(), "{} {odd}", hook.name);
        }
    }
}
