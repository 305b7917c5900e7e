//! How the tables of [`super::prototype`] were made, kept as a test: an equiripple low-pass by
//! Lawson's iteratively reweighted least squares.

use super::prototype::{
    FRACTION_BITS, PASS_EDGE, PROTOTYPES, Prototype, STOP_EDGE, TAPS_PER_PHASE,
};
use std::f64::consts::TAU;

/// How many times as much stop-band errors count as those of the pass band. More for a higher
/// factor, which has more images to add up.
fn stop_weight(factor: usize) -> f64 {
    match factor {
        2 => 6.0,
        3 => 8.0,
        _ => 14.0,
    }
}

/// Grid points for each coefficient.
const DENSITY: usize = 12;
const ITERATIONS: usize = 60;
/// Weight of the nulls, against about one for other points.
const NULL_WEIGHT: f64 = 1e6;

/// The right half of a symmetric filter of even length: its response at `f` (in cycles a sample) is
/// `Σ half[k] · 2 cos(2π f (k + ½))`.
fn response(half: &[f64], f: f64) -> f64 {
    half.iter().enumerate().map(|(k, h)| 2.0 * h * (TAU * f * (k as f64 + 0.5)).cos()).sum()
}

/// What each tap of a half contributes to the response at `f`.
fn basis(half: usize, f: f64) -> Vec<f64> {
    (0..half).map(|k| 2.0 * (TAU * f * (k as f64 + 0.5)).cos()).collect()
}

/// The half of a low-pass of `2 * half` taps that passes up to `pass` and stops from `stop`, with
/// zeros at `nulls`.
fn design(half: usize, pass: f64, stop: f64, stop_weight: f64, nulls: &[f64]) -> Vec<f64> {
    let points = DENSITY * half;
    let passing = (points as f64 * pass / (pass + 0.5 - stop)).round() as usize;
    let stopping = points - passing;
    let basis_at: Vec<Vec<f64>> = (0..passing)
        .map(|i| pass * i as f64 / (passing - 1) as f64)
        .chain((0..stopping).map(|i| stop + (0.5 - stop) * i as f64 / (stopping - 1) as f64))
        .chain(nulls.iter().copied())
        .map(|f| basis(half, f))
        .collect();
    let mut weights = vec![1.0; points];
    weights.resize(basis_at.len(), NULL_WEIGHT);
    let mut taps = vec![];
    for _ in 0..ITERATIONS {
        let mut matrix = vec![vec![0.0; half]; half];
        let mut right = vec![0.0; half];
        for (i, (basis, weight)) in basis_at.iter().zip(&weights).enumerate() {
            let (wanted, weight) =
                if i < passing { (1.0, *weight) } else { (0.0, weight * stop_weight.powi(2)) };
            for (row, b) in basis.iter().enumerate() {
                right[row] += weight * b * wanted;
                for (cell, c) in matrix[row].iter_mut().zip(basis) {
                    *cell += weight * b * c;
                }
            }
        }
        taps = solve(matrix, right);
        let error = |i: usize| {
            let is: f64 = basis_at[i].iter().zip(&taps).map(|(b, t)| b * t).sum();
            if i < passing { (is - 1.0).abs() } else { stop_weight * is.abs() }
        };
        let errors: Vec<f64> = (0..points).map(error).collect();
        // The envelope of the ripples, lest the weights of their zeros vanish.
        let envelope = |i: usize| {
            let (first, end) = if i < passing { (0, passing) } else { (passing, points) };
            let reach = DENSITY / 2 + 1;
            errors[i.saturating_sub(reach).max(first)..(i + reach + 1).min(end)]
                .iter()
                .fold(0.0, |max: f64, e| max.max(*e))
        };
        let envelopes: Vec<f64> = (0..points).map(envelope).collect();
        let mean = envelopes.iter().sum::<f64>() / points as f64;
        // The nulls keep their weight.
        for (weight, envelope) in weights.iter_mut().zip(envelopes) {
            *weight *= (envelope / mean).powf(0.8);
        }
    }
    taps
}

/// Gauss; the matrix is symmetric and positive, so it needs no pivots.
fn solve(mut matrix: Vec<Vec<f64>>, mut right: Vec<f64>) -> Vec<f64> {
    let size = right.len();
    for i in 0..size {
        let (upper, lower) = matrix.split_at_mut(i + 1);
        let (known, rest) = right.split_at_mut(i + 1);
        for (row, right) in lower.iter_mut().zip(rest) {
            let factor = row[i] / upper[i][i];
            for (cell, above) in row[i..].iter_mut().zip(&upper[i][i..]) {
                *cell -= factor * above;
            }
            *right -= factor * known[i];
        }
    }
    for i in (0..size).rev() {
        let done: f64 = (i + 1..size).map(|k| matrix[i][k] * right[k]).sum();
        right[i] = (right[i] - done) / matrix[i][i];
    }
    right
}

fn edges(prototype: &Prototype) -> (f64, f64) {
    (PASS_EDGE / prototype.factor as f64, STOP_EDGE / prototype.factor as f64)
}

/// The tables are what this design yields.
#[test]
fn tables_are_designed() {
    for prototype in PROTOTYPES {
        let (pass, stop) = edges(prototype);
        // Where the images of a constant are: every phase then has the same gain for it.
        let nulls: Vec<f64> =
            (1..=prototype.factor / 2).map(|m| m as f64 / prototype.factor as f64).collect();
        let half = prototype.factor * TAPS_PER_PHASE / 2;
        let half = design(half, pass, stop, stop_weight(prototype.factor), &nulls);
        let scale = f64::from(1 << FRACTION_BITS) * prototype.factor as f64;
        let wanted: Vec<i32> = half.iter().map(|h| (h * scale).round() as i32).collect();
        let near = wanted.iter().zip(prototype.half).all(|(a, b)| (a - b).abs() <= 4);
        assert!(near && wanted.len() == prototype.half.len(), "{}: {wanted:?}", prototype.factor);
    }
}

/// The tables before any rounding to 16 bits: ripple within 0.09 dB, stop band at least 64 dB down.
#[test]
fn tables_meet_their_specification() {
    for prototype in PROTOTYPES {
        let (pass, stop) = edges(prototype);
        let scale = f64::from(1 << FRACTION_BITS) * prototype.factor as f64;
        let half: Vec<f64> = prototype.half.iter().map(|h| f64::from(*h) / scale).collect();
        let db = |f: f64| 20.0 * response(&half, f).abs().log10();
        let sweep = |from: f64, to: f64| {
            (0..=4000).map(move |i| from + (to - from) * f64::from(i) / 4000.0)
        };
        let passed: Vec<f64> = sweep(0.0, pass).map(db).collect();
        let ripple = passed.iter().fold(f64::MIN, |m, v| m.max(*v))
            - passed.iter().fold(f64::MAX, |m, v| m.min(*v));
        let stopped = sweep(stop, 0.5).map(db).fold(f64::MIN, f64::max);
        assert!(ripple < 0.09, "{} {ripple}", prototype.factor);
        assert!(stopped < -64.0, "{} {stopped}", prototype.factor);
    }
}
