//! Instructions of each function on a frame's way, counted by callgrind, beside those on record
//! (`benches/instructions.txt`). Times on a shared machine tell nothing below a tenth; a count of
//! instructions is the same on every run, and a regression of a few per cent is seen.
//!
//! `cargo bench -p talkpath-adapters --bench instructions` fails if a function takes more than 3 %
//! above its record, has none, or is gone; `-- --write` writes what was counted. Callgrind shows
//! programs a processor with AVX2 and without AVX-512, whatever the machine has.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "bench")]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Duration;

use adapters::agent::MessageKind;
use adapters::config::RawConfig;
use adapters::stream::{FrameSlot, Stream, StreamEvent, StreamStart};
use adapters::table::PROVIDERS;
use media::blocks::BlockPool;
use media::codec::AudioFormat;
use media::codec::g711::Law;
use media::conceal::Concealer;
use media::convert::Converter;
use media::jitter::{Content, Incoming, JitterBuffer, JitterConfig};
use media::leg::{Leg, LegConfig};
use media::playout::{Playout, PlayoutConfig};
use media::rtp::{HEADER_BYTES, Sender};
use media::srtp::{Inbound, InboundStart, MasterKey, Outbound, Suite};
use media::time::MonoTime;
use serde_json::Value;

/// What may be above the record, in per cent.
const ALLOWED_PCT: f64 = 3.0;

/// Calls of a function between two counts.
const RUNS: u32 = 1_000;

/// Milliseconds of a frame, and bytes of it in G.711.
const PTIME_MS: u32 = 20;
const FRAME_BYTES: usize = 160;

/// Room for a frame or a message, in bytes.
const ROOM_BYTES: usize = 8_192;

/// A function that does one frame's work.
type Work = Box<dyn FnMut()>;

/// Every function that is counted, by name.
fn all() -> BTreeMap<String, fn(&str) -> Work> {
    let mut list: BTreeMap<String, fn(&str) -> Work> = BTreeMap::new();
    for (name, make) in [
        ("convert pcmu l16le-8000", convert as fn(&str) -> Work),
        ("convert l16le-8000 pcmu", convert),
        ("convert pcmu pcma", convert),
        ("convert pcmu l16le-16000", convert),
        ("convert l16le-16000 pcmu", convert),
        ("convert l16le-24000 pcmu", convert),
        ("convert pcmu l16le-24000", convert),
        ("convert g722 l16le-16000", convert),
        ("convert l16le-16000 g722", convert),
        ("rtp write", rtp_write),
        ("rtp receive", rtp_receive),
        ("playout push+pop", playout),
        ("srtp protect", srtp_protect),
        ("srtp protect+unprotect", srtp_both),
        ("jitter put+pull", jitter),
        ("conceal", conceal),
        ("mix", mix),
    ] {
        list.insert(name.to_owned(), make);
    }
    for spec in PROVIDERS.iter().filter(|spec| spec.stream.is_some()) {
        if fixture(spec.name).is_some() {
            list.insert(format!("stream {} decode", spec.name), stream_decode);
            list.insert(format!("stream {} encode", spec.name), stream_encode);
        }
    }
    list
}

fn format(name: &str) -> AudioFormat {
    match name {
        "pcmu" => AudioFormat::PCMU,
        "pcma" => AudioFormat::PCMA,
        "g722" => AudioFormat::G722,
        other => AudioFormat::l16le(other.strip_prefix("l16le-").unwrap().parse().unwrap()),
    }
}

/// Sound that is neither silence nor a pattern: a fixed sequence of bytes.
fn noise(bytes: usize) -> Vec<u8> {
    let mut state = 0x2545_F491_u32;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        (state >> 24) as u8
    };
    (0..bytes).map(|_| next()).collect()
}

fn convert(name: &str) -> Work {
    let mut words = name.split(' ').skip(1).map(format);
    let (from, to) = (words.next().unwrap(), words.next().unwrap());
    let mut converter = Converter::new(from, to);
    let (sound, mut out) = (noise(from.bytes(PTIME_MS)), vec![0; ROOM_BYTES]);
    Box::new(move || {
        black_box(converter.convert(black_box(&sound), &mut out));
    })
}

fn packet(sender: &mut Sender, now: MonoTime, bytes: &mut [u8]) {
    sender.write(now, bytes.first_chunk_mut().unwrap(), 0, FRAME_BYTES, FRAME_BYTES as u32);
}

fn rtp_write(_: &str) -> Work {
    let (mut sender, mut now) = (Sender::new(1, 0, 0), MonoTime::ZERO);
    let mut bytes = [0; HEADER_BYTES + FRAME_BYTES];
    Box::new(move || {
        now += Duration::from_millis(20);
        packet(&mut sender, now, black_box(&mut bytes));
    })
}

