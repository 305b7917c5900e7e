//! The media stream.

use media::time::MonoTime;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::super::stream;
use super::{SESSION, config, vectors};
use crate::agent::MessageKind;
use crate::event::CarrierCallId;
use crate::stream::{FrameSlot, Stream, StreamCommand, StreamStart};
use crate::wire::WireError;

fn open(call: Option<&str>, more: Value) -> Box<dyn Stream> {
    let call = call.map(|call| CarrierCallId(call.to_owned()));
    stream::open(&StreamStart { config: config(more), call })
}

fn say(stream: &mut dyn Stream, message: &Value) -> Result<(String, Vec<u8>), WireError> {
    let mut text = message.to_string().into_bytes();
    let mut room = [0; 4096];
    let mut slot = FrameSlot::new(&mut room);
    let event = stream.decode(MonoTime::ZERO, MessageKind::Text, &mut text, &mut slot)?;
    let event = format!("{event:?}");
    Ok((event, slot.filled().to_vec()))
}

/// How streams begin: as the vectors say, with and without a call that is known already.
#[test]
fn streams_begin() {
    let vectors = vectors();
    let from = &vectors["websocket"]["from_carrier"];
    for case in vectors["websocket"]["handshake_cases"].as_array().unwrap() {
        let (id, expect) = (case["id"].as_str().unwrap(), case["expect"].as_str().unwrap());
        let begin = |call: Option<&str>| {
            let mut stream = open(call, json!({}));
            let frames = case["frames"].as_array().unwrap().iter();
            frames
                .map(|frame| {
                    let frame = frame.as_str().map_or(frame, |name| &from[name]);
                    say(stream.as_mut(), frame)
                })
                .collect::<Result<Vec<_>, _>>()
        };
        let known = begin(Some(SESSION));
        match id {
            "idle-socket" => assert!(known.unwrap().is_empty(), "the line closes what is silent"),
            "session-missing" => {
                assert!(known.unwrap()[1].0.contains("call: None"), "the token has told it");
                assert!(begin(None).is_err(), "{expect}");
            }
            _ => assert_eq!(
                known.is_ok(),
                expect.starts_with("open") || expect.starts_with("accept"),
                "{id}"
            ),
        }
        assert!(begin(Some("another")).is_err() || matches!(id, "session-missing" | "idle-socket"));
    }
    for name in [
        "start_short_domain",
        "start_outbound",
        "start_streamSid_only_top_level",
        "start_streamSid_only_nested",
    ] {
        let begun = say(open(Some(SESSION), json!({})).as_mut(), &from[name]).unwrap();
        assert!(begun.0.contains(SESSION) && begun.0.contains("cxstream-0001"), "{name}");
    }
    let mut uuid = from["start"].clone();
    uuid["start"]["accountSid"] = json!("11111111-2222-4333-8444-555555555555");
    assert!(say(open(None, json!({})).as_mut(), &uuid).is_ok());
}

/// What is of another stream, of another format, or comes before the start, is not heard; what
/// names no stream is, once it has begun.
#[test]
fn only_this_stream_is_heard() {
    let vectors = vectors();
    let from = &vectors["websocket"]["from_carrier"];
    assert!(say(open(None, json!({})).as_mut(), &from["media_minimal"]).is_err());
    let mut stream = open(None, json!({}));
    say(stream.as_mut(), &from["start"]).unwrap();
    assert_eq!(say(stream.as_mut(), &from["media_minimal"]).unwrap().1.len(), 160);
    let mut other = from["media"].clone();
    other["streamSid"] = json!("cxstream-0002");
    assert!(say(stream.as_mut(), &other).is_err());
    for (field, value) in [
        ("mediaFormat", json!({"encoding": "audio/x-alaw", "sampleRate": 8000})),
        ("mediaFormat", json!({"encoding": "audio/x-mulaw", "sampleRate": 16000})),
        ("accountSid", json!("evil-acme.cloudonix.net")),
    ] {
        let mut start = from["start"].clone();
        start["start"][field] = value;
        assert!(say(open(None, json!({})).as_mut(), &start).is_err(), "{field}");
    }
}

/// What we say is what the carrier's own serialiser says. Marks are asked for only where the
/// carrier is known to tell them.
#[test]
fn our_messages() {
    let vectors = vectors();
    let (from, to) = (&vectors["websocket"]["from_carrier"], &vectors["websocket"]["to_carrier"]);
    let parsed = |out: &[u8]| serde_json::from_slice::<Value>(out).unwrap();
    for marks in ["estimate", "carrier"] {
        let mut stream = open(None, json!({"marks": marks}));
        say(stream.as_mut(), &from["start"]).unwrap();
        let mut out = Vec::new();
        assert_eq!(stream.encode(&[0xff; 160], &mut out), MessageKind::Text);
        assert_eq!(parsed(&out), to["media"]);
        let mut out = Vec::new();
        assert_eq!(stream.command(StreamCommand::Clear, &mut out), Some(MessageKind::Text));
        assert_eq!(parsed(&out), to["clear"]);
        let mut out = Vec::new();
        let asked = stream.command(StreamCommand::Mark("utt-0007"), &mut out);
        assert_eq!(asked.is_some(), marks == "carrier");
        assert!(out.is_empty() || parsed(&out) == to["mark"]);
        let mut out = Vec::new();
        assert_eq!(stream.command(StreamCommand::Dtmf('1'), &mut out), None);
        assert_eq!(stream.command(StreamCommand::Hangup, &mut out), None);
        assert!(out.is_empty());
    }
}

proptest! {
    /// Media messages with whatever of the numbers is there: the audio is the same, and numbers are
    /// told only where they are.
    #[test]
    fn numbers_may_be_missing(
        audio in proptest::collection::vec(any::<u8>(), 1..400),
        chunk in proptest::option::of(1_u64..1_000_000),
        ms in proptest::option::of(0_u64..100_000_000),
        named in any::<bool>(),
    ) {
        use base64::Engine;
        let mut stream = open(None, json!({}));
        say(stream.as_mut(), &vectors()["websocket"]["from_carrier"]["start"]).unwrap();
        let payload = base64::engine::general_purpose::STANDARD.encode(&audio);
        let mut message = json!({"event": "media", "media": {"payload": payload}});
        if let Some(chunk) = chunk {
            message["media"]["chunk"] = chunk.to_string().into();
        }
        if let Some(ms) = ms {
            message["media"]["timestamp"] = ms.into();
        }
        if named {
            message["streamSid"] = "cxstream-0001".into();
        }
        let (event, heard) = say(stream.as_mut(), &message).unwrap();
        prop_assert_eq!(heard, audio);
        let expected = crate::stream::StreamEvent::Audio {
            ts: ms.map(|ms| ms * 8),
            seq: chunk.map(|chunk| chunk - 1),
        };
        prop_assert_eq!(event, format!("{expected:?}"));
    }
}
