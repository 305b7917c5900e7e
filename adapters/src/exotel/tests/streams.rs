//! The media dialect.

use media::codec::AudioFormat;
use media::time::MonoTime;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::super::SPEC;
use super::config;
use crate::agent::MessageKind;
use crate::event::CarrierCallId;
use crate::stream::{FrameSlot, Stream, StreamCommand, StreamEvent, StreamStart};

fn open(call: Option<&str>) -> Box<dyn Stream> {
    let call = call.map(|call| CarrierCallId(call.to_owned()));
    (SPEC.stream.unwrap())(&StreamStart { config: config(json!({})), call })
}

fn told(stream: &mut dyn Stream, message: &Value) -> Result<String, String> {
    let mut text = message.to_string().into_bytes();
    let mut room = [0; 8_192];
    let mut slot = FrameSlot::new(&mut room);
    let event = stream.decode(MonoTime::ZERO, MessageKind::Text, &mut text, &mut slot);
    let event = event.map(|event| format!("{event:?}")).map_err(|error| error.to_string())?;
    Ok(if slot.filled().is_empty() { event } else { format!("{event} {:?}", slot.filled()) })
}

fn start(format: &Value) -> Value {
    json!({"event": "start", "stream_sid": "s", "start": {"stream_sid": "s", "call_sid": "c",
        "account_sid": "acme1", "media_format": format}})
}

/// A stream of another call or account, a second start, and audio of another stream or from before
/// the start, are refused.
#[test]
fn only_its_own_stream_is_heard() {
    let format = json!({"encoding": "audio/x-raw", "sample_rate": "8000"});
    let audio = |sid: &str| {
        json!({"event": "media", "stream_sid": sid,
        "media": {"payload": "AAEC/w=="}})
    };
    assert!(told(&mut *open(Some("other")), &start(&format)).unwrap_err().contains("call_sid"));
    let mut foreign = start(&format);
    foreign["start"]["account_sid"] = "acme2".into();
    assert!(told(&mut *open(Some("c")), &foreign).unwrap_err().contains("account_sid"));
    let mut stream = open(Some("c"));
    assert!(told(&mut *stream, &audio("s")).is_err());
    assert!(told(&mut *stream, &start(&format)).unwrap().starts_with("Started"));
    assert!(told(&mut *stream, &start(&format)).is_err());
    for _ in 0..2 {
        assert!(told(&mut *stream, &audio("t")).is_err());
        assert!(told(&mut *stream, &audio("s")).unwrap().ends_with("[0, 1, 2, 255]"));
    }
    // Half a sample.
    let half = json!({"event": "media", "stream_sid": "s", "media": {"payload": "AAEC"}});
    assert!(told(&mut *stream, &half).is_err());
    let stop = json!({"event": "stop", "stream_sid": "s", "stop": {"reason": "stopped"}});
    assert_eq!(told(&mut *stream, &stop).unwrap(), "Stopped(None)");
    assert_eq!(told(&mut *stream, &audio("s")).unwrap(), "Nothing", "it is over");
}

/// Linear audio has many names; what is coded, and what has another rate, would be heard as noise.
#[test]
fn formats_are_known_or_refused() {
    for (format, rate_hz) in [
        (json!({"encoding": "base64", "sample_rate": "8000"}), 8_000),
        (json!({"encoding": "raw/slin", "sample_rate": 16000, "bit_rate": "256kbps"}), 16_000),
        (json!({"encoding": "audio/x-l16", "sample_rate": "24000"}), 24_000),
        (json!({"sample_rate": null}), 8_000),
        (json!({}), 8_000),
    ] {
        let event = told(&mut *open(None), &start(&format)).unwrap();
        assert!(event.contains(&format!("{:?}", AudioFormat::l16le(rate_hz))), "{format} {event}");
    }
    for format in [
        json!({"encoding": "audio/x-mulaw", "sample_rate": "8000"}),
        json!({"encoding": "PCMA", "sample_rate": "8000"}),
        json!({"encoding": "audio/x-raw", "sample_rate": "44100"}),
        json!({"encoding": "audio/x-raw", "sample_rate": "fast"}),
        json!({"encoding": "audio/x-raw", "sample_rate": -8000}),
    ] {
        let error = told(&mut *open(None), &start(&format)).unwrap_err();
        assert!(error.contains("unknown codec"), "{format}: {error}");
    }
}

