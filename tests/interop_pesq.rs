//! Speech with losses, scored by PESQ (ITU-T P.862): concealment against silence in the gaps.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test")]

mod support;

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use media::blocks::BlockPool;
use media::codec::g711::Law;
use media::conceal::Concealer;
use media::jitter::{Content, Incoming, JitterBuffer, JitterConfig};
use media::time::MonoTime;
use support::{peers, wav};

/// Samples of a packet: 20 ms.
const PACKET: usize = 160;
/// Loss in per cent.
const LOSSES: [u64; 3] = [1, 3, 5];
/// Patterns of loss per sentence.
const SEEDS: u64 = 3;
/// Voices of the speech synthesiser, and what they say.
const SPEECH: [(&str, &str); 6] = [
    ("en-us+m3", "The appointment is on Thursday the fourteenth at half past nine in the morning."),
    ("en-us+f3", "Please hold the line while I look for your order, it will only take a moment."),
    ("en-gb+m7", "Your parcel left our warehouse in Leeds yesterday and should arrive tomorrow."),
    ("en-gb+f2", "I am afraid that number is not in service, would you like to leave a message?"),
    ("de+m1", "Guten Tag, Sie sprechen mit der Zentrale, was kann ich heute für Sie tun?"),
    ("es+f4", "Buenos días, su cita es mañana a las once y media en la oficina del centro."),
];

/// How gaps are filled.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Filling {
    Silence,
    Concealment,
    /// The jitter buffer, whose concealment it is.
    JitterBuffer,
}

/// Says a sentence and writes it as a telephone carries it.
fn say(folder: &Path, number: usize, voice: &str, text: &str) -> Option<PathBuf> {
    let espeak = peers::program("espeak-ng", "espeak-ng")?;
    let sox = peers::program("sox", "sox")?;
    let (raw, path) =
        (folder.join(format!("{number}-raw.wav")), folder.join(format!("{number}.wav")));
    let mut command = Command::new(espeak);
    command.args(["-v", voice, "-s", "150", "-w"]).arg(&raw).arg(text);
    assert!(command.status().unwrap().success());
    let mut command = Command::new(sox);
    command.arg(&raw).args(["-r", "8000", "-c", "1", "-b", "16"]).arg(&path);
    assert!(command.args(["norm", "-6"]).status().unwrap().success());
    Some(path)
}

/// True for packets that are lost, by a seed.
fn lost(seed: u64, percent: u64) -> impl FnMut() -> bool {
    let mut state = seed;
    move || {
        // SplitMix64.
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % 100 < percent
    }
}

/// What is heard of `speech` in µ-law when packets are lost.
fn degrade(speech: &[i16], filling: Filling, mut lost: impl FnMut() -> bool) -> Vec<i16> {
    let code = |samples: &[i16]| samples.iter().map(|s| Law::Mu.code(*s)).collect::<Vec<u8>>();
    let decode = |codes: &[u8], out: &mut [i16]| {
        codes.iter().zip(out).for_each(|(code, sample)| *sample = Law::Mu.sample(*code));
        codes.len()
    };
    let mut heard = Vec::new();
    let mut concealer = Concealer::new(8_000);
    let mut buffer = JitterBuffer::new(JitterConfig::new(8_000, 8_000));
    let mut blocks = BlockPool::new(64);
    let mut now = MonoTime::from_nanos(1);
    for (number, packet) in (0_u64..).zip(speech.chunks_exact(PACKET)) {
        let missing = lost();
        let codes = code(packet);
        let mut out = [0; PACKET];
        match filling {
            Filling::Silence if missing => {}
            Filling::Silence => drop(decode(&codes, &mut out)),
            Filling::Concealment if missing => drop(concealer.conceal(&mut out)),
            Filling::Concealment => {
                decode(&codes, &mut out);
                concealer.play(&mut out);
            }
            Filling::JitterBuffer => {
                let incoming = Incoming {
                    ext_seq: number + 100,
                    ext_ts: (number + 100) * PACKET as u64,
                    units: PACKET as u32,
                    content: Content::Audio(0),
                    splice: false,
                    payload: &codes,
                };
                if !missing {
                    buffer.put(now, &mut blocks, incoming);
                }
                buffer.pull(now, &mut blocks, &mut out, |_, codes, out| decode(codes, out));
                now += std::time::Duration::from_millis(20);
            }
        }
        heard.extend(out);
    }
    heard
}

/// Scores pairs of files, reference and degraded.
fn score(python: &Path, pairs: &[(PathBuf, PathBuf)]) -> Vec<f64> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/interop/pesq_mos.py");
    let mut child = Command::new(python)
        .arg(script)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines: String = pairs.iter().fold(String::new(), |mut lines, (reference, degraded)| {
        writeln!(lines, "{}\t{}", reference.display(), degraded.display()).unwrap();
        lines
    });
    let mut input = child.stdin.take().unwrap();
    let writer = std::thread::spawn(move || input.write_all(lines.as_bytes()).unwrap());
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    assert!(output.status.success());
    let scores = String::from_utf8(output.stdout).unwrap();
    let scores: Vec<f64> = scores.lines().map(|line| line.parse().unwrap()).collect();
    assert_eq!(scores.len(), pairs.len());
    scores
}

/// At 1, 3 and 5 % of random loss speech sounds better with concealment than with silence in the
/// gaps, by the bare concealer and by the whole jitter buffer; the table is that of docs/jitter.md.
#[test]
fn concealment_is_better_than_silence() {
    let Some(python) = peers::python() else { return };
    let folder = tempfile_folder();
    let mut spoken = Vec::new();
    for (number, (voice, text)) in SPEECH.iter().enumerate() {
        let Some(path) = say(&folder, number, voice, text) else { return };
        spoken.push((wav::read(&path), path));
    }
    let fillings = [Filling::Silence, Filling::Concealment, Filling::JitterBuffer];
    let mut pairs = Vec::new();
    for percent in LOSSES {
        for filling in fillings {
            for (number, (speech, reference)) in spoken.iter().enumerate() {
                for seed in 0..SEEDS {
                    let pattern = lost(seed * 1_000 + number as u64, percent);
                    let heard = degrade(speech, filling, pattern);
                    let name = format!("{number}-{percent}-{filling:?}-{seed}.wav");
                    wav::write(&folder.join(&name), &heard);
                    pairs.push((reference.clone(), folder.join(name)));
                }
            }
        }
    }
    let scores = score(&python, &pairs);
    let per_cell = spoken.len() * SEEDS as usize;
    let means: Vec<f64> =
        scores.chunks(per_cell).map(|cell| cell.iter().sum::<f64>() / per_cell as f64).collect();
    println!("| loss | silence | concealed | jitter buffer |\n|---|---|---|---|");
    for (percent, row) in LOSSES.iter().zip(means.chunks(fillings.len())) {
        println!("| {percent} % | {:.2} | {:.2} | {:.2} |", row[0], row[1], row[2]);
        assert!(row[1] > row[0] + 0.1, "{percent} %: {row:?}");
        assert!(row[2] > row[0], "{percent} %: {row:?}");
    }
    std::fs::remove_dir_all(folder).unwrap();
}

fn tempfile_folder() -> PathBuf {
    let folder = std::env::temp_dir().join(format!("talkpath-pesq-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    folder
}
