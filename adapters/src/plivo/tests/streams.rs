//! The media dialect.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use media::codec::AudioFormat;
use media::time::MonoTime;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::super::SPEC;
use super::{config, config_with, vectors};
use crate::agent::MessageKind;
use crate::config::RawConfig;
use crate::stream::{FrameSlot, Stream, StreamCommand, StreamEvent, StreamStart};
use crate::wire::WireError;

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

fn field<T>(result: &Result<T, WireError>) -> Option<&'static str> {
    match result {
        Err(WireError::BadField { field, .. }) => Some(field),
        _ => None,
    }
}

const START: &str = r#"{"event":"start","start":{"callId":"c","streamId":"s"}}"#;

/// Each bad frame is refused by name of what is wrong.
#[test]
fn bad_frames() {
    let vectors = vectors();
    let mut seen = 0;
    for vector in vectors["frames_bad"].as_array().unwrap() {
        let name = vector["name"].as_str().unwrap();
        let linear = name == "odd_length_l16";
        let mut stream = open(config_with(|given| {
            if linear {
                given.insert("media_codec".to_owned(), json!("L16"));
            }
        }));
        if !matches!(name, "media_before_start" | "start_without_streamId") {
            let id = "b77e037d-4119-44b5-902d-25826b654539";
            decode(stream.as_mut(), &START.replace("\"s\"", &format!("\"{id}\""))).unwrap();
        }
        let got = decode(stream.as_mut(), vector["text"].as_str().unwrap_or("\u{1}"));
        let fits = match name {
            "not_json" | "binary" => matches!(got, Err(WireError::BadJson(_))),
            "media_before_start" | "odd_length_l16" => matches!(got, Err(WireError::BadFrame(_))),
            "start_without_streamId" => field(&got) == Some("start.streamId"),
            "bad_base64" => field(&got) == Some("media.payload"),
            "second_start" => field(&got) == Some("event"),
            other => panic!("{other} is new"),
        };
        assert!(fits, "{name}: {got:?}");
        seen += 1;
    }
    assert_eq!(seen, 7);
    let mut stream = open(config());
    let (mut room, mut bytes) = ([0; 160], [0xff; 160]);
    let mut slot = FrameSlot::new(&mut room);
    let binary = stream.decode(MonoTime::ZERO, MessageKind::Binary, &mut bytes, &mut slot);
    assert!(matches!(binary, Err(WireError::BadFrame(_))));
    decode(stream.as_mut(), START).unwrap();
    let other = r#"{"event":"media","streamId":"x","media":{"payload":"AA=="}}"#;
    assert_eq!(field(&decode(stream.as_mut(), other)), Some("streamId"));
    let outbound = r#"{"event":"media","media":{"track":"outbound","payload":"AA=="}}"#;
    assert_eq!(decode(stream.as_mut(), outbound).unwrap().0, "Nothing");
    let codec = r#"{"event":"start","start":{"callId":"c","streamId":"s",
        "mediaFormat":{"encoding":"audio/opus","sampleRate":48000}}}"#;
    let unknown = decode(open(config()).as_mut(), codec);
    assert!(matches!(unknown, Err(WireError::UnknownCodec(_))));
}

