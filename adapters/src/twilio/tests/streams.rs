//! Media Streams.

use media::time::MonoTime;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::super::stream;
use super::{CALL, STREAM, config, vectors};
use crate::agent::MessageKind;
use crate::event::CarrierCallId;
use crate::stream::{FrameSlot, Stream, StreamCommand, StreamEvent, StreamStart};
use crate::wire::WireError;

fn open() -> Box<dyn Stream> {
    let call = Some(CarrierCallId(CALL.to_owned()));
    stream::open(&StreamStart { config: config(json!({})), call })
}

/// `Debug` of what a message means, and its audio.
fn say(stream: &mut dyn Stream, message: &Value) -> Result<(String, Vec<u8>), WireError> {
    let mut text = match message {
        Value::String(text) => text.clone().into_bytes(),
        other => other.to_string().into_bytes(),
    };
    let mut room = [0; 4096];
    let mut slot = FrameSlot::new(&mut room);
    let event = stream.decode(MonoTime::ZERO, MessageKind::Text, &mut text, &mut slot)?;
    let event = format!("{event:?}");
    Ok((event, slot.filled().to_vec()))
}

fn started() -> Box<dyn Stream> {
    let mut stream = open();
    say(stream.as_mut(), &vectors()["websocket"]["from_carrier"]["start"]).unwrap();
    stream
}

/// What goes wrong on a socket: each is refused, ignored or accepted as the vectors say.
#[test]
fn malformed_messages() {
    let vectors = vectors();
    for case in vectors["websocket"]["malformed"].as_array().unwrap() {
        let id = case["id"].as_str().unwrap();
        let mut stream = if id.contains("callSid") { open() } else { started() };
        let result = say(stream.as_mut(), &case["frame"]);
        match id {
            "unknown-event" | "empty-payload" => assert_eq!(result.unwrap().0, "Nothing", "{id}"),
            "odd-size-payload" | "sequence-number-as-integer" | "unknown-dtmf-digit" => {
                assert_ne!(result.unwrap().0, "Nothing", "{id}");
            }
            _ => {
                assert!(result.is_err(), "{id}: {result:?}");
                // The session lives on.
                let next = &vectors["websocket"]["from_carrier"]["media_silence"];
                assert_eq!(say(stream.as_mut(), next).is_ok(), !id.contains("callSid"), "{id}");
            }
        }
    }
}

/// Audio before the start, a second start, a start of another call, account, codec, a message of
/// another stream: none of them is heard.
#[test]
fn only_this_stream_is_heard() {
    let vectors = vectors();
    let from = &vectors["websocket"]["from_carrier"];
    assert!(say(open().as_mut(), &from["media_silence"]).is_err());
    let mut stream = started();
    assert_eq!(say(stream.as_mut(), &from["start"]).unwrap().0, "Nothing");
    let mut other = from["start"].clone();
    other["streamSid"] = json!("MZ0");
    assert!(say(stream.as_mut(), &other).is_err());
    let mut media = from["media_silence"].clone();
    media["streamSid"] = json!("MZ0");
    assert!(say(stream.as_mut(), &media).is_err());
    media.as_object_mut().unwrap().remove("streamSid");
    assert!(say(stream.as_mut(), &media).is_err());
    for (field, value) in [
        ("accountSid", json!("AC0")),
        ("callSid", json!("CA0")),
        ("mediaFormat", json!({"encoding": "audio/x-alaw", "sampleRate": 8000})),
        ("mediaFormat", json!({"encoding": "audio/x-mulaw", "sampleRate": 16000})),
        ("mediaFormat", json!({"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 2})),
    ] {
        let mut start = from["start"].clone();
        start["start"][field] = value;
        assert!(say(open().as_mut(), &start).is_err(), "{field}");
    }
}

/// What we say is what the SDK's documents say, field by field, and nothing before the start.
#[test]
fn our_messages() {
    let vectors = vectors();
    let to = &vectors["websocket"]["to_carrier"];
    let mut stream = started();
    let parsed = |out: &[u8]| serde_json::from_slice::<Value>(out).unwrap();
    let mut out = Vec::new();
    assert_eq!(stream.encode(&[0xff; 160], &mut out), MessageKind::Text);
    assert_eq!(parsed(&out), to["media"]);
    for (command, name) in
        [(StreamCommand::Mark("utt-0007"), "mark"), (StreamCommand::Clear, "clear")]
    {
        let mut out = Vec::new();
        assert_eq!(stream.command(command, &mut out), Some(MessageKind::Text));
        assert_eq!(parsed(&out), to[name]);
        let mut out = Vec::new();
        assert_eq!(open().command(command, &mut out), None);
        assert!(out.is_empty());
    }
    let mut out = Vec::new();
    assert_eq!(stream.command(StreamCommand::Dtmf('1'), &mut out), None);
    assert_eq!(stream.command(StreamCommand::Hangup, &mut out), None);
    assert!(out.is_empty());
}

proptest! {
    /// The quick look and the full parser make the same of a media message, whatever the order of
    /// its fields and however it is written.
    #[test]
    fn both_ways_agree(
        audio in proptest::collection::vec(any::<u8>(), 1..400),
        chunk in 1_u64..1_000_000,
        ms in 0_u64..100_000_000,
    ) {
        use base64::Engine;
        let payload = base64::engine::general_purpose::STANDARD.encode(&audio);
        let plain = format!(
            r#"{{"event":"media","streamSid":"{STREAM}","sequenceNumber":"7","media":{{"track":"inbound","chunk":"{chunk}","timestamp":"{ms}","payload":"{payload}"}}}}"#
        );
        // A solidus may be escaped, which the quick look leaves to the parser.
        let slow = plain.replacen("media\"", "m\\u0065dia\"", 1);
        let one = say(started().as_mut(), &Value::String(plain)).unwrap();
        let other = say(started().as_mut(), &Value::String(slow)).unwrap();
        prop_assert_eq!(&one, &other);
        prop_assert_eq!(one.1, audio);
        let event = StreamEvent::Audio { ts: Some(ms * 8), seq: Some(chunk - 1) };
        prop_assert_eq!(one.0, format!("{event:?}"));
    }
}
