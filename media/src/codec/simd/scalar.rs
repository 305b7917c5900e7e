//! The twin: what every other path must equal.

use super::bank::{Bank, Line, MAX_FRAMES, ROUNDING, SCALE_BITS};
use crate::codec::g711::Law;

static MU_SAMPLES: [i16; 256] = samples(Law::Mu);
static A_SAMPLES: [i16; 256] = samples(Law::A);

const fn samples(law: Law) -> [i16; 256] {
    let mut table = [0; 256];
    let mut code = 0;
    while code < 256 {
        table[code] = law.sample(code as u8);
        code += 1;
    }
    table
}

pub(super) fn decode_mu(codes: &[u8], bytes: &mut [u8]) {
    decode(&MU_SAMPLES, codes, bytes);
}

pub(super) fn decode_a(codes: &[u8], bytes: &mut [u8]) {
    decode(&A_SAMPLES, codes, bytes);
}

fn decode(table: &[i16; 256], codes: &[u8], bytes: &mut [u8]) {
    for (sample, code) in bytes.chunks_exact_mut(2).zip(codes) {
        sample.copy_from_slice(&table[usize::from(*code)].to_le_bytes());
    }
}

pub(super) fn encode_mu(bytes: &[u8], codes: &mut [u8]) {
    encode(Law::Mu, bytes, codes);
}

pub(super) fn encode_a(bytes: &[u8], codes: &mut [u8]) {
    encode(Law::A, bytes, codes);
}

#[inline(always)]
fn encode(law: Law, bytes: &[u8], codes: &mut [u8]) {
    for (code, sample) in codes.iter_mut().zip(bytes.chunks_exact(2)) {
        *code = law.code(i16::from_le_bytes([sample[0], sample[1]]));
    }
}

pub(super) fn transcode(codes: &[u8], out: &mut [u8], table: &[u8; 256]) {
    for (to, from) in out.iter_mut().zip(codes) {
        *to = table[usize::from(*from)];
    }
}

pub(super) fn split(input: &[i16], lines: &mut [Line], at: usize) {
    split_from(0, input, lines, at);
}

/// [`split`] of the frames from `first` on: also the end of what vectors did not cover.
pub(super) fn split_from(first: usize, input: &[i16], lines: &mut [Line], at: usize) {
    for (frame, samples) in input.chunks_exact(lines.len()).enumerate().skip(first) {
        for (line, sample) in lines.iter_mut().zip(samples) {
            line.present()[at + frame] = *sample;
        }
    }
}

pub(super) fn join(groups: &[i16], count: usize, out: &mut [i16]) {
    join_from(0, groups, count, out);
}

/// [`join`] of the frames from `first` on.
pub(super) fn join_from(first: usize, groups: &[i16], count: usize, out: &mut [i16]) {
    for (frame, samples) in out.chunks_exact_mut(count).enumerate().skip(first) {
        for (group, sample) in groups.chunks_exact(MAX_FRAMES).zip(samples) {
            *sample = group[frame];
        }
    }
}

pub(super) fn fir(bank: &Bank, group: usize, lines: &[Line], out: &mut [i16]) {
    for (frame, out) in out.iter_mut().enumerate() {
        let mut total = ROUNDING;
        for (r, line) in lines.iter().enumerate() {
            let mut sum = 0;
            for (coefficient, sample) in
                bank.taps_of(group, r).iter().zip(&line.window(bank.taps)[frame..])
            {
                sum += i32::from(*coefficient) * i32::from(*sample);
            }
            total += sum >> bank.pre_shift;
        }
        let sample = total >> SCALE_BITS;
        *out = sample.clamp(i16::MIN.into(), i16::MAX.into()) as i16;
    }
}
