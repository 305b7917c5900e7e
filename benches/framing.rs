//! What a WebSocket message costs without the kernel: framing alone, and with the dialect whose
//! audio is base64 in JSON. One frame of 20 ms each.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "bench")]

use std::hint::black_box;

use adapters::agent::{
    AgentEvent, AgentFrame, AgentInput, CallState, Dialect, Direction, Framing, MessageKind,
    Outbox, StreamFormat, StreamInfo,
};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use media::codec::AudioFormat;
use talkpath::agent::wire::mux::{Batch, Frames};
use talkpath::bridge::framing::{
    Input, MAX_HEADER_BYTES, Message, Opcode, Reader, Role, append_frame, seal,
};
use talkpath::bridge::mask::{MaskKeys, mask_in_place};

/// 20 ms of µ-law.
const AUDIO: [u8; 160] = [0x5a; 160];

struct Discard(Vec<u8>);

impl Outbox for Discard {
    fn message(&mut self, _kind: MessageKind, bytes: &[u8]) {
        self.0 = bytes.to_vec();
    }
}

fn dialect() -> (Box<dyn Dialect>, String) {
    let format = StreamFormat { audio: AudioFormat::PCMU, ptime_ms: 20 };
    let info = StreamInfo {
        call_id: "019337a1-5c3e-7d4b-9f00-0123456789ab".to_owned(),
        stream: 1,
        direction: Direction::Inbound,
        from: "+15557654321".to_owned(),
        to: "+15551234567".to_owned(),
        provider: "sip_trunk".to_owned(),
        trunk: None,
        state: CallState::Answered,
        to_agent: format,
        from_agent: format,
        framing: Framing::Raw,
        variables: Vec::new(),
        headers: Vec::new(),
        resumed: false,
        features: Vec::new(),
    };
    let spec = adapters::dialect::find("twilio").unwrap();
    let mut dialect = (spec.open)(&info);
    let mut start = Discard(Vec::new());
    dialect.event(&AgentEvent::Start(&info), &mut start);
    let start: serde_json::Value = serde_json::from_slice(&start.0).unwrap();
    (dialect, start["streamSid"].as_str().unwrap().to_owned())
}

fn framing(c: &mut Criterion) {
    let mut group = c.benchmark_group("framing");
    for len in [172usize, 332, 65_536] {
        let mut frame = Vec::new();
        let key = [1, 2, 3, 4];
        append_frame(&mut frame, Opcode::Binary, &vec![0x5a; len], Some(key));
        group.throughput(Throughput::Bytes(len as u64));
        // Unmasking leaves the key in place, so reading again masks again: the work is the same.
        group.bench_function(format!("read_masked_{len}"), |b| {
            let mut reader = Reader::new(Role::Server);
            b.iter(|| {
                let mut input = Input::new(black_box(&mut frame));
                while let Some(message) = reader.next(&mut input).unwrap() {
                    black_box(&message);
                }
            });
        });
        let mut keys = MaskKeys::new([1; 32]);
        let mut buffer = vec![0; MAX_HEADER_BYTES + len];
        group.bench_function(format!("write_masked_{len}"), |b| {
            b.iter(|| {
                black_box(seal(black_box(&mut buffer), Opcode::Binary, Some(keys.next_key())));
            });
        });
        group.bench_function(format!("mask_{len}"), |b| {
            b.iter(|| mask_in_place(black_box(&mut buffer), key, 0));
        });
    }
    group.finish();
}

fn base64_dialect(c: &mut Criterion) {
    let mut group = c.benchmark_group("dialect");
    let (mut dialect, sid) = dialect();
    let mut text = Vec::new();
    let mut frame = AgentFrame { seq: 0, ts: 0, marker: false, payload: &AUDIO };
    let mut sent = vec![0; MAX_HEADER_BYTES];
    dialect.audio(&frame, &mut text);
    let payload: serde_json::Value = serde_json::from_slice(&text).unwrap();
    let payload = payload["media"]["payload"].as_str().unwrap().to_owned();
    let message =
        format!(r#"{{"event":"media","streamSid":"{sid}","media":{{"payload":"{payload}"}}}}"#);
    group.bench_function("audio", |b| {
        b.iter(|| {
            text.clear();
            black_box(dialect.audio(black_box(&frame), &mut text));
        });
    });
    group.bench_function("read", |b| {
        let mut scratch = message.clone().into_bytes();
        b.iter(|| {
            scratch.copy_from_slice(message.as_bytes());
            black_box(dialect.read(MessageKind::Text, &mut scratch).unwrap());
        });
    });
    let mut received = Vec::new();
    append_frame(&mut received, Opcode::Text, message.as_bytes(), None);
    // All that one message in and one message out cost besides the kernel, on a socket we dialled.
    group.bench_function("round_trip", |b| {
        let mut reader = Reader::new(Role::Client);
        let mut keys = MaskKeys::new([1; 32]);
        let mut scratch = received.clone();
        b.iter(|| {
            scratch.copy_from_slice(&received);
            let mut input = Input::new(&mut scratch);
            while let Some(message) = reader.next(&mut input).unwrap() {
                let Message::Data(kind, bytes) = message else { panic!() };
                let AgentInput::Audio(payload) = dialect.read(kind, bytes).unwrap() else {
                    panic!()
                };
                frame.seq = frame.seq.wrapping_add(1);
                frame.ts = frame.ts.wrapping_add(160);
                sent.truncate(MAX_HEADER_BYTES);
                dialect.audio(&AgentFrame { payload, ..frame }, &mut sent);
                black_box(seal(&mut sent, Opcode::Text, Some(keys.next_key())));
            }
        });
    });
    group.finish();
}

/// A message of a link: ten frames of as many streams, gathered and taken apart.
fn link(c: &mut Criterion) {
    let mut group = c.benchmark_group("link");
    let packets: Vec<Vec<u8>> = (0..10u8)
        .map(|stream| [&[0x80, 0, 0, 1, 0, 0, 0, 160, 0, 0, 0, stream][..], &AUDIO].concat())
        .collect();
    let (mut batch, mut keys) = (Batch::new(true), MaskKeys::new([1; 32]));
    group.throughput(Throughput::Elements(packets.len() as u64));
    group.bench_function("gather_10", |b| {
        b.iter(|| {
            for packet in black_box(&packets) {
                batch.frame(&mut keys, packet);
            }
            black_box(batch.finish(&mut keys));
            batch.clear()
        });
    });
    let mut message = Vec::new();
    for packet in &packets {
        assert!(talkpath::agent::wire::mux::append(&mut message, packet));
    }
    group.bench_function("take_apart_10", |b| {
        b.iter(|| {
            Frames::new(black_box(&mut message)).unwrap().map(|(stream, _)| stream).sum::<u32>()
        });
    });
    group.finish();
}

criterion_group!(benches, framing, base64_dialect, link);
criterion_main!(benches);
