//! What a carrier's media message costs, in and out: one frame of 20 ms, from the message to linear
//! audio and from linear audio to the message. Each provider's stream stands beside a floor of its
//! own in the same run: find the payload by its name, decode, convert, convert back, encode into a
//! template, without a look at anything else, by the fastest crates there are.
//!
//! `cargo bench --bench media_stream` prints a table; every provider whose entry has a stream is
//! measured, by the messages of its fixtures. Contenders take turns in short rounds, and ratios are
//! medians of rounds, so that a disturbance hits both.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "bench")]

use std::hint::black_box;
use std::path::Path;
use std::time::Instant;

use adapters::agent::MessageKind;
use adapters::config::RawConfig;
use adapters::spec::ProviderSpec;
use adapters::stream::{FrameSlot, Stream, StreamEvent, StreamStart};
use adapters::table::PROVIDERS;
use base64_simd::{Out, STANDARD};
use media::codec::AudioFormat;
use media::convert::Converter;
use media::time::MonoTime;
use memchr::{memchr, memmem};
use serde_json::Value;

/// Room for a message or a frame, in bytes.
const ROOM_BYTES: usize = 8_192;
/// Milliseconds of a frame.
const PTIME_MS: u32 = 20;
/// Rounds, and what each contender does in one.
const ROUNDS: usize = 201;
const FRAMES_PER_ROUND: usize = 500;
/// The most that a stream may cost, in floors.
const BAR: f64 = 1.3;

/// A message of 20 ms and how it is read and written.
struct Case {
    name: &'static str,
    audio: AudioFormat,
    stream: Box<dyn Stream>,
    kind: MessageKind,
    /// As the carrier sends it.
    message: Vec<u8>,
    /// Around the payload of a message of ours; empty where the message is the audio.
    template: [Vec<u8>; 2],
}

impl Case {
    /// The stream of a provider, started, if it has one.
    fn of(spec: &'static ProviderSpec) -> Option<Self> {
        let open = spec.stream?;
        let mut stream = open(&StreamStart { config: RawConfig::default(), call: None });
        let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("adapters/src").join(spec.name);
        let fixture = std::fs::read(fixtures.join("fixtures/stream_call.json")).unwrap();
        let fixture: Value = serde_json::from_slice(&fixture).unwrap();
        let messages = fixture["messages"].as_array().unwrap().iter();
        let mut texts = messages.filter_map(|message| message["text"].as_str());
        let audio = texts.find_map(|text| {
            let (mut bytes, mut room) = (text.as_bytes().to_vec(), [0; ROOM_BYTES]);
            let mut slot = FrameSlot::new(&mut room);
            match stream.decode(MonoTime::ZERO, MessageKind::Text, &mut bytes, &mut slot) {
                Ok(StreamEvent::Started { to_carrier, .. }) => Some(to_carrier),
                _ => None,
            }
        });
        let audio = audio.unwrap();
        let frame = vec![0x5a; audio.bytes(PTIME_MS)];
        let mut ours = Vec::new();
        let kind = stream.encode(&frame, &mut ours);
        if kind == MessageKind::Binary {
            let template = [Vec::new(), Vec::new()];
            return Some(Self { name: spec.name, audio, stream, kind, message: ours, template });
        }
        let payload = STANDARD.encode_to_string(&frame);
        let text = String::from_utf8(ours).unwrap();
        let (head, tail) = text.split_once(&payload).unwrap();
        let template = [head, tail].map(|part| part.as_bytes().to_vec());
        let message = message(&fixture, &payload).unwrap();
        Some(Self { name: spec.name, audio, stream, kind, message, template })
    }
}

