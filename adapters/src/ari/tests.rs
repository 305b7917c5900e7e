//! What a real Asterisk said, and flows in every order in which things may become known.

mod flows;
pub(super) mod rest;
mod transfers;

use serde::Deserialize;
use serde_json::Value;

use super::causes::Ending;
use super::events::{By, What, read};
use super::names::{Role, read as named};
use crate::event::HangupCause;

const VECTORS: &str = include_str!("fixtures/vectors.json");

#[derive(Deserialize)]
struct Vectors {
    sip_to_cause: Vec<Value>,
    sequences: Vec<Sequence>,
    rest_exchanges: Vec<Value>,
}

#[derive(Deserialize)]
struct Sequence {
    id: String,
    events: Vec<Told>,
    call: Option<Value>,
}

#[derive(Deserialize)]
struct Told {
    event: Value,
    expect: Value,
}

fn vectors() -> Vectors {
    serde_json::from_str(VECTORS).unwrap()
}

fn word(what: &What) -> &'static str {
    match what {
        What::Entered(_) => "entered_app",
        What::Left => "left_app",
        What::State => "state",
        What::Dial(_) => "dial",
        What::HangupRequested { .. } => "hangup_requested",
        What::Destroyed { .. } => "destroyed",
        What::Digit(_) => "dtmf",
        What::Hold(true) => "hold",
        What::Hold(false) => "unhold",
        What::Joined => "bridge_joined",
        What::Parted => "bridge_left",
        What::BridgeGone => "bridge_gone",
        What::Recorded(_) => "recorded",
        What::TransferAsked => "transfer_requested",
        What::Replaced => "app_replaced",
        What::Other => "ignored",
    }
}

/// What is of no use to us yet.
const UNUSED: [&str; 4] = ["transfer_progress", "move_failed", "playback", "talking"];

/// Every event of every sequence means what it should, whatever the order of its members; cut off
/// anywhere it is an error.
#[test]
fn events_are_read() {
    let mut seen = 0;
    for sequence in vectors().sequences {
        for Told { event, expect } in sequence.events {
            let text = event.to_string();
            let read = |text: &str| read(text.as_bytes());
            let event = read(&text).unwrap();
            let kind = expect["kind"].as_str().unwrap();
            let kind = if UNUSED.contains(&kind) { "ignored" } else { kind };
            assert_eq!(word(&event.what), kind, "{}: {text}", sequence.id);
            match &event.what {
                What::HangupRequested { by, tech_cause, .. } => {
                    assert_eq!(serde_json::to_value(by).unwrap(), expect["by"], "{text}");
                    let expected = expect["tech_cause"].as_u64();
                    assert_eq!(tech_cause.map(u64::from), expected, "{text}");
                }
                What::Destroyed { cause, tech_cause } => {
                    assert_eq!(Some(u64::from(*cause)), expect["cause"].as_u64(), "{text}");
                    let expected = expect["tech_cause"].as_u64();
                    assert_eq!(tech_cause.map(u64::from), expected, "{text}");
                }
                What::Digit(digit) => assert_eq!(digit.to_string(), expect["digit"], "{text}"),
                What::Entered(args) => {
                    assert_eq!(serde_json::to_value(args).unwrap(), expect["args"], "{text}");
                    let channel = event.channel.as_ref().unwrap();
                    assert_eq!(channel.technology(), expect["tech"], "{text}");
                    assert_eq!(channel.is_media(), expect["role"] == "media", "{text}");
                }
                _ => {}
            }
            for cut in (0..text.len()).step_by(7).filter(|cut| text.is_char_boundary(*cut)) {
                assert!(read(&text[..cut]).is_err());
            }
            seen += 1;
        }
    }
    assert!(seen > 100);
}

/// The word of the sheet that a cause comes to.
fn canonical(cause: HangupCause) -> &'static str {
    match cause {
        HangupCause::Normal => "completed",
        HangupCause::Cancelled => "canceled",
        HangupCause::Busy => "busy",
        HangupCause::NoAnswer => "no-answer",
        // Who declines is told apart from who is busy.
        HangupCause::Rejected => "rejected",
        _ => "failed",
    }
}

/// The end of each call that a real Asterisk had comes out as it should, from its events in the
/// order in which they came.
#[test]
fn ends_have_causes() {
    let mut seen = 0;
    for sequence in vectors().sequences {
        let Some(call) = &sequence.call else { continue };
        let mut ending = Ending { inbound: call["direction"] == "inbound", ..Ending::default() };
        let (mut dialled, mut ended) = (String::new(), None);
        for Told { event, .. } in &sequence.events {
            let event = read(event.to_string().as_bytes()).unwrap();
            let Some(channel) = event.channel.filter(|it| it.id == call["channel"]) else {
                continue;
            };
            match event.what {
                What::Entered(_) | What::State => ending.answered |= channel.state == "Up",
                What::Dial(status) => dialled = status,
                What::HangupRequested { by, .. } => drop(ending.by.get_or_insert(by)),
                What::Destroyed { cause, tech_cause } => {
                    (ending.cause, ending.tech_cause) = (cause, tech_cause);
                    ended = Some(Ending { dialled: &dialled, ..ending }.ended());
                }
                _ => {}
            }
        }
        let Some(ended) = ended else { continue };
        let expected = call["expect"]["final"].as_str().unwrap();
        let (expected, got) = match (sequence.id.as_str(), ended.cause) {
            ("outbound_603" | "outbound_403", cause) => ("rejected", cause),
            (_, cause) => (expected, cause),
        };
        assert_eq!(canonical(got), expected, "{}", sequence.id);
        seen += 1;
    }
    assert!(seen > 10, "{seen}");
}

/// Each SIP answer to a call of ours has the cause that people call it.
#[test]
fn sip_answers_have_causes() {
    for row in vectors().sip_to_cause {
        let number = |name: &str| u16::try_from(row[name].as_u64().unwrap()).unwrap();
        let ended = Ending {
            by: Some(By::Remote),
            cause: number("cause"),
            tech_cause: Some(number("tech_cause")),
            dialled: row["dialstatus"].as_str().unwrap(),
            ..Ending::default()
        }
        .ended();
        let sip = number("sip");
        let expected = match sip {
            403 | 603 | 607 => "rejected",
            _ => row["canonical"].as_str().unwrap(),
        };
        assert_eq!((canonical(ended.cause), ended.sip_status), (expected, Some(sip)), "{row}");
    }
}

/// Names of others are none of ours, whatever is in them.
#[test]
fn channels_of_others_are_not_ours() {
    for sequence in vectors().sequences {
        for Told { event, .. } in sequence.events {
            let event = read(event.to_string().as_bytes()).unwrap();
            let id = event.channel.map(|channel| channel.id).unwrap_or_default();
            assert_eq!(named(&event.app, &id), None, "{id}");
        }
    }
    assert_eq!(named("a", "a.b.c"), Some((Role::Bridge, "c")));
}
