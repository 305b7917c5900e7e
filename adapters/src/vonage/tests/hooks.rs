//! Webhooks and the documents that answer them.

use serde_json::{Value, json};

use super::super::events::uuid;
use super::super::hooks::INBOUND;
use super::super::{SPEC, fields};
use super::{Request, config, each, plain};
use crate::event::{AnsweredBy, CallFact, HangupCause, Meaning, TransferState};
use crate::hook::{HookError, HookUrls, Take};
use crate::op::Refusal;

fn handle(hook: &str, body: &Value) -> Result<Meaning, HookError> {
    let request = Request::json(body);
    let handled = (SPEC.hook(hook).unwrap().handle)(&request.get(), &plain());
    handled.map(|handled| handled.meaning)
}

fn facts(hook: &str, body: &Value) -> Vec<CallFact> {
    match handle(hook, body) {
        Ok(Meaning::Events(events) | Meaning::Asked { events, .. }) => {
            events.into_iter().map(|event| event.what).collect()
        }
        other => panic!("{other:?}"),
    }
}

/// The vectors' word for a fact.
fn canonical(fact: &CallFact) -> &'static str {
    match fact {
        CallFact::Initiated => "initiated",
        CallFact::Ringing => "ringing",
        CallFact::Answered | CallFact::AnsweredBy { .. } => "in-progress",
        CallFact::Ended(ended) => match ended.cause {
            HangupCause::Normal => "completed",
            HangupCause::Busy | HangupCause::Rejected => "busy",
            HangupCause::NoAnswer => "no-answer",
            HangupCause::Cancelled => "canceled",
            _ => "failed",
        },
        _ => "none",
    }
}

/// Each webhook of the vectors means what it should.
#[test]
fn vectors_of_webhooks() {
    for vector in each("webhooks") {
        let (id, body, expect) = (&vector["id"], &vector["json"], &vector["expect"]);
        match expect["kind"].as_str().unwrap() {
            "inbound_call" => {
                let Ok(Meaning::Offered(call)) = handle("answer", body) else { panic!("{id}") };
                assert_eq!(call.call.0, "aaaaaaaa-bbbb-cccc-dddd-0123456789ab");
                assert_eq!(call.from.is_none(), body["from"] == "anonymous", "{id}");
            }
            "error" => assert_eq!(handle("answer", body), Err(HookError::Field("uuid")), "{id}"),
            "status" => {
                let found: Vec<_> = facts("events", body).iter().map(canonical).collect();
                assert_eq!(found.first().copied(), expect["canonical"].as_str(), "{id}");
            }
            "amd" => {
                let who = match (expect["result"].as_str(), expect["sub_state"].as_str()) {
                    (Some("human"), _) => AnsweredBy::Human,
                    (_, Some("beep_start")) => AnsweredBy::MachineEnd,
                    _ => AnsweredBy::MachineStart,
                };
                assert_eq!(facts("events", body), [CallFact::AnsweredBy { who }], "{id}");
            }
            "media_disconnected" => {
                // At any hook it says nothing about the call itself.
                assert_eq!(facts("events", body), [CallFact::StreamStopped], "{id}");
                let asked = handle("stream", body);
                assert!(matches!(asked, Ok(Meaning::Asked { .. })), "{id}");
            }
            "dtmf" => {
                let digits: String = facts("events", body)
                    .iter()
                    .map(|fact| match fact {
                        CallFact::Dtmf { digit } => digit.expose().to_owned(),
                        other => panic!("{other:?}"),
                    })
                    .collect();
                assert_eq!(Some(digits.as_str()), expect["digits"].as_str(), "{id}");
            }
            "recording" => {
                let found = facts("events", body);
                let [CallFact::Recorded(recording)] = &found[..] else { panic!("{id}") };
                assert_eq!(recording.duration_ms, Some(28_000));
                assert!(recording.url.as_ref().unwrap().starts_with("https://api.nexmo.com/"));
            }
            "transfer" => assert_eq!(facts("events", body), [], "{id}"),
            other => panic!("{other}"),
        }
    }
}

fn event(status: &str, more: &Value) -> Value {
    let mut event = json!({
        "from": "14155550199", "to": "14155550100", "uuid": "u-1", "status": status,
        "timestamp": "2026-01-01T00:00:00.100Z",
    });
    for (name, value) in more.as_object().into_iter().flatten() {
        event[name] = value.clone();
    }
    event
}

