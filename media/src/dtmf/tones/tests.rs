//! What is played is what a receiver of Q.24 hears.

use super::*;
use crate::dtmf::inband::Inband;

const ALL: &str = "0123456789*#ABCD";

/// Plays all that waits as `format` in frames of 20 ms, as linear samples.
fn play(tones: &mut Tones, format: AudioFormat) -> Vec<i16> {
    let mut samples = vec![];
    let mut frame = vec![0x11; format.bytes(20)];
    while tones.fill(format, &mut frame) {
        match format.codec {
            Codec::Pcmu => samples.extend(frame.iter().map(|code| Law::Mu.sample(*code))),
            Codec::Pcma => samples.extend(frame.iter().map(|code| Law::A.sample(*code))),
            Codec::L16Be => {
                let chunks = frame.chunks_exact(2);
                samples.extend(chunks.map(|two| i16::from_be_bytes([two[0], two[1]])));
            }
            _ => {
                let chunks = frame.chunks_exact(2);
                samples.extend(chunks.map(|two| i16::from_le_bytes([two[0], two[1]])));
            }
        }
    }
    samples
}

/// What the receiver hears, with the length of each digit.
fn heard(samples: &[i16]) -> (String, Vec<u32>) {
    let mut inband = Inband::new();
    let mut found = vec![];
    for frame in samples.chunks(160).chain([&[0_i16; 160][..]; 5]) {
        inband.push(frame);
        found.extend(inband.poll());
    }
    (
        found.iter().map(|pressed| pressed.digit.as_char()).collect(),
        found.iter().map(|pressed| pressed.duration_ms).collect(),
    )
}

/// Every digit in every format at 8 kHz, from the shortest on: heard once each, as long as it was
/// meant to be, and the whole takes the time that digits and gaps sum up to.
#[test]
fn a_receiver_hears_every_digit() {
    for format in [AudioFormat::PCMU, AudioFormat::PCMA, AudioFormat::l16be(8000)] {
        for (digit_ms, gap_ms) in [(40, 40), (50, 45), (100, 60), (125, 70), (400, 40)] {
            let mut tones = Tones::default();
            tones.queue(ALL, Some(digit_ms), Some(gap_ms)).unwrap();
            let samples = play(&mut tones, format);
            let (digits, lengths) = heard(&samples);
            assert_eq!(digits, ALL, "{format:?} {digit_ms} {gap_ms}");
            for length in lengths {
                assert!(length.abs_diff(digit_ms) <= 5, "{length} for {digit_ms}");
            }
            let whole = 8 * (digit_ms + gap_ms) * 16;
            assert_eq!(samples.len(), whole.next_multiple_of(160) as usize);
        }
    }
}

/// At other rates every third or sixth sample is the same sound.
#[test]
fn wide_formats_sound_alike() {
    for rate_hz in [16_000, 24_000, 48_000] {
        let mut tones = Tones::default();
        tones.queue(ALL, None, None).unwrap();
        let wide = play(&mut tones, AudioFormat::l16le(rate_hz));
        let narrow: Vec<i16> = wide.into_iter().step_by(rate_hz as usize / 8000).collect();
        assert_eq!(heard(&narrow).0, ALL);
    }
}

/// A change of format in mid-digit changes nothing that is heard, and nothing is clipped: the
/// sum of both tones keeps 6 dB to full scale.
#[test]
fn the_format_may_change() {
    let mut tones = Tones::default();
    tones.queue("159D", Some(200), Some(80)).unwrap();
    let mut samples = vec![];
    let mut frame = [0; 640];
    for wide in (0..).map(|n| n / 3 % 2 == 1) {
        if wide {
            if !tones.fill(AudioFormat::l16le(16_000), &mut frame) {
                break;
            }
            let chunks = frame.chunks_exact(4);
            samples.extend(chunks.map(|bytes| i16::from_le_bytes([bytes[0], bytes[1]])));
        } else {
            if !tones.fill(AudioFormat::l16le(8000), &mut frame[..320]) {
                break;
            }
            let chunks = frame[..320].chunks_exact(2);
            samples.extend(chunks.map(|bytes| i16::from_le_bytes([bytes[0], bytes[1]])));
        }
    }
    assert_eq!(heard(&samples).0, "159D");
    let peak = samples.iter().map(|sample| sample.unsigned_abs()).max().unwrap();
    assert!((14_000..16_400).contains(&peak), "{peak}");
}

/// What is refused adds nothing; what waits has a limit; an idle source leaves the frame alone.
#[test]
fn limits() {
    let mut tones = Tones::default();
    let mut frame = [7; 160];
    assert!(!tones.fill(AudioFormat::PCMU, &mut frame));
    assert_eq!(frame, [7; 160]);
    assert_eq!(tones.queue("", None, None), Err(DtmfError::Empty));
    assert_eq!(tones.queue("1x", None, None), Err(DtmfError::NotADigit { index: 1 }));
    assert_eq!(tones.queue("1", Some(39), None), Err(DtmfError::Duration));
    assert_eq!(tones.queue("1", None, Some(39)), Err(DtmfError::Gap));
    assert!(!tones.is_busy());
    assert_eq!(tones.queue(&"1".repeat(60), None, None), Ok(()));
    assert_eq!(tones.queue("12345", None, None), Err(DtmfError::TooMany));
    assert_eq!(tones.queue("1234", None, None), Ok(()));
    assert!(tones.fill(AudioFormat::G722, &mut frame), "coded from linear, never directly");
    assert_eq!(frame, [Codec::G722.silence(); 160]);
}
