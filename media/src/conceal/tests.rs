use std::f64::consts::TAU;

use proptest::prelude::*;

use super::*;
use crate::pitch::rms;

const RATES: [u32; 3] = [8_000, 16_000, 48_000];

fn tone(rate_hz: u32, hz: f64, from: usize, len: usize) -> Vec<i16> {
    let sample = |n: usize| (n as f64 * TAU * hz / f64::from(rate_hz)).sin() * 8_000.0;
    (from..from + len).map(|n| sample(n).round() as i16).collect()
}

/// The largest second difference: what is heard as a click.
fn bend(samples: &[i16]) -> i32 {
    let bend = |w: &[i16]| (i32::from(w[0]) - 2 * i32::from(w[1]) + i32::from(w[2])).abs();
    samples.windows(3).map(bend).max().unwrap()
}

/// Plays `before`, then fills `len` samples in pieces of `piece`.
fn fill(concealer: &mut Concealer, before: &[i16], len: usize, piece: usize) -> Vec<i16> {
    let mut before = before.to_vec();
    concealer.play(&mut before);
    let mut out = vec![0; len];
    for piece in out.chunks_mut(piece) {
        concealer.conceal(piece);
    }
    out
}

/// A periodic signal goes on in phase: for the 10 ms without fading the filling is the signal
/// itself, to the sample where the period is a whole number of samples.
#[test]
fn a_periodic_signal_goes_on_in_phase() {
    for rate_hz in RATES {
        let ms = rate_hz as usize / 1_000;
        for (hz, within) in [(100.0, 2), (125.0, 2), (200.0, 2), (400.0, 2), (440.0, 600)] {
            let mut concealer = Concealer::new(rate_hz);
            let before = tone(rate_hz, hz, 0, 100 * ms);
            let filled = fill(&mut concealer, &before, 10 * ms, 10 * ms);
            let wanted = tone(rate_hz, hz, 100 * ms, 10 * ms);
            for (n, (got, want)) in filled.iter().zip(&wanted).enumerate() {
                let off = (i32::from(*got) - i32::from(*want)).abs();
                assert!(off <= within, "{hz} Hz at {rate_hz}, sample {n}: {got}, not {want}");
            }
        }
    }
}

/// The filling keeps its level for 10 ms, loses a fifth every 10 ms, and is silent after 60 ms
/// (G.711 appendix I, I.2.7).
#[test]
fn fades_as_recommended() {
    for rate_hz in RATES {
        let ms = rate_hz as usize / 1_000;
        let mut concealer = Concealer::new(rate_hz);
        // Whole periods every 10 ms, so that each level is exact.
        let before = tone(rate_hz, 200.0, 0, 100 * ms);
        let filled = fill(&mut concealer, &before, 100 * ms, 7 * ms);
        let level = |at_ms: usize| rms(&filled[(at_ms - 5) * ms..at_ms * ms]) / rms(&before);
        // Over a period that ends at each step the mean of what is left.
        for (at_ms, left) in [(10, 1.0), (20, 0.85), (30, 0.65), (40, 0.45), (50, 0.25)] {
            assert!((level(at_ms) - left).abs() < 0.02, "{at_ms} ms: {}", level(at_ms));
        }
        assert!(level(60) < 0.09);
        assert!(filled[60 * ms..].iter().all(|sample| *sample == 0));
        assert!((level(5) - 1.0).abs() < 0.01);
    }
}

