//! The media dialect.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use media::codec::AudioFormat;
use media::time::MonoTime;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::super::SPEC;
use super::{config, linear, vectors};
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

fn start(codec: &str, rate_hz: u32) -> String {
    json!({"event": "start", "stream_id": "s", "start": {"call_control_id": "c",
        "media_format": {"encoding": codec, "sample_rate": rate_hz}}})
    .to_string()
}

/// Each message of the vectors that has to be refused is, by name of what is wrong.
#[test]
fn unusual_messages() {
    let mut seen = 0;
    for vector in vectors()["messages"].as_array().unwrap() {
        if vector["direction"] == "app_to_carrier" {
            continue;
        }
        let id = vector["id"].as_str().unwrap();
        let mut stream = open(config());
        if !id.starts_with("start") {
            let id = "32de0dea-53cb-4b21-89a4-9e1819c043bc";
            decode(stream.as_mut(), &start("PCMU", 8000).replace("\"s\"", &format!("\"{id}\"")))
                .unwrap();
        }
        let text = vector["text"].as_str().map_or(vector["json"].to_string(), str::to_owned);
        let got = decode(stream.as_mut(), &text);
        let fits = match id {
            "start_missing_ids" => field(&got) == Some("stream_id"),
            "start_unknown_codec" => matches!(got, Err(WireError::UnknownCodec(_))),
            "media_bad_base64" => field(&got) == Some("media.payload"),
            "media_wrong_stream_id" => field(&got) == Some("stream_id"),
            "not_json" => matches!(got, Err(WireError::BadJson(_))),
            "binary_frame" => {
                let (mut room, mut bytes) = ([0; 160], [0xff; 160]);
                let mut slot = FrameSlot::new(&mut room);
                let kind = MessageKind::Binary;
                let event = stream.decode(MonoTime::ZERO, kind, &mut bytes, &mut slot);
                matches!(event, Err(WireError::BadFrame(_)))
            }
            _ => got.is_ok(),
        };
        assert!(fits, "{id}: {got:?}");
        seen += 1;
    }
    assert!(seen > 15, "{seen}");
    let mut stream = open(config());
    decode(stream.as_mut(), &start("PCMU", 8000)).unwrap();
    assert_eq!(field(&decode(stream.as_mut(), &start("PCMU", 8000))), Some("event"));
    let mut stream = open(config());
    let early = r#"{"event":"media","media":{"payload":"AA=="}}"#;
    assert!(matches!(decode(stream.as_mut(), early), Err(WireError::BadFrame(_))));
}

fn field<T>(result: &Result<T, WireError>) -> Option<&'static str> {
    match result {
        Err(WireError::BadField { field, .. }) => Some(field),
        _ => None,
    }
}

/// Each direction has its codec: what comes as the leg has it, what goes as it is configured.
#[test]
fn directions_have_their_own_codecs() {
    for (codec, rate, format) in [
        ("PCMU", 8000, AudioFormat::PCMU),
        ("PCMA", 8000, AudioFormat::PCMA),
        ("G722", 8000, AudioFormat::G722),
        ("L16", 16_000, AudioFormat::l16be(16_000)),
        ("L16", 24_000, AudioFormat::l16be(24_000)),
    ] {
        for (config, out) in [(config(), AudioFormat::PCMU), (linear(), AudioFormat::l16be(16_000))]
        {
            let mut stream = open(config);
            let mut message = start(codec, rate).into_bytes();
            let mut slot = FrameSlot::new(&mut []);
            let event =
                stream.decode(MonoTime::ZERO, MessageKind::Text, &mut message, &mut slot).unwrap();
            let StreamEvent::Started { from_carrier, to_carrier, .. } = event else { panic!() };
            assert_eq!((from_carrier, to_carrier), (format, out), "{codec}");
        }
    }
}