fn rtp_receive(_: &str) -> Work {
    let (mut sender, mut now) = (Sender::new(1, 0, 0), MonoTime::ZERO);
    let mut bytes = [0; HEADER_BYTES + FRAME_BYTES];
    let start = media::leg::StreamStart { ssrc: 7, seq: 7, ts: 7, seed: 7 };
    let config = LegConfig {
        audio: AudioFormat::PCMU,
        pt: 0,
        receive_pt: 0,
        dtmf_pt: Some(101),
        receive_dtmf_pt: Some(101),
        cn_pt: None,
        ptime_ms: PTIME_MS,
        opus: media::codec::opus::Settings::default(),
    };
    let mut leg = Leg::new(now, config, start);
    Box::new(move || {
        now += Duration::from_millis(20);
        packet(&mut sender, now, &mut bytes);
        black_box(leg.receive(now, black_box(&bytes)));
    })
}

fn playout(_: &str) -> Work {
    let mut pool = BlockPool::new(1_000);
    let mut playout = Playout::new(PlayoutConfig::new(AudioFormat::PCMU, PTIME_MS, 8_000));
    let (sound, mut out) = (noise(FRAME_BYTES), [0; FRAME_BYTES]);
    let mut now = MonoTime::ZERO;
    Box::new(move || {
        now += Duration::from_millis(20);
        assert!(!playout.push(now, &mut pool, black_box(&sound)).full);
        black_box(playout.pop(now, &mut pool, &mut out));
    })
}

fn jitter(_: &str) -> Work {
    let mut pool = BlockPool::new(1_000);
    let mut buffer = JitterBuffer::new(JitterConfig::new(8_000, 8_000));
    let (sound, mut out) = (noise(FRAME_BYTES), [0i16; FRAME_BYTES]);
    let (mut now, mut number) = (MonoTime::ZERO, 0u64);
    Box::new(move || {
        now += Duration::from_millis(20);
        number += 1;
        let packet = Incoming {
            ext_seq: number,
            ext_ts: number * FRAME_BYTES as u64,
            units: FRAME_BYTES as u32,
            content: Content::Audio(0),
            splice: false,
            payload: &sound,
        };
        black_box(buffer.put(now, &mut pool, packet));
        let decode = |_: u8, codes: &[u8], out: &mut [i16]| Law::Mu.decode(codes, out);
        black_box(buffer.pull(now, &mut pool, &mut out, decode));
    })
}

/// Linear samples of a frame, from [`noise`].
fn samples() -> Vec<i16> {
    noise(2 * FRAME_BYTES)
        .chunks(2)
        .map(|pair| i16::from_le_bytes([pair[0], pair[1]]) / 4)
        .collect()
}

fn conceal(_: &str) -> Work {
    let (mut concealer, sound, mut out) = (Concealer::new(8_000), samples(), [0i16; FRAME_BYTES]);
    Box::new(move || {
        // Each frame begins a gap, whose period is looked for.
        concealer.reset();
        concealer.remember(black_box(&sound));
        black_box(concealer.conceal(&mut out));
    })
}

fn mix(_: &str) -> Work {
    let (parts, mut out) = ([samples(), samples(), samples()], [0i16; FRAME_BYTES]);
    Box::new(move || {
        let parts: [&[i16]; 3] = parts.each_ref().map(Vec::as_slice);
        media::mix::minus(black_box(&parts), 0, &mut out);
        black_box(&out);
    })
}

fn keys() -> MasterKey {
    MasterKey::new(Suite::AesCm128Sha1Tag80, &[7; 30]).unwrap()
}

fn srtp_protect(_: &str) -> Work {
    let (mut sender, mut out) = (Sender::new(1, 0, 0), Outbound::new(&keys()).unwrap());
    let mut buffer = [0; ROOM_BYTES];
    Box::new(move || {
        packet(&mut sender, MonoTime::ZERO, &mut buffer);
        black_box(out.protect(&mut buffer, HEADER_BYTES + FRAME_BYTES).unwrap());
    })
}

fn srtp_both(_: &str) -> Work {
    let (mut sender, mut out) = (Sender::new(1, 0, 0), Outbound::new(&keys()).unwrap());
    let mut inbound = Inbound::new(&keys(), InboundStart::default()).unwrap();
    let mut buffer = [0; ROOM_BYTES];
    Box::new(move || {
        packet(&mut sender, MonoTime::ZERO, &mut buffer);
        let length = out.protect(&mut buffer, HEADER_BYTES + FRAME_BYTES).unwrap();
        black_box(inbound.unprotect(&mut buffer[..length]).unwrap());
    })
}

/// The messages of a provider's call, if there is a record of one.
fn fixture(provider: &str) -> Option<Value> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src").join(provider);
    let bytes = std::fs::read(folder.join("fixtures/stream_call.json")).ok()?;
    serde_json::from_slice(&bytes).ok()
}

