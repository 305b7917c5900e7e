//! Streams.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use media::time::MonoTime;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::super::SPEC;
use super::{config, vectors};
use crate::agent::MessageKind;
use crate::config::RawConfig;
use crate::stream::{FrameSlot, Stream, StreamCommand, StreamEvent, StreamStart};
use crate::wire::WireError;

const START: &str = r#"{"event":"start","start":{"callId":"c","streamId":"s"}}"#;

fn open(config: RawConfig) -> Box<dyn Stream> {
    (SPEC.stream.unwrap())(&StreamStart { config, call: None })
}

fn decode(stream: &mut dyn Stream, text: &str) -> Result<(String, Vec<u8>), WireError> {
    let mut message = text.as_bytes().to_vec();
    let mut room = [0; 4096];
    let mut slot = FrameSlot::new(&mut room);
    let event = stream.decode(MonoTime::ZERO, MessageKind::Text, &mut message, &mut slot)?;
    Ok((format!("{event:?}"), slot.filled().to_vec()))
}

fn started(config: RawConfig) -> Box<dyn Stream> {
    let mut stream = open(config);
    decode(stream.as_mut(), &vectors()["websocket_in"][0]["frame"].to_string()).unwrap();
    stream
}

/// The carrier cuts audio that comes before it has cleared.
#[test]
fn audio_waits_for_the_clear() {
    assert!(open(config(json!({}))).clears_late());
}