/// What we say is what the carrier's own client says, in the format that the start told.
#[test]
fn what_is_said() {
    let vectors = vectors();
    let frame = |name: &str| {
        let all = vectors["frames_out"].as_array().unwrap();
        all.iter().find(|frame| frame["name"] == name).unwrap()["frame"].clone()
    };
    let mut stream = open(config());
    let mut early = Vec::new();
    assert_eq!(stream.command(StreamCommand::Clear, &mut early), None);
    let id = "b77e037d-4119-44b5-902d-25826b654539";
    decode(stream.as_mut(), &START.replace("\"s\"", &format!("\"{id}\""))).unwrap();
    let mut said = |command| {
        let mut out = Vec::new();
        stream.command(command, &mut out).map(|_| serde_json::from_slice::<Value>(&out).unwrap())
    };
    assert_eq!(said(StreamCommand::Clear), Some(frame("clearAudio")));
    assert_eq!(said(StreamCommand::Mark("utt-1")), Some(frame("checkpoint")));
    let digit = json!({"event": "sendDTMF", "dtmf": "#"});
    assert_eq!(said(StreamCommand::Dtmf('#')), Some(digit));
    assert_eq!(said(StreamCommand::Hangup), None);
    for (name, start) in [("playAudio_mulaw", None), ("playAudio_l16_16k", Some("start_l16"))] {
        let mut stream = open(config());
        let start = start.map_or(START.to_owned(), |start| vectors[start].to_string());
        decode(stream.as_mut(), &start).unwrap();
        let expected = frame(name);
        let audio = STANDARD.decode(expected["media"]["payload"].as_str().unwrap()).unwrap();
        let mut out = Vec::new();
        stream.encode(&audio, &mut out);
        assert_eq!(serde_json::from_slice::<Value>(&out).unwrap(), expected, "{name}");
    }
}

/// Linear audio has the order of bytes that is configured, and the rate that the start tells.
#[test]
fn linear_audio() {
    for (order, format) in [("little", AudioFormat::l16le(8000)), ("big", AudioFormat::l16be(8000))]
    {
        let config = config_with(|given| {
            given.insert("media_codec".to_owned(), json!("L16"));
            given.insert("l16_byte_order".to_owned(), json!(order));
        });
        let mut stream = open(config);
        let mut start = vectors()["start_l16"].clone();
        start["start"]["mediaFormat"]["sampleRate"] = json!(8000);
        let mut message = start.to_string().into_bytes();
        let mut slot = FrameSlot::new(&mut []);
        let event =
            stream.decode(MonoTime::ZERO, MessageKind::Text, &mut message, &mut slot).unwrap();
        let StreamEvent::Started { from_carrier, to_carrier, .. } = event else { panic!() };
        assert_eq!((from_carrier, to_carrier), (format, format));
        let media = vectors()["media_l16"].to_string();
        assert_eq!(decode(stream.as_mut(), &media).unwrap().1.len(), 320);
    }
}

proptest! {
    /// The quick way and the full parser read the same; a mark comes back as it was named; times
    /// count from the first frame.
    #[test]
    fn both_ways_read_the_same(
        chunk in 1_u64..1_000_000,
        first in 0_u64..2_000_000_000_000,
        later in 0_u64..100_000_000,
        audio in proptest::collection::vec(any::<u8>(), 1..400),
        bare in any::<bool>(),
        name in ".{0,40}",
    ) {
        let number = |n: u64| if bare { json!(n) } else { json!(n.to_string()) };
        let message = |ms: u64| json!({"event": "media", "sequenceNumber": 4, "streamId": "s",
            "media": {"track": "inbound", "chunk": number(chunk), "timestamp": number(ms),
            "payload": STANDARD.encode(&audio)}, "extra_headers": "{}"}).to_string();
        let escaped = |text: &str| text.replacen("\"media\"", "\"\\u006dedia\"", 1);
        let expected = format!("Audio {{ ts: Some({}), seq: Some({}) }}", later * 8, chunk - 1);
        for quick in [true, false] {
            let mut stream = open(config());
            decode(stream.as_mut(), START).unwrap();
            decode(stream.as_mut(), &message(first)).unwrap();
            let text = message(first + later);
            let text = if quick { text } else { escaped(&text) };
            let (event, got) = decode(stream.as_mut(), &text).unwrap();
            prop_assert_eq!(&event, &expected);
            prop_assert_eq!(&got, &audio);
        }
        let mut stream = open(config());
        decode(stream.as_mut(), START).unwrap();
        let played = json!({"event": "playedStream", "streamId": "s", "name": name});
        let (event, _) = decode(stream.as_mut(), &played.to_string()).unwrap();
        prop_assert_eq!(event, format!("{:?}", StreamEvent::Mark(&name)));
    }
}