/// Why a call ended, by status, detail and SIP status; a `completed` after nobody talked repeats
/// why.
#[test]
fn causes_of_ends() {
    let none = &Value::Null;
    for (status, more, cause) in [
        ("completed", &json!({"duration": "31"}), HangupCause::Normal),
        ("completed", &json!({"duration": "31", "sip_code": 200}), HangupCause::Normal),
        ("completed", &json!({"duration": "31", "sip_code": 486}), HangupCause::Normal),
        ("completed", &json!({"duration": "0", "sip_code": 486}), HangupCause::Busy),
        ("completed", &json!({"sip_code": "480"}), HangupCause::NoAnswer),
        ("complete", none, HangupCause::Normal),
        ("busy", &json!({"sip_code": 486}), HangupCause::Busy),
        ("timeout", none, HangupCause::NoAnswer),
        ("unanswered", &json!({"detail": "unavailable"}), HangupCause::NoAnswer),
        ("cancelled", none, HangupCause::Cancelled),
        ("failed", none, HangupCause::Failed),
        ("failed", &json!({"detail": "cannot_route"}), HangupCause::Failed),
        ("failed", &json!({"detail": "number_out_of_service"}), HangupCause::NotFound),
        ("rejected", &json!({"detail": "declined"}), HangupCause::Rejected),
        ("rejected", &json!({"detail": "restricted"}), HangupCause::Failed),
        ("rejected", none, HangupCause::Failed),
    ] {
        let found = facts("events", &event(status, more));
        let CallFact::Ended(ended) = &found[0] else { panic!("{found:?}") };
        assert_eq!(ended.cause, cause, "{status} {more}");
        assert!(ended.raw.as_ref().unwrap().starts_with(status));
    }
}

/// The same event twice has the same ids, two events have different ones, and so do the facts of
/// one.
#[test]
fn ids_tell_repetition_apart() {
    let ids = |body: &Value| match handle("events", body) {
        Ok(Meaning::Events(events)) => {
            events.into_iter().map(|event| event.id.unwrap()).collect::<Vec<_>>()
        }
        other => panic!("{other:?}"),
    };
    let end = event("completed", &json!({"price": "0.01", "duration": "1"}));
    assert_eq!(ids(&end), ids(&end));
    assert_eq!(ids(&end).len(), 2);
    assert_ne!(ids(&end)[0], ids(&end)[1]);
    let later = event("completed", &json!({"timestamp": "2026-01-01T00:00:00.200Z"}));
    assert_ne!(ids(&end)[0], ids(&later)[0]);
    let digits = json!({"uuid": "u-1", "dtmf": "11", "timestamp": "2026-01-01T00:00:00Z"});
    assert_eq!(ids(&digits), ["input:0:2026-01-01T00:00:00Z", "input:1:2026-01-01T00:00:00Z"]);
}

/// The media stream is a leg of its own: its answer, end and failure are never the call's, whatever
/// hook they come to.
#[test]
fn the_stream_is_not_the_call() {
    let to = json!({"to": "wss://media.example.test/v/abc", "detail": "unavailable"});
    for status in ["started", "ringing", "answered", "completed", "failed", "busy", "new"] {
        for hook in ["events", "stream"] {
            for fact in facts(hook, &event(status, &to)) {
                assert!(fact.is_of_stream(), "{status} {fact:?}");
            }
        }
    }
    let failed = facts("stream", &event("unanswered", &to));
    assert_eq!(failed, [CallFact::StreamFailed { code: Some("unavailable".to_owned()) }]);
}

/// A UUID has one form, whichever of the two it came in; nothing else is taken for one.
#[test]
fn uuids_have_one_form() {
    let whole = "aaaaaaaa-bbbb-cccc-dddd-0123456789ab";
    for text in [whole, "aaaaaaaabbbbccccdddd0123456789ab", "AAAAAAAA-BBBB-CCCC-DDDD-0123456789AB"]
    {
        assert_eq!(uuid(text).as_deref(), Some(whole));
    }
    for text in
        ["", "-", "aaaaaaaa-bbbb-cccc-dddd-0123456789a", "CON-aaaaaaaabbbbccccdddd012345678"]
    {
        assert_eq!(uuid(text), None, "{text}");
    }
    assert_eq!(uuid("aaaaaaaab-bbb-cccc-dddd-0123456789ab"), None, "hyphens in other places");
    assert_eq!(uuid(&"ä".repeat(16)), None);
}

/// A call by GET, as the dashboard proposes it, is understood like one by POST; what has a body is
/// none.
#[test]
fn calls_are_offered_by_get() {
    let vectors = each("inbound_signature");
    let vector = vectors.iter().find(|vector| vector["id"] == "valid_get_no_hash").unwrap();
    let request = Request::of(vector);
    let call = (INBOUND.parse)(&request.get()).unwrap();
    assert_eq!(call.call.0, "aaaaaaaa-bbbb-cccc-dddd-0123456789ab");
    assert_eq!(call.from.unwrap().expose(), "+442079460000");
    assert_eq!(call.to.expose(), "+14155550199");
    assert!((INBOUND.recognise)(&request.get()));
    assert_eq!((INBOUND.account)(&request.get()).as_deref(), Some("0a1b2c3d"));
    let with_body = Request { body: b"x".to_vec(), ..Request::of(vector) };
    assert!((INBOUND.parse)(&with_body.get()).is_err());
}

