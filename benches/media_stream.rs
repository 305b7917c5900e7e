//! What a carrier's media message costs, in and out, beside the floor in the same run: finding the
//! payload, base64, and conversion to linear audio and back. One frame of 20 ms each.
//!
//! Every provider whose entry has a stream is measured, by the messages of its fixtures.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "bench")]

use std::hint::black_box;
use std::path::Path;

use adapters::agent::MessageKind;
use adapters::config::RawConfig;
use adapters::spec::ProviderSpec;
use adapters::stream::{FrameSlot, Stream, StreamEvent, StreamStart};
use adapters::table::PROVIDERS;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use media::codec::AudioFormat;
use media::convert::Converter;
use media::time::MonoTime;
use serde_json::Value;

/// Room of a slot, in bytes.
const ROOM_BYTES: usize = 4_096;
/// A media message of the usual form, around its payload.
const ENVELOPE: [&str; 2] = [
    concat!(
        r#"{"event":"media","sequenceNumber":"4","media":{"track":"inbound","#,
        r#""chunk":"2","timestamp":"40","payload":""#
    ),
    r#""},"streamSid":"MZ18ad3ab5a668481ce02b83e7395059f0"}"#,
];

/// A stream that has started, its format, and a message of 20 ms of the carrier's audio.
fn started(spec: &ProviderSpec) -> Option<(Box<dyn Stream>, AudioFormat, MessageKind, Vec<u8>)> {
    let open = spec.stream?;
    let mut stream = open(&StreamStart { config: RawConfig::default(), call: None });
    let fixtures = Path::new("adapters/src").join(spec.name).join("fixtures/stream_call.json");
    let fixture: Value = serde_json::from_slice(&std::fs::read(fixtures).unwrap()).unwrap();
    let mut room = [0; ROOM_BYTES];
    let mut audio = None;
    for message in fixture["messages"].as_array().unwrap() {
        let Some(text) = message["text"].as_str() else { break };
        let mut bytes = text.as_bytes().to_vec();
        let mut slot = FrameSlot::new(&mut room);
        let event = stream.decode(MonoTime::ZERO, MessageKind::Text, &mut bytes, &mut slot);
        if let Ok(StreamEvent::Started { to_carrier, .. }) = event {
            audio = Some(to_carrier);
            break;
        }
    }
    let audio = audio.unwrap();
    let mut message = Vec::new();
    let kind = stream.encode(&vec![0x5a; audio.bytes(20)], &mut message);
    if kind == MessageKind::Text {
        let mut text = String::from_utf8(message).unwrap();
        for pair in fixture["echo"].as_array().unwrap() {
            text = text.replace(pair[0].as_str().unwrap(), pair[1].as_str().unwrap());
        }
        message = text.into_bytes();
    }
    Some((stream, audio, kind, message))
}

/// Linear audio and back, as an agent that speaks it needs.
struct Linear {
    decode: Converter,
    encode: Converter,
    samples: Vec<u8>,
    coded: Vec<u8>,
}

impl Linear {
    fn new(audio: AudioFormat) -> Self {
        let linear = AudioFormat::l16le(audio.rate_hz);
        let (decode, encode) = (Converter::new(audio, linear), Converter::new(linear, audio));
        Self { decode, encode, samples: vec![0; 8_192], coded: vec![0; 8_192] }
    }

    fn round(&mut self, audio: &[u8]) -> &[u8] {
        let length = self.decode.convert(audio, &mut self.samples);
        let length = self.encode.convert(&self.samples[..length], &mut self.coded);
        &self.coded[..length]
    }
}

fn floor(c: &mut Criterion) {
    let mut group = c.benchmark_group("media_stream");
    group.throughput(Throughput::Elements(1));
    let message = [ENVELOPE[0], &STANDARD.encode([0x5a; 160]), ENVELOPE[1]].concat().into_bytes();
    let mut linear = Linear::new(AudioFormat::PCMU);
    let (mut work, mut room) = (message.clone(), [0; ROOM_BYTES]);
    let mut out = String::with_capacity(ROOM_BYTES);
    group.bench_function("floor", |b| {
        b.iter(|| {
            work.copy_from_slice(&message);
            let text = str::from_utf8(&work).unwrap();
            let wanted = r#""payload":""#;
            let payload = &text[text.find(wanted).unwrap() + wanted.len()..];
            let end = payload.find('"').unwrap();
            let length = STANDARD.decode_slice(&payload[..end], &mut room).unwrap();
            let coded = linear.round(&room[..length]);
            out.clear();
            out.push_str(ENVELOPE[0]);
            STANDARD.encode_string(coded, &mut out);
            out.push_str(ENVELOPE[1]);
            black_box(out.len())
        });
    });
    group.finish();
}

fn carriers(c: &mut Criterion) {
    let mut group = c.benchmark_group("media_stream");
    group.throughput(Throughput::Elements(1));
    for spec in PROVIDERS {
        let Some((mut stream, audio, kind, message)) = started(spec) else { continue };
        let mut linear = Linear::new(audio);
        let (mut work, mut room) = (message.clone(), [0; ROOM_BYTES]);
        let mut out = Vec::with_capacity(ROOM_BYTES);
        group.bench_function(spec.name, |b| {
            b.iter(|| {
                work.copy_from_slice(&message);
                let mut slot = FrameSlot::new(&mut room);
                let event = stream.decode(MonoTime::ZERO, kind, &mut work, &mut slot).unwrap();
                assert!(matches!(event, StreamEvent::Audio { .. }));
                let coded = linear.round(slot.filled());
                out.clear();
                stream.encode(coded, &mut out);
                black_box(out.len())
            });
        });
    }
    group.finish();
}

criterion_group!(benches, floor, carriers);
criterion_main!(benches);
