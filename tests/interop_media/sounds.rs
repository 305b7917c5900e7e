//! Sounds that were not made here: digits recorded from a telephone, tones of sox, and a
//! synthesised voice, which must not be taken for digits and must be noticed as speech.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test")]

use crate::support;

use std::path::{Path, PathBuf};
use std::process::Command;

use media::dtmf::inband::Inband;
use media::dtmf::{EVENT_BYTES, Receiver};
use media::rtp::Packet;
use media::time::MonoTime;
use media::vad::Vad;

use support::{peer, skip};

/// Where Debian's `sip-tester` keeps its recordings.
const RECORDINGS: &str = "/usr/share/sip-tester";

/// Every packet in a capture of RTP over Ethernet and IPv4, with its time in microseconds.
fn capture(file: &Path) -> Vec<(u64, Vec<u8>)> {
    let bytes = std::fs::read(file).unwrap();
    assert_eq!(bytes[..4], 0xa1b2_c3d4_u32.to_le_bytes(), "no little-endian capture");
    let word = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
    let (mut at, mut packets) = (24, vec![]);
    while at + 16 <= bytes.len() {
        let length = word(at + 8) as usize;
        let micros = u64::from(word(at)) * 1_000_000 + u64::from(word(at + 4));
        // Ethernet, IPv4, UDP.
        packets.push((micros, bytes[at + 16 + 14 + 20 + 8..at + 16 + length].to_vec()));
        at += 16 + length;
    }
    packets
}

/// Each key as a telephone sent it by RFC 2833 is one digit.
#[test]
fn recorded_telephone_events() {
    if !PathBuf::from(RECORDINGS).join("dtmf_2833_0.pcap").is_file() {
        return skip("there are no recordings (Debian package sip-tester)");
    }
    let names = (0..10).map(|n| n.to_string()).chain(["star".to_owned(), "pound".to_owned()]);
    for (name, digit) in names.zip("0123456789*#".chars()) {
        let file = PathBuf::from(RECORDINGS).join(format!("dtmf_2833_{name}.pcap"));
        let mut receiver = Receiver::new(8000);
        let (mut now, mut found) = (MonoTime::ZERO, vec![]);
        for (micros, bytes) in capture(&file) {
            now = MonoTime::from_nanos(micros * 1000);
            let packet = Packet::parse(&bytes).unwrap();
            if packet.payload.len() == EVENT_BYTES {
                receiver.receive(now, &packet.header, packet.payload).unwrap();
            }
            found.extend(std::iter::from_fn(|| receiver.poll(now)));
        }
        let later = now + std::time::Duration::from_secs(1);
        found.extend(std::iter::from_fn(|| receiver.poll(later)));
        let found: String = found.iter().map(|pressed| pressed.digit.as_char()).collect();
        assert_eq!(found, digit.to_string(), "{}", file.display());
    }
}

/// A file of this test alone.
fn file(name: &str) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    folder.join(format!("sounds-{}-{name}.wav", std::process::id()))
}

/// Runs `program`, which writes to `out` at 8,000 Hz or is brought there.
fn make(program: &str, args: &[&str], out: &Path) -> Vec<i16> {
    let done = Command::new(program).args(args).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let samples =
        hound::WavReader::open(out).unwrap().samples::<i16>().map(Result::unwrap).collect();
    std::fs::remove_file(out).unwrap();
    samples
}

fn digits(samples: &[i16]) -> String {
    let mut inband = Inband::new();
    let mut found = String::new();
    for frame in samples.chunks(160) {
        inband.push(frame);
        found.extend(inband.poll().map(|pressed| pressed.digit.as_char()));
    }
    found
}

/// Tones that sox makes, one digit after the other, are all of them.
#[test]
fn tones_of_sox() {
    let Some(_) = peer("sox", "sox") else { return };
    let rows = [697, 770, 852, 941];
    let columns = [1209, 1336, 1477, 1633];
    let out = file("tones");
    let mut all = vec![];
    for (row, column) in rows.into_iter().flat_map(|row| columns.map(|column| (row, column))) {
        let (low, high) = (row.to_string(), column.to_string());
        let args = [
            "-n",
            "-r",
            "8000",
            "-b",
            "16",
            "-c",
            "1",
            out.to_str().unwrap(),
            "synth",
            "0.07",
            "sine",
            &low,
            "sine",
            &high,
            "remix",
            "-",
            "gain",
            "-6",
            "pad",
            "0.05",
            "0.05",
        ];
        all.extend(make("sox", &args, &out));
    }
    assert_eq!(digits(&all), "123A456B789C*0#D");
}

/// A synthesised voice reads a page at several pitches: no digit is heard in it, and most of it is
/// speech, in several stretches.
#[test]
fn a_voice_is_speech_and_no_digit() {
    let (Some(_), Some(_)) = (peer("espeak-ng", "espeak-ng"), peer("sox", "sox")) else { return };
    let text = "Good morning, and thank you for calling. Please listen carefully, as our options \
        have changed. To hear your balance, press one. To speak with somebody, press two, or stay \
        on the line. Your call may be recorded. Seven, eight, nine, ten, eleven. Peter Piper \
        picked a peck of pickled peppers. How much wood would a woodchuck chuck? She sells sea \
        shells on the sea shore.";
    let (wide, out) = (file("voice"), file("voice-8k"));
    for pitch in ["20", "45", "70", "95"] {
        let args = ["-p", pitch, "-w", wide.to_str().unwrap(), text];
        assert!(Command::new("espeak-ng").args(args).status().unwrap().success());
        let args = [wide.to_str().unwrap(), "-r", "8000", out.to_str().unwrap()];
        let samples = make("sox", &args, &out);
        std::fs::remove_file(&wide).unwrap();
        assert_eq!(digits(&samples), "", "pitch {pitch}");
        let mut vad = Vad::new(8000);
        let (mut spoken, mut begins, mut blocks) = (0, 0, 0);
        for block in samples.chunks(80) {
            vad.push(block);
            blocks += 1;
            spoken += u32::from(vad.is_speaking());
            begins += u32::from(vad.poll().is_some_and(|change| change.started));
        }
        println!("pitch {pitch}: {spoken} of {blocks} blocks are speech, in {begins} stretches");
        assert!(spoken * 2 > blocks && begins >= 3, "{spoken} of {blocks}, {begins}");
    }
}