/// Linear audio comes and goes big-endian, whichever order the carrier turns out to have.
#[test]
fn linear_audio_is_big_endian_here() {
    let l16 = vectors()["l16"].clone();
    let big = STANDARD.decode(l16["l16_16k_big_endian"].as_str().unwrap()).unwrap();
    for order in ["l16_16k_big_endian", "l16_16k_little_endian"] {
        let payload = l16[order].as_str().unwrap();
        let mut stream = open(linear());
        decode(stream.as_mut(), &start("L16", 16_000)).unwrap();
        let text = json!({"event": "media", "stream_id": "s",
            "media": {"track": "inbound", "chunk": "1", "timestamp": "0", "payload": payload}});
        let (_, audio) = decode(stream.as_mut(), &text.to_string()).unwrap();
        assert!(audio == big, "{order}");
        let mut out = Vec::new();
        stream.encode(&big, &mut out);
        let said: Value = serde_json::from_slice(&out).unwrap();
        assert_eq!(said["media"]["payload"], payload, "{order}");
    }
    let mut stream = open(linear());
    decode(stream.as_mut(), &start("L16", 16_000)).unwrap();
    let odd = r#"{"event":"media","media":{"payload":"AAAA"}}"#;
    assert_eq!(decode(stream.as_mut(), odd), Err(WireError::BadFrame("not whole samples")));
}

/// What we say is what the carrier's documents show.
#[test]
fn what_is_said() {
    let vectors = vectors();
    let find = |id: &str| {
        let all = vectors["messages"].as_array().unwrap();
        all.iter().find(|message| message["id"] == id).unwrap()["json"].clone()
    };
    let mut stream = open(config());
    let mut said = |command| {
        let mut out = Vec::new();
        stream.command(command, &mut out).map(|_| serde_json::from_slice::<Value>(&out).unwrap())
    };
    assert_eq!(said(StreamCommand::Clear), Some(find("clear")));
    assert_eq!(said(StreamCommand::Mark("utt-7")), Some(find("mark_out")));
    assert_eq!((said(StreamCommand::Dtmf('1')), said(StreamCommand::Hangup)), (None, None));
    let out = find("media_out");
    let audio = STANDARD.decode(out["media"]["payload"].as_str().unwrap()).unwrap();
    let mut text = Vec::new();
    stream.encode(&audio, &mut text);
    assert_eq!(serde_json::from_slice::<Value>(&text).unwrap(), out);
}

proptest! {
    /// The quick way and the full parser read the same, whatever the blanks and the types of
    /// numbers; a mark comes back as it was named.
    #[test]
    fn both_ways_read_the_same(
        chunk in 1_u64..1_000_000,
        ms in 0_u64..100_000_000,
        audio in proptest::collection::vec(any::<u8>(), 1..400),
        bare in any::<bool>(),
        name in ".{0,40}",
    ) {
        let number = |n: u64| if bare { json!(n) } else { json!(n.to_string()) };
        let message = json!({"event": "media", "sequence_number": "4", "stream_id": "s",
            "media": {"track": "inbound", "chunk": number(chunk), "timestamp": number(ms),
            "payload": STANDARD.encode(&audio)}});
        let quick = message.to_string();
        // An escape leaves the message to the full parser.
        let full = quick.replacen("\"media\"", "\"\\u006dedia\"", 1);
        let pretty = serde_json::to_string_pretty(&message).unwrap();
        let expected = format!("Audio {{ ts: Some({}), seq: Some({}) }}", ms * 8, chunk - 1);
        for text in [quick, full, pretty] {
            let mut stream = open(config());
            decode(stream.as_mut(), &start("PCMU", 8000)).unwrap();
            let (event, got) = decode(stream.as_mut(), &text).unwrap();
            prop_assert_eq!(&event, &expected);
            prop_assert_eq!(&got, &audio);
        }
        let mut stream = open(config());
        let mut out = Vec::new();
        stream.command(StreamCommand::Mark(&name), &mut out);
        let (event, _) = decode(stream.as_mut(), &String::from_utf8(out).unwrap()).unwrap();
        prop_assert_eq!(event, format!("{:?}", StreamEvent::Mark(&name)));
    }
}