/// What an offered call says of its region is where it is controlled; another host never is.
#[test]
fn calls_are_controlled_where_they_live() {
    let base = |region_url: &str| {
        let body = json!({
            "from": "442079460000", "to": "14155550199", "uuid": "u-1", "region_url": region_url,
        });
        let call = (INBOUND.parse)(&Request::json(&body).get()).unwrap();
        let config = plain().of_call(&call);
        fields::voice_base(&config).to_owned()
    };
    assert_eq!(base("https://api-ap-3.vonage.com"), "https://api-ap-3.vonage.com");
    assert_eq!(base("https://evil.example"), "https://api.nexmo.com");
    let eu = config(&json!({"region": "eu-east"}));
    assert_eq!(fields::voice_base(&eu), "https://api-eu-4.vonage.com");
}

fn take(config: &crate::config::RawConfig) -> Value {
    let hooks = HookUrls::new("https://app.example.test", "vonage", "tok").of_call("42");
    let take = Take { stream_url: "wss://media.example.test/v/abc".to_owned(), hooks };
    serde_json::from_slice(&(INBOUND.answer)(config, &take).unwrap().body).unwrap()
}

/// Whoever was called apart and hangs up has not been reached, whatever the word for that; in the
/// place of the agent only a failure is one.
#[test]
fn ends_of_legs() {
    let told = |hook: &str, status: &str| {
        let body = json!({"uuid": "bbbbbbbb-bbbb-cccc-dddd-0123456789ab", "status": status});
        let state = |fact: &CallFact| match fact {
            CallFact::Transfer { state, of } => (*state, of.leg.is_some()),
            other => panic!("{other:?}"),
        };
        facts(hook, &body).iter().map(state).collect::<Vec<_>>()
    };
    for status in ["completed", "busy", "unanswered"] {
        assert_eq!(told("consult", status), [(TransferState::Failed, true)], "{status}");
    }
    assert_eq!(told("transfer", "completed"), []);
    assert_eq!(told("transfer", "busy"), [(TransferState::Failed, false)]);
}

/// A document is a list of actions that Vonage knows, whose addresses are lists; a recording
/// has the form of the vector.
#[test]
fn documents_are_as_vonage_wants_them() {
    const ACTIONS: [&str; 4] = ["connect", "record", "talk", "conversation"];
    let documents = [plain(), config(&json!({"record": true, "media_rate": "24000"}))];
    for document in documents.iter().map(take) {
        for action in document.as_array().unwrap() {
            assert!(ACTIONS.contains(&action["action"].as_str().unwrap()));
            assert!(action["eventUrl"].as_array().is_some_and(|urls| urls.len() == 1));
        }
    }
    let vectors = each("ncco/valid");
    let vector = |id: &str| vectors.iter().find(|v| v["id"] == id).unwrap()["json"].clone();
    let mut plain = take(&config(&json!({"sign_socket": false})));
    let mut expected = vector("connect_ws");
    for action in [&mut plain[0], &mut expected[0]] {
        // Ours are other addresses, and no number; a POST is the default.
        for name in ["eventUrl", "from", "eventMethod"] {
            action.as_object_mut().unwrap().remove(name);
        }
        action["endpoint"][0]["headers"] = json!({});
    }
    assert_eq!(plain, expected);
    let mut recorded = take(&documents[1])[0].clone();
    let mut expected = vector("record_async_then_ws")[0].clone();
    for action in [&mut recorded, &mut expected] {
        for name in ["eventUrl", "eventMethod"] {
            action.as_object_mut().unwrap().remove(name);
        }
    }
    assert_eq!(recorded, expected);
    assert_eq!(take(&documents[1])[1]["endpoint"][0]["content-type"], "audio/l16;rate=24000");
    assert_eq!(take(&documents[0])[0]["endpoint"][0]["authorization"], json!({"type": "vonage"}));
}

/// A refused call ends, with a word to the caller if there is one; no action hangs up.
#[test]
fn refusals_end_calls() {
    for refusal in Refusal::ALL {
        assert_eq!((INBOUND.refuse)(&plain(), refusal).body, "[]");
        let text = config(&json!({"refusal_text": "Sorry, \"this\" call cannot be taken."}));
        let said: Value = serde_json::from_slice(&(INBOUND.refuse)(&text, refusal).body).unwrap();
        let expected = json!([{"action": "talk", "text": "Sorry, \"this\" call cannot be taken."}]);
        assert_eq!(said, expected);
    }
    let voice = json!({"refusal_text": "Nein.", "refusal_language": "de-DE", "refusal_style": 0,
        "refusal_premium": true});
    let said = (INBOUND.refuse)(&config(&voice), Refusal::Busy).body;
    let said: Value = serde_json::from_slice(&said).unwrap();
    let expected = json!([{"action": "talk", "text": "Nein.", "language": "de-DE", "style": 0,
        "premium": true}]);
    assert_eq!(said, expected);
}