/// A started stream, and a media message of it of the call's own audio.
fn started(name: &str) -> (Box<dyn Stream>, AudioFormat, MessageKind, Vec<u8>) {
    let provider = name.split(' ').nth(1).unwrap();
    let spec = PROVIDERS.iter().find(|spec| spec.name == provider).unwrap();
    let mut stream =
        spec.stream.unwrap()(&StreamStart { config: RawConfig::default(), call: None });
    let mut audio = None;
    for message in fixture(provider).unwrap()["messages"].as_array().unwrap() {
        let Some(text) = message["text"].as_str() else { continue };
        let (mut bytes, mut room) = (text.as_bytes().to_vec(), [0; ROOM_BYTES]);
        let mut slot = FrameSlot::new(&mut room);
        match stream.decode(MonoTime::ZERO, MessageKind::Text, &mut bytes, &mut slot) {
            Ok(StreamEvent::Started { to_carrier, .. }) => audio = Some(to_carrier),
            Ok(StreamEvent::Audio { .. }) => {
                return (stream, audio.unwrap(), MessageKind::Text, text.as_bytes().to_vec());
            }
            _ => {}
        }
    }
    let audio = audio.unwrap();
    (stream, audio, MessageKind::Binary, noise(audio.bytes(PTIME_MS)))
}

fn stream_decode(name: &str) -> Work {
    let (mut stream, _, kind, mut message) = started(name);
    let mut room = [0; ROOM_BYTES];
    Box::new(move || {
        let mut slot = FrameSlot::new(&mut room);
        let event = stream.decode(MonoTime::ZERO, kind, black_box(&mut message), &mut slot);
        black_box(event.is_ok());
    })
}

fn stream_encode(name: &str) -> Work {
    let (mut stream, audio, ..) = started(name);
    let (sound, mut out) = (noise(audio.bytes(PTIME_MS)), Vec::with_capacity(ROOM_BYTES));
    Box::new(move || {
        out.clear();
        black_box(stream.encode(black_box(&sound), &mut out));
    })
}

/// What callgrind counts while this program runs one function so many times.
fn counted(name: &str, runs: u32) -> Option<u64> {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(std::env::current_exe().unwrap())
        .args(["--run", name, &runs.to_string()])
        .output()
        .ok()?;
    let text = String::from_utf8_lossy(&output.stderr);
    let line = text.lines().find(|line| line.contains("Collected :"))?;
    line.rsplit(' ').next()?.parse().ok()
}

fn record() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../benches/instructions.txt")
}

/// The compiler's version, without which a record means nothing.
fn compiler() -> String {
    let output = Command::new("rustc").arg("--version").output().unwrap();
    String::from_utf8(output.stdout).unwrap().split(' ').nth(1).unwrap_or_default().to_owned()
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let functions = all();
    if let [run, name, runs] = arguments.as_slice()
        && run == "--run"
    {
        let mut work = functions[name.as_str()](name);
        (0..runs.parse::<u32>().unwrap()).for_each(|_| work());
        return ExitCode::SUCCESS;
    }
    if arguments.iter().any(|argument| argument == "--test") {
        functions.iter().for_each(|(name, make)| make(name)());
        return ExitCode::SUCCESS;
    }
    let text = std::fs::read_to_string(record()).unwrap_or_default();
    let known: BTreeMap<&str, f64> = text
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.rsplit_once(' '))
        .filter_map(|(name, count)| Some((name.trim_end(), count.parse().ok()?)))
        .collect();
    let same = text.lines().next().is_some_and(|line| line.ends_with(&compiler()));
    let mut written = format!("# Instructions a frame, by rustc {}\n", compiler());
    let mut worse = 0;
    println!("{:<32} {:>9} {:>9} {:>8}", "function", "record", "now", "change");
    for name in functions.keys() {
        let (Some(none), Some(some)) = (counted(name, 0), counted(name, RUNS)) else {
            eprintln!("valgrind counted nothing for {name}");
            return ExitCode::FAILURE;
        };
        let now = some.saturating_sub(none) as f64 / f64::from(RUNS);
        let _ = writeln!(written, "{name:<32} {now:.0}");
        let before = known.get(name.as_str()).copied();
        let change = before.map(|before| 100.0 * (now / before - 1.0));
        // What is not on record is held against nothing, and would stay so.
        let bad = change.is_none_or(|change| change > ALLOWED_PCT);
        worse += u32::from(bad);
        println!(
            "{name:<32} {:>9} {now:>9.0} {:>8} {}",
            before.map_or("-".into(), |before| before.to_string()),
            change.map_or("-".into(), |change| format!("{change:+.1} %")),
            match (bad, change) {
                (true, Some(_)) => "WORSE",
                (true, None) => "NOT ON RECORD: add it by -- --write",
                (false, _) => "",
            }
        );
    }
    for name in known.keys().filter(|name| !functions.contains_key(**name)) {
        println!("{name:<32} is on record and gone: leave it out by -- --write");
        worse += 1;
    }
    if arguments.iter().any(|argument| argument == "--write") {
        std::fs::write(record(), written).unwrap();
        return ExitCode::SUCCESS;
    }
    if !same {
        println!("the record is of another compiler and was not held against this one");
        return ExitCode::SUCCESS;
    }
    if worse == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