/// No click where a gap begins, where the number of periods grows, and where it ends: the second
/// difference of tones stays within a few times the tone's own.
#[test]
fn edges_do_not_click() {
    for rate_hz in RATES {
        let ms = rate_hz as usize / 1_000;
        for hz in [97.0, 180.0, 256.7, 440.0, 700.0, 1_004.0] {
            for gap_ms in [10, 20, 30, 50, 100] {
                let whole = tone(rate_hz, hz, 0, 300 * ms);
                let mut concealer = Concealer::new(rate_hz);
                let mut heard = whole[..100 * ms].to_vec();
                heard.extend(fill(&mut concealer, &whole[..100 * ms], gap_ms * ms, 10 * ms));
                let mut after = whole[(100 + gap_ms) * ms..].to_vec();
                after.chunks_mut(10 * ms).for_each(|piece| concealer.play(piece));
                heard.extend(after);
                let (own, got) = (bend(&whole), bend(&heard));
                // A step of a hundredth of full scale would be 327.
                assert!(got <= own * 2 + 160, "{hz} Hz, {rate_hz}, {gap_ms} ms: {got} over {own}");
            }
        }
    }
}

/// Sound after a gap is untouched once the blend is over: a quarter of a period and 4 ms for every
/// 10 ms of the gap, 10 ms at most.
#[test]
fn sound_comes_back_whole() {
    for (gap_ms, blend_samples) in [(10, 10 + 32), (20, 10 + 64), (60, 80)] {
        let whole = tone(8_000, 200.0, 0, 8 * 300);
        let mut concealer = Concealer::new(8_000);
        fill(&mut concealer, &whole[..800], 8 * gap_ms, 80);
        assert!(concealer.is_concealing());
        let original: Vec<i16> = (0..400_i16).map(|n| n * 13 % 1_999).collect();
        let mut after = original.clone();
        after.chunks_mut(60).for_each(|piece| concealer.play(piece));
        let touched = after.iter().zip(&original).rposition(|(a, b)| a != b).unwrap() + 1;
        assert!(touched <= blend_samples && touched > 20, "{gap_ms}: {touched}");
        assert!(!concealer.is_concealing());
    }
}

/// Fillings carry the energy of what came before over both edges: voiced sound of several
/// harmonics neither sinks nor rises by more than a decibel in the first 10 ms.
#[test]
fn energy_is_continuous() {
    for rate_hz in RATES {
        let ms = rate_hz as usize / 1_000;
        let mut concealer = Concealer::new(rate_hz);
        let voice = |n: usize| {
            let phase = n as f64 / f64::from(rate_hz) * 131.0 * TAU;
            (1..=8).map(|k| (phase * f64::from(k)).sin() / f64::from(k)).sum::<f64>() * 4_000.0
        };
        let before: Vec<i16> = (0..100 * ms).map(|n| voice(n) as i16).collect();
        let filled = fill(&mut concealer, &before, 10 * ms, 10 * ms);
        let ratio = rms(&filled) / rms(&before[80 * ms..]);
        assert!((0.89..1.12).contains(&ratio), "{rate_hz}: {ratio}");
    }
}

/// How a gap is cut into pieces changes nothing.
#[test]
fn pieces_do_not_matter() {
    let before = tone(8_000, 313.0, 0, 800);
    let whole = fill(&mut Concealer::new(8_000), &before, 700, 700);
    for piece in [1, 7, 80, 160, 333] {
        assert_eq!(fill(&mut Concealer::new(8_000), &before, 700, piece), whole);
    }
}

proptest! {
    /// Whatever is played and lost, in pieces of any length, nothing panics, and a filling is never
    /// louder than twice what was heard (the peak, and what the signal stood off from itself).
    #[test]
    fn takes_anything(
        pieces in prop::collection::vec((any::<bool>(), 0_usize..500, any::<i16>()), 1..40),
        rate in 0_usize..3,
    ) {
        let mut concealer = Concealer::new(RATES[rate]);
        for (lost, len, seed) in pieces {
            let mut sound: Vec<i16> =
                (0..len).map(|n| seed.wrapping_mul(n as i16).wrapping_add(seed)).collect();
            if lost {
                let left = concealer.conceal(&mut sound);
                prop_assert!((0.0..=1.0).contains(&left));
            } else {
                concealer.play(&mut sound);
            }
        }
    }
}
