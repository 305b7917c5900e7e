//! G.711 and the resampler's filter for AArch64, where NEON is always there.

use super::bank::{Bank, Line, ROUNDING, SCALE_BITS};
use super::{Kernels, scalar};
use crate::codec::g711::Law;
use std::arch::aarch64::*;

/// The NEON path, if this machine has it.
pub(super) fn neon() -> Option<&'static Kernels> {
    static NEON: Kernels = Kernels {
        name: "neon",
        decode: [decode_neon::<MU>, decode_neon::<A>],
        encode: [encode_neon::<MU>, encode_neon::<A>],
        transcode: scalar::transcode,
        split: scalar::split,
        fir: fir_neon,
        join: scalar::join,
    };
    std::arch::is_aarch64_feature_detected!("neon").then_some(&NEON)
}

const MU: bool = true;
const A: bool = false;

/// Undoes the wire inversion and makes the sign bit set for negative samples.
const fn flip(mu: bool) -> u8 {
    if mu { 0xff } else { 0xd5 }
}

/// Added to magnitudes before encoding, taken away after decoding.
const fn bias(mu: bool) -> i16 {
    if mu { 0x84 } else { 0 }
}

/// `((interval·8 | lead[segment]) << segment) − bias`, where A-law's segment 0 has no leading one
/// and is as wide as segment 1.
#[target_feature(enable = "neon")]
fn decode_neon<const IS_MU: bool>(codes: &[u8], bytes: &mut [u8]) {
    let mut blocks = codes.chunks_exact(8);
    let mut outs = bytes.chunks_exact_mut(16);
    for (codes, out) in (&mut blocks).zip(&mut outs) {
        // SAFETY: `codes` has 8 bytes.
        let u = veor_u8(unsafe { vld1_u8(codes.as_ptr()) }, vdup_n_u8(flip(IS_MU)));
        let negative = vmovl_s8(vshr_n_s8::<7>(vreinterpret_s8_u8(u)));
        let u = vmovl_u8(vand_u8(u, vdup_n_u8(0x7f)));
        let segment = vshrq_n_u16::<4>(u);
        let interval = vshlq_n_u16::<3>(vandq_u16(u, vdupq_n_u16(15)));
        let (lead, shift) = if IS_MU {
            (vdupq_n_u16(0x84), segment)
        } else {
            let lowest = vceqzq_u16(segment);
            let lead = vbslq_u16(lowest, vdupq_n_u16(4), vdupq_n_u16(0x84));
            (lead, vmaxq_u16(segment, vdupq_n_u16(1)))
        };
        let value = vshlq_u16(vorrq_u16(interval, lead), vreinterpretq_s16_u16(shift));
        let magnitude = vsubq_s16(vreinterpretq_s16_u16(value), vdupq_n_s16(bias(IS_MU)));
        // Two's complement: flip all bits and add one where `negative` is -1.
        let sample = vsubq_s16(veorq_s16(magnitude, negative), negative);
        // SAFETY: `out` has 16 bytes.
        unsafe { vst1q_u8(out.as_mut_ptr(), vreinterpretq_u8_s16(sample)) };
    }
    let (codes, bytes) = (blocks.remainder(), outs.into_remainder());
    if IS_MU { scalar::decode_mu(codes, bytes) } else { scalar::decode_a(codes, bytes) }
}

/// Shifts the biased magnitude until four bits and a leading one are left.
#[target_feature(enable = "neon")]
fn encode_neon<const IS_MU: bool>(bytes: &[u8], codes: &mut [u8]) {
    let mut blocks = bytes.chunks_exact(16);
    let mut outs = codes.chunks_exact_mut(8);
    for (samples, out) in (&mut blocks).zip(&mut outs) {
        // SAFETY: `samples` has 16 bytes.
        let v = vreinterpretq_s16_u8(unsafe { vld1q_u8(samples.as_ptr()) });
        let negative = vshrq_n_s16::<15>(v);
        let biased = vqaddq_s16(veorq_s16(v, negative), vdupq_n_s16(bias(IS_MU)));
        let biased = vreinterpretq_u16_s16(biased);
        // The highest bit of a biased magnitude is 15 - clz; five bits are left of it.
        let clz = vreinterpretq_s16_u16(vclzq_u16(biased));
        let shift = vsubq_s16(vdupq_n_s16(11), clz);
        // µ-law has no lower one than 3; A-law's segment 0 shares the shift of segment 1.
        let shift = if IS_MU { shift } else { vmaxq_s16(shift, vdupq_n_s16(4)) };
        let rest = vshlq_u16(biased, vnegq_s16(shift));
        let segment = vshlq_n_s16::<4>(vsubq_s16(shift, vdupq_n_s16(4)));
        let code = vaddq_s16(vreinterpretq_s16_u16(rest), segment);
        let sign = vandq_s16(negative, vdupq_n_s16(0x80));
        let code = vmovn_u16(vreinterpretq_u16_s16(veorq_s16(code, sign)));
        // SAFETY: `out` has 8 bytes.
        unsafe { vst1_u8(out.as_mut_ptr(), veor_u8(code, vdup_n_u8(flip(IS_MU)))) };
    }
    let (bytes, codes) = (blocks.remainder(), outs.into_remainder());
    match if IS_MU { Law::Mu } else { Law::A } {
        Law::Mu => scalar::encode_mu(bytes, codes),
        Law::A => scalar::encode_a(bytes, codes),
    }
}

/// Eight frames at a time, tap by tap; [`scalar::fir`].
#[target_feature(enable = "neon")]
fn fir_neon(bank: &Bank, group: usize, lines: &[Line], out: &mut [i16]) {
    let pre_shift = vdupq_n_s32(-(bank.pre_shift as i32));
    for (block, out) in out.chunks_mut(8).enumerate() {
        let mut low = vdupq_n_s32(ROUNDING);
        let mut high = low;
        for (r, line) in lines.iter().enumerate() {
            let (mut low_sum, mut high_sum) = (vdupq_n_s32(0), vdupq_n_s32(0));
            let window = &line.window(bank.taps)[8 * block..];
            for (samples, tap) in window.windows(8).zip(bank.taps_of(group, r)) {
                // SAFETY: `samples` has 8 samples.
                let samples = unsafe { vld1q_s16(samples.as_ptr()) };
                low_sum = vmlal_n_s16(low_sum, vget_low_s16(samples), *tap);
                high_sum = vmlal_high_n_s16(high_sum, samples, *tap);
            }
            low = vaddq_s32(low, vshlq_s32(low_sum, pre_shift));
            high = vaddq_s32(high, vshlq_s32(high_sum, pre_shift));
        }
        const BITS: i32 = SCALE_BITS as i32;
        let samples = vcombine_s16(
            vqmovn_s32(vshrq_n_s32::<BITS>(low)),
            vqmovn_s32(vshrq_n_s32::<BITS>(high)),
        );
        if let Some(out) = out.first_chunk_mut::<8>() {
            // SAFETY: `out` has 8 samples.
            unsafe { vst1q_s16(out.as_mut_ptr(), samples) };
        } else {
            let mut all = [0i16; 8];
            // SAFETY: `all` has 8 samples.
            unsafe { vst1q_s16(all.as_mut_ptr(), samples) };
            out.copy_from_slice(&all[..out.len()]);
        }
    }
}