/// What is said to the carrier is what its documents have, and nothing before the start or after
/// the stop.
#[test]
fn what_is_said() {
    let mut stream = open(None);
    let mut out = Vec::new();
    assert_eq!(stream.command(StreamCommand::Clear, &mut out), None);
    stream.encode(&[1, 2], &mut out);
    assert!(out.is_empty());
    told(&mut *stream, &start(&json!({}))).unwrap();
    assert_eq!(stream.manners().least_bytes, 3_200);
    let mut said = |command: Option<StreamCommand<'_>>| {
        let mut out = Vec::new();
        match command {
            Some(command) => stream.command(command, &mut out)?,
            None => stream.encode(&[0, 1, 2, 255], &mut out),
        };
        Some(serde_json::from_slice::<Value>(&out).unwrap())
    };
    let media = json!({"event": "media", "stream_sid": "s", "media": {"payload": "AAEC/w=="}});
    assert_eq!(said(None), Some(media));
    assert_eq!(
        said(Some(StreamCommand::Mark("a\"b"))),
        Some(json!({"event": "mark", "stream_sid": "s", "mark": {"name": "a\"b"}}))
    );
    assert_eq!(
        said(Some(StreamCommand::Clear)),
        Some(json!({"event": "clear", "stream_sid": "s"}))
    );
    assert_eq!(said(Some(StreamCommand::Hangup)), None);
    assert_eq!(said(Some(StreamCommand::Dtmf('5'))), None);
}

proptest! {
    /// Whatever a message says, wherever its numbers and blanks stand: the quick look and the full
    /// parser hear the same.
    #[test]
    fn both_ways_hear_the_same(
        audio in proptest::collection::vec(any::<u8>(), 0..64),
        chunk in proptest::option::of(0..100_000_u64),
        bare in any::<bool>(),
        escaped in any::<bool>(),
    ) {
        use base64::Engine;
        let payload = base64::engine::general_purpose::STANDARD.encode(&audio);
        let number = |n: u64| if bare { json!(n) } else { json!(n.to_string()) };
        let mut media = json!({"payload": payload});
        if let Some(chunk) = chunk {
            media["chunk"] = number(chunk);
            media["timestamp"] = number(chunk * 100);
        }
        let message = json!({"event": "media", "stream_sid": "s", "media": media});
        // An escape makes no plain string of it, so that only a full parser reads it.
        let mut text = message.to_string();
        if escaped {
            text = text.replace("\"event\"", "\"ev\\u0065nt\"");
        }
        let hear = |text: &str| {
            let mut stream = open(None);
            told(&mut *stream, &start(&json!({}))).unwrap();
            let mut room = [0; 128];
            let mut slot = FrameSlot::new(&mut room);
            let mut bytes = text.as_bytes().to_vec();
            let event = stream.decode(MonoTime::ZERO, MessageKind::Text, &mut bytes, &mut slot);
            let is_audio = matches!(event, Ok(StreamEvent::Audio { .. }));
            (event.map(|event| format!("{event:?}")).map_err(|e| e.to_string()),
             is_audio.then(|| slot.filled().to_vec()))
        };
        let (event, heard) = hear(&text);
        prop_assert_eq!(&(event.clone(), heard.clone()), &hear(&message.to_string()));
        let whole = audio.len() % 2 == 0;
        prop_assert_eq!(event.is_ok(), whole);
        prop_assert_eq!(heard, (whole && !audio.is_empty()).then_some(audio));
    }
}