/// Each bad frame is refused by name of what is wrong.
#[test]
fn bad_frames() {
    let mut seen = 0;
    for vector in vectors()["websocket_bad"].as_array().unwrap() {
        let name = vector["name"].as_str().unwrap();
        if vector["direction"] == "out" {
            continue;
        }
        let mut stream = if name == "start_without_callId" {
            open(config(json!({})))
        } else {
            started(config(json!({})))
        };
        let got = decode(stream.as_mut(), vector["text"].as_str().unwrap());
        let fits = match name {
            "not_json" => matches!(got, Err(WireError::BadJson(_))),
            "start_without_callId" => {
                matches!(got, Err(WireError::BadField { field: "start.callId", .. }))
            }
            "bad_base64" => matches!(got, Err(WireError::BadField { field: "media.payload", .. })),
            other => panic!("{other} is new"),
        };
        assert!(fits, "{name}: {got:?}");
        seen += 1;
    }
    assert_eq!(seen, 3);
    let early =
        decode(open(config(json!({}))).as_mut(), r#"{"event":"media","media":{"payload":""}}"#);
    assert!(matches!(early, Err(WireError::BadFrame(_))));
    let other = r#"{"event":"media","streamId":"x","media":{"payload":"AA=="}}"#;
    let got = decode(started(config(json!({}))).as_mut(), other);
    assert!(matches!(got, Err(WireError::BadField { field: "streamId", .. })));
}

/// What we say is what the carrier documents, and names the stream always. Keys and the end have no
/// word here.
#[test]
fn what_is_said() {
    let vectors = vectors();
    let mut early = Vec::new();
    assert_eq!(open(config(json!({}))).command(StreamCommand::Clear, &mut early), None);
    let mut seen = 0;
    for vector in vectors["websocket_out"].as_array().unwrap() {
        let (name, frame) = (vector["name"].as_str().unwrap(), &vector["frame"]);
        let more = match frame["media"]["contentType"].as_str() {
            Some("audio/x-l16") => {
                json!({"media_out": format!("L16-{}", frame["media"]["sampleRate"])})
            }
            _ => json!({}),
        };
        let mut stream = started(config(more));
        let mut out = Vec::new();
        match frame["event"].as_str().unwrap() {
            "playAudio" => {
                let payload = frame["media"]["payload"].as_str().unwrap();
                stream.encode(&STANDARD.decode(payload).unwrap(), &mut out);
            }
            "checkpoint" => {
                let mark = StreamCommand::Mark(frame["name"].as_str().unwrap());
                assert_eq!(stream.command(mark, &mut out), Some(MessageKind::Text));
            }
            "clearAudio" => {
                stream.command(StreamCommand::Clear, &mut out);
            }
            // Ends the stream with what waits at the carrier; calls are ended by a request.
            "stop" => continue,
            other => panic!("{other} is new"),
        }
        assert_eq!(&serde_json::from_slice::<Value>(&out).unwrap(), frame, "{name}");
        seen += 1;
    }
    assert!(seen >= 3);
    for command in [StreamCommand::Dtmf('1'), StreamCommand::Hangup] {
        assert_eq!(started(config(json!({}))).command(command, &mut Vec::new()), None);
    }
}

/// Directions have formats of their own; of what callers say the start decides, its order of bytes
/// the configuration.
#[test]
fn formats() {
    for (more, codecs) in [
        (json!({}), ("Pcmu", "Pcmu")),
        (json!({"media_in": "L16-16000"}), ("L16Be", "Pcmu")),
        (json!({"media_out": "L16-24000"}), ("Pcmu", "L16Le")),
        (
            json!({"media_in": "L16-8000", "l16_in_endian": "little",
            "media_out": "L16-8000", "l16_out_endian": "big"}),
            ("L16Le", "L16Be"),
        ),
    ] {
        let mut stream = open(config(more.clone()));
        let (event, _) = decode(stream.as_mut(), START).unwrap();
        let (from, to) = event.split_once("to_carrier").unwrap();
        assert!(from.contains(codecs.0) && to.contains(codecs.1), "{more} {event}");
    }
    let wide = START
        .replace(r#""s""#, r#""s","mediaFormat":{"encoding":"audio/x-l16","sampleRate":16000}"#);
    let (event, _) = decode(open(config(json!({}))).as_mut(), &wide).unwrap();
    assert!(
        event.contains("from_carrier: AudioFormat { codec: L16Be, rate_hz: 16000 }"),
        "{event}"
    );
    let odd = wide.replace("x-l16", "opus");
    assert!(matches!(
        decode(open(config(json!({}))).as_mut(), &odd),
        Err(WireError::UnknownCodec(_))
    ));
}

proptest! {
    /// The quick way and the full parser read the same; a mark comes back as it was named.
    #[test]
    fn both_ways_read_the_same(
        chunk in 1_u64..1_000_000,
        first in 0_u64..2_000_000_000_000,
        later in 0_u64..100_000_000,
        audio in proptest::collection::vec(any::<u8>(), 1..400),
        name in ".{0,40}",
    ) {
        let message = |ms: u64| json!({"event": "media", "sequenceNumber": 4, "streamId": "s",
            "media": {"track": "inbound", "chunk": chunk, "timestamp": ms.to_string(),
            "payload": STANDARD.encode(&audio)}, "extra_headers": "{}"}).to_string();
        let escaped = |text: &str| text.replacen("\"media\"", "\"\\u006dedia\"", 1);
        let expected = format!("Audio {{ ts: Some({}), seq: Some({}) }}", later * 8, chunk - 1);
        for quick in [true, false] {
            let mut stream = open(config(json!({})));
            decode(stream.as_mut(), START).unwrap();
            decode(stream.as_mut(), &message(first)).unwrap();
            let text = message(first + later);
            let text = if quick { text } else { escaped(&text) };
            let (event, got) = decode(stream.as_mut(), &text).unwrap();
            prop_assert_eq!(&event, &expected);
            prop_assert_eq!(&got, &audio);
        }
        let mut stream = open(config(json!({})));
        decode(stream.as_mut(), START).unwrap();
        let played = json!({"event": "playedStream", "name": name});
        let (event, _) = decode(stream.as_mut(), &played.to_string()).unwrap();
        prop_assert_eq!(event, format!("{:?}", StreamEvent::Mark(&name)));
    }
}