/// The fixture's media message with 20 ms of audio in it.
fn message(fixture: &Value, payload: &str) -> Option<Vec<u8>> {
    let messages = fixture["messages"].as_array()?.iter();
    let mut texts = messages.filter(|message| message["audio"] != "").filter_map(|message| {
        let text = message["text"].as_str()?;
        let (head, rest) = text.split_once(r#""payload":""#)?;
        let (_, tail) = rest.split_once('"')?;
        Some(format!(r#"{head}"payload":"{payload}"{tail}"#).into_bytes())
    });
    texts.next()
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
        Self { decode, encode, samples: vec![0; ROOM_BYTES], coded: vec![0; ROOM_BYTES] }
    }

    fn round(&mut self, audio: &[u8]) -> &[u8] {
        let length = self.decode.convert(audio, &mut self.samples);
        let length = self.encode.convert(&self.samples[..length], &mut self.coded);
        &self.coded[..length]
    }
}

/// The floor's way from a message to a message.
struct Floor {
    find: memmem::Finder<'static>,
    linear: Linear,
    frame: Vec<u8>,
}

impl Floor {
    fn new(audio: AudioFormat) -> Self {
        let find = memmem::Finder::new(r#""payload":""#);
        Self { find, linear: Linear::new(audio), frame: vec![0; ROOM_BYTES] }
    }

    fn decode(&mut self, case: &Case) -> usize {
        let message = case.message.as_slice();
        if case.kind == MessageKind::Binary {
            self.frame[..message.len()].copy_from_slice(message);
            return message.len();
        }
        let start = self.find.find(message).unwrap() + self.find.needle().len();
        let end = start + memchr(b'"', &message[start..]).unwrap();
        let room = Out::from_slice(self.frame.as_mut_slice());
        STANDARD.decode(&message[start..end], room).unwrap().len()
    }

    fn encode(case: &Case, audio: &[u8], out: &mut Vec<u8>) {
        let [head, tail] = &case.template;
        out.extend_from_slice(head);
        if case.kind == MessageKind::Binary {
            return out.extend_from_slice(audio);
        }
        let start = out.len();
        out.resize(start + STANDARD.encoded_length(audio.len()), 0);
        let _ = STANDARD.encode(audio, Out::from_slice(&mut out[start..]));
        out.extend_from_slice(tail);
    }

    fn both(&mut self, case: &Case, out: &mut Vec<u8>) {
        let length = self.decode(case);
        out.clear();
        Self::encode(case, self.linear.round(&self.frame[..length]), out);
    }
}

/// Nanoseconds of one run of `run`, over a round.
fn time(mut run: impl FnMut()) -> f64 {
    let start = Instant::now();
    for _ in 0..FRAMES_PER_ROUND {
        run();
    }
    start.elapsed().as_secs_f64() * 1e9 / FRAMES_PER_ROUND as f64
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// What one provider's frames cost, in the columns of the table.
fn measure(case: &mut Case, rounds: usize) -> [f64; 6] {
    let mut floor = Floor::new(case.audio);
    let mut linear = Linear::new(case.audio);
    let (mut work, mut room) = (case.message.clone(), vec![0; ROOM_BYTES]);
    let mut out = Vec::with_capacity(ROOM_BYTES);
    let frame = vec![0x5a; case.audio.bytes(PTIME_MS)];
    let mut taken: [Vec<f64>; 6] = Default::default();
    for _ in 0..rounds {
        let floor_ns = time(|| floor.both(black_box(&*case), &mut out));
        let (stream, kind) = (&mut case.stream, case.kind);
        let mut decode = |work: &mut [u8], room: &mut [u8]| {
            let mut slot = FrameSlot::new(room);
            let event = stream.decode(MonoTime::ZERO, kind, work, &mut slot).unwrap();
            assert!(matches!(event, StreamEvent::Audio { .. }));
            slot.filled().len()
        };
        let decode_ns = time(|| {
            black_box(decode(black_box(&mut work), &mut room));
        });
        let convert_ns = time(|| {
            black_box(linear.round(black_box(&frame)));
        });
        let both_ns = time(|| {
            let mut slot = FrameSlot::new(&mut room);
            let message = black_box(&mut work);
            case.stream.decode(MonoTime::ZERO, kind, message, &mut slot).unwrap();
            let coded = linear.round(slot.filled());
            out.clear();
            case.stream.encode(coded, &mut out);
            black_box(&out);
        });
        let encode_ns = time(|| {
            out.clear();
            case.stream.encode(black_box(&frame), &mut out);
            black_box(&out);
        });
        let row = [decode_ns, convert_ns, encode_ns, both_ns, floor_ns, both_ns / floor_ns];
        taken.iter_mut().zip(row).for_each(|(column, value)| column.push(value));
    }
    assert_eq!(work, case.message, "a media message is read without changing it");
    taken.map(|mut column| median(&mut column))
}

fn main() {
    // Run as a test, one round shows that it works.
    let rounds = if std::env::args().any(|argument| argument == "--test") { 1 } else { ROUNDS };
    println!("ns a frame of {PTIME_MS} ms; bar: both / floor at most {BAR}\n");
    println!(
        "{:<12} {:<11} {:>7} {:>7} {:>8} {:>7} {:>7} {:>7} {:>6}",
        "provider", "audio", "bytes", "decode", "convert", "encode", "both", "floor", "ratio"
    );
    for spec in PROVIDERS {
        let Some(mut case) = Case::of(spec) else { continue };
        let [decode, convert, encode, both, floor, ratio] = measure(&mut case, rounds);
        let audio = format!("{:?} {}", case.audio.codec, case.audio.rate_hz);
        println!(
            "{:<12} {audio:<11} {:>7} {decode:>7.0} {convert:>8.0} {encode:>7.0} {both:>7.0} \
             {floor:>7.0} {ratio:>6.2} {}",
            case.name,
            case.message.len(),
            if ratio <= BAR { "holds" } else { "MISSED" }
        );
    }
}
