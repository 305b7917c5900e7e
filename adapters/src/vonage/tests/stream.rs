//! The media stream.

use media::codec::AudioFormat;
use media::time::MonoTime;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::super::stream::open;
use super::{config, each};
use crate::agent::MessageKind;
use crate::config::RawConfig;
use crate::stream::{FrameSlot, Stream, StreamCommand, StreamEvent, StreamStart};

/// A stream of a configuration without fields, which is read a hundred times faster.
fn stream() -> Box<dyn Stream> {
    open(&StreamStart { config: RawConfig::default(), call: None })
}

fn text(stream: &mut dyn Stream, message: &str) -> Result<String, String> {
    let mut message = message.as_bytes().to_vec();
    let mut room = [0; 8];
    let mut slot = FrameSlot::new(&mut room);
    let event = stream.decode(MonoTime::ZERO, MessageKind::Text, &mut message, &mut slot);
    event.map(|event| format!("{event:?}")).map_err(|error| error.to_string())
}

/// The messages of the vectors mean what they should, and ours are what they should be.
#[test]
fn vectors_of_messages() {
    for vector in each("websocket/messages") {
        let (id, expect) = (vector["id"].as_str().unwrap(), &vector["expect"]);
        let message = match (&vector["json"], &vector["text"]) {
            (Value::Null, Value::String(text)) => text.clone(),
            (Value::Null, _) => continue,
            (json, _) => json.to_string(),
        };
        if vector["direction"] == "app_to_carrier" {
            let command = match id {
                "clear" => StreamCommand::Clear,
                _ => StreamCommand::Mark("utt-7"),
            };
            let mut out = Vec::new();
            assert_eq!(stream().command(command, &mut out), Some(MessageKind::Text));
            assert_eq!(String::from_utf8(out).unwrap(), message, "{id}");
            continue;
        }
        let found = text(stream().as_mut(), &message);
        let expected = match expect["kind"].as_str().unwrap() {
            "connected" => format!("rate_hz: {}", expect["sample_rate"]),
            "dtmf" => format!("digit: '{}'", expect["digit"].as_str().unwrap()),
            "cleared" => "Cleared".to_owned(),
            "mark" => "Mark(\"utt-7\")".to_owned(),
            // What is no JSON is told to whoever counts such things.
            "ignored" if expect["warn"] == true => {
                assert!(found.is_err(), "{id}");
                continue;
            }
            "ignored" => "Nothing".to_owned(),
            other => panic!("{other}"),
        };
        assert!(found.as_ref().is_ok_and(|found| found.contains(&expected)), "{id}: {found:?}");
    }
}

/// Before the stream says its rate, audio is taken at the configured one; half samples are refused;
/// only rates that exist are believed.
#[test]
fn audio_is_whole_samples() {
    let mut stream =
        open(&StreamStart { config: config(&json!({"media_rate": "8000"})), call: None });
    let mut room = [0; 2000];
    for (len, good) in [(640, true), (638, true), (2, true), (641, false), (1, false), (0, false)] {
        let mut slot = FrameSlot::new(&mut room);
        let mut message = vec![7; len];
        let kind = MessageKind::Binary;
        let event = stream.decode(MonoTime::ZERO, kind, &mut message, &mut slot);
        assert_eq!(event.is_ok(), good, "{len}");
        assert_eq!(slot.filled().len(), if good { len } else { 0 });
    }
    for (content_type, rate_hz) in [
        ("audio/l16;rate=24000", Some(24_000)),
        ("AUDIO/L16; Rate=8000", Some(8000)),
        ("audio/l16; channels=1; rate=16000", Some(16_000)),
        ("audio/l16;rate=48000", None),
        ("audio/l16", None),
        ("audio/pcmu;rate=8000", None),
    ] {
        let message =
            json!({"event": "websocket:connected", "content-type": content_type}).to_string();
        let started = text(stream.as_mut(), &message);
        let expected = rate_hz.map(|rate| format!("{:?}", AudioFormat::l16le(rate)));
        match expected {
            Some(format) => assert!(started.unwrap().contains(&format), "{content_type}"),
            None => assert!(started.is_err(), "{content_type}"),
        }
    }
}

/// Keys that no telephone has are refused, in either form.
#[test]
fn keys_are_keys() {
    for digit in ["x", "", "55", "é", "E"] {
        for message in [
            json!({"event": "websocket:dtmf", "digit": digit}),
            json!({"event": "websocket:dtmf", "dtmf": {"digit": digit}}),
        ] {
            assert!(text(stream().as_mut(), &message.to_string()).is_err(), "{message}");
        }
    }
    let d = json!({"event": "websocket:dtmf", "digit": "d", "duration": 1}).to_string();
    assert_eq!(text(stream().as_mut(), &d).unwrap(), "Dtmf { digit: 'D', duration_ms: Some(1) }");
}

proptest! {
    /// A mark comes back with the name it was given, whatever that holds and however the echo is
    /// escaped.
    #[test]
    fn marks_come_back(name in ".{0,40}", ascii in any::<bool>()) {
        let mut out = Vec::new();
        stream().command(StreamCommand::Mark(&name), &mut out);
        let said: Value = serde_json::from_slice(&out).unwrap();
        let mut echo = json!({"event": "websocket:notify", "payload": said["payload"]}).to_string();
        if ascii {
            let units = |c: char| c.encode_utf16(&mut [0; 2]).to_vec();
            let escape = |c: char| match c {
                ' '..='~' => c.to_string(),
                _ => units(c).iter().map(|unit| format!("\\u{unit:04x}")).collect(),
            };
            echo = echo.chars().map(escape).collect();
        }
        let mut message = echo.into_bytes();
        let mut room = [0; 8];
        let mut slot = FrameSlot::new(&mut room);
        let mut stream = stream();
        let event = stream.decode(MonoTime::ZERO, MessageKind::Text, &mut message, &mut slot);
        prop_assert_eq!(event, Ok(StreamEvent::Mark(&name)));
    }

    /// Nothing that comes makes it panic, or audio of a text.
    #[test]
    fn nothing_panics(mut message in proptest::collection::vec(any::<u8>(), 0..80)) {
        let mut room = [0; 256];
        for kind in [MessageKind::Text, MessageKind::Binary] {
            let mut slot = FrameSlot::new(&mut room);
            let event = stream().decode(MonoTime::ZERO, kind, &mut message, &mut slot);
            let audio = matches!(event, Ok(StreamEvent::Audio { .. }));
            prop_assert_eq!(audio, kind == MessageKind::Binary && message.len().is_multiple_of(2)
                && !message.is_empty());
        }
    }
}
