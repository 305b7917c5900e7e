//! What the server makes out of what a caller says: digits sent as tones, and speech.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test")]

use crate::support;

use std::f64::consts::TAU;

use media::codec::AudioFormat;
use media::convert::Converter;
use serde_json::{Value, json};

use support::agent::Agent;
use support::joined::{self, part};
use support::phone::{self, Codec, Phone};
use support::server::Server;

/// A phone without telephone events.
const PLAIN_PCMU: Codec = Codec { event_hz: 0, ..phone::PCMU };
const PLAIN_G722: Codec = Codec { event_hz: 0, ..phone::G722 };

/// A call of a phone that speaks `codec`, from a trunk whose entry has `more`.
#[track_caller]
fn connected(codec: Codec, more: &str) -> (Server, Phone, Agent) {
    let trunk = format!("[[trunks]]\nname = \"office\"\npeers = [\"127.0.0.1/32\"]\n{more}\n");
    joined::connected(&["G722", "PCMU"], codec, ("", &trunk))
}

/// Parts of so many milliseconds of two tones, or of silence where both are zero, one after the
/// other, as a phone says them: in one go, because G.722 has a memory.
fn sounds(codec: Codec, parts: &[(u32, f64, f64)]) -> Vec<u8> {
    let format = if codec.pt == 9 { AudioFormat::G722 } else { AudioFormat::PCMU };
    let rate = f64::from(format.rate_hz);
    let tone = |n: usize, hz: f64| 6_000.0 * (n as f64 * hz / rate * TAU).sin();
    let linear: Vec<u8> = parts
        .iter()
        .flat_map(|(ms, low, high)| (0..format.samples(*ms)).map(move |n| (n, *low, *high)))
        .map(|(n, low_hz, high_hz)| (tone(n, low_hz) + tone(n, high_hz)) as i16)
        .flat_map(i16::to_le_bytes)
        .collect();
    let mut converter = Converter::new(format.linear(), format);
    let mut out = vec![0; converter.max_output(linear.len())];
    let length = converter.convert(&linear, &mut out);
    out.truncate(length);
    out
}

/// The keys 5 and # as tones, 80 ms each.
fn keys(codec: Codec) -> Vec<u8> {
    let silence = (100, 0.0, 0.0);
    sounds(codec, &[silence, (80, 770.0, 1336.0), silence, (80, 941.0, 1477.0), silence])
}

/// The digits of all `dtmf` events so far, each with its source.
fn digits(agent: &Agent) -> Vec<(Value, Value)> {
    let events = agent.said.iter().filter(|event| event["event"] == "dtmf");
    events.map(|event| (event["digit"].clone(), event["source"].clone())).collect()
}

/// A phone that offers no telephone events presses keys as tones; the agent is told, in either
/// codec.
#[test]
fn digits_as_tones() {
    for codec in [PLAIN_PCMU, PLAIN_G722] {
        let (server, mut phone, mut agent) = connected(codec, "");
        phone.speak(&keys(codec));
        for digit in ["5", "#"] {
            let event = agent.event("dtmf");
            assert_eq!((&event["digit"], &event["source"]), (&json!(digit), &json!("inband")));
            let ms = event["duration_ms"].as_u64().unwrap();
            assert!((74..=86).contains(&ms), "{event}");
        }
        part(server, phone, agent);
    }
}

/// A phone that has telephone events is believed in these alone: its tones are not digits.
#[test]
fn no_digits_as_tones_beside_telephone_events() {
    let (server, mut phone, mut agent) = connected(phone::PCMU, "");
    phone.speak(&keys(phone::PCMU));
    phone.press(7);
    assert_eq!(agent.event("dtmf")["digit"], "7");
    assert_eq!(digits(&agent), [(json!("7"), json!("rtp"))]);
    part(server, phone, agent);
}

/// A trunk may say that digits come as tones although events were settled; from the first event on
/// events alone count, so that no digit is told twice.
#[test]
fn trunk_asks_for_tones_and_no_digit_is_doubled() {
    let (server, mut phone, mut agent) = connected(phone::PCMU, "dtmf_inband = true");
    phone.speak(&keys(phone::PCMU));
    assert_eq!(agent.event("dtmf")["digit"], "5");
    assert_eq!(agent.event("dtmf")["digit"], "#");
    phone.press(7);
    phone.speak(&keys(phone::PCMU));
    phone.press(8);
    assert_eq!(agent.event("dtmf")["digit"], "7");
    assert_eq!(agent.event("dtmf")["digit"], "8");
    let (inband, rtp) = (json!("inband"), json!("rtp"));
    let told = [("5", &inband), ("#", &inband), ("7", &rtp), ("8", &rtp)];
    assert_eq!(digits(&agent), told.map(|(digit, source)| (json!(digit), source.clone())));
    part(server, phone, agent);
}

/// An agent that wants it is told when the caller begins and stops to speak, as of when that was.
#[test]
fn speech_begins_and_ends() {
    let (server, mut phone, mut agent) = connected(PLAIN_PCMU, "");
    assert!(agent.start["features"].as_array().unwrap().contains(&json!("speech")));
    agent.say(&json!({ "event": "configure", "wants": ["speech"] }));
    assert_eq!(agent.event("configured")["wants"], json!(["speech"]));
    let phrase = [(400, 0.0, 0.0), (600, 300.0, 0.0), (800, 0.0, 0.0)];
    phone.speak(&sounds(PLAIN_PCMU, &phrase));
    let (begin, end) = (agent.event("speech"), agent.event("speech"));
    assert_eq!((&begin["state"], &end["state"]), (&json!("started"), &json!("stopped")));
    let at = |event: &Value| event["at_ms"].as_u64().unwrap();
    let lasted = at(&end) - at(&begin);
    // The phone is a thread on a busy machine.
    assert!((400..900).contains(&lasted), "{begin} {end}");
    part(server, phone, agent);
}

/// Who stops to send in mid-word stops to speak.
#[test]
fn speech_ends_with_the_stream() {
    let (server, mut phone, mut agent) = connected(PLAIN_PCMU, "");
    agent.say(&json!({ "event": "configure", "wants": ["speech"] }));
    agent.event("configured");
    phone.speak(&sounds(PLAIN_PCMU, &[(200, 0.0, 0.0), (400, 300.0, 0.0)]));
    assert_eq!(agent.event("speech")["state"], "started");
    assert_eq!(agent.event("speech")["state"], "stopped");
    part(server, phone, agent);
}
