//! Vector code for G.711 and the resampler, chosen once at run time.
//!
//! Each path is a [`Kernels`] table of ordinary function pointers. [`active`] detects the machine
//! on its first call and returns the same table ever after; the functions in it are safe because a
//! table is only ever handed out on a machine that has its instructions. The scalar path is the
//! twin that all others must equal bit for bit; tests and benchmarks reach every path through
//! [`available`].
//!
//! This is the one place of the codecs with `unsafe`: vector loads and stores, each inside of
//! slices whose lengths were checked just before.

mod bank;
#[cfg(target_arch = "aarch64")]
mod neon;
mod scalar;
#[cfg(target_arch = "x86_64")]
mod x86;
#[cfg(target_arch = "x86_64")]
mod x86_fir;
#[cfg(target_arch = "x86_64")]
mod x86_frames;

use super::g711::Law;
pub(crate) use bank::{Bank, Line, MAX_FRAMES, MAX_GROUPS, SCALE_BITS};
use std::sync::OnceLock;

/// Decodes or encodes: codes and little-endian samples, one sample a code. The second slice holds
/// as many samples as the first.
///
// SAFETY: to be called only where the instructions of the path exist, see [`Kernels`].
type Compand = unsafe fn(&[u8], &mut [u8]);

/// One implementation of everything that is worth vectorising.
///
/// The functions need the instructions of their path. [`active`] and [`available`] alone give
/// tables away, and only those that the machine has: this is what makes the methods safe.
#[derive(Debug)]
pub struct Kernels {
    /// The name of the path: `scalar`, `avx2`, `avx512`, `neon`.
    pub name: &'static str,
    /// By law.
    decode: [Compand; 2],
    /// By law.
    encode: [Compand; 2],
    transcode: unsafe fn(&[u8], &mut [u8], &[u8; 256]),
    split: unsafe fn(&[i16], &mut [Line], usize),
    fir: unsafe fn(&Bank, usize, &[Line], &mut [i16]),
    join: unsafe fn(&[i16], usize, &mut [i16]),
}

impl Kernels {
    /// Codes to little-endian samples, as many as both slices hold. Returns how many.
    #[inline]
    pub(super) fn decode(&self, law: Law, codes: &[u8], bytes: &mut [u8]) -> usize {
        let count = codes.len().min(bytes.len() / 2);
        // SAFETY: the machine has the path's instructions, see `Kernels`.
        unsafe { (self.decode[law as usize])(&codes[..count], &mut bytes[..2 * count]) };
        count
    }

    /// Little-endian samples to codes, as many as both slices hold. Returns how many.
    #[inline]
    pub(super) fn encode(&self, law: Law, bytes: &[u8], codes: &mut [u8]) -> usize {
        let count = codes.len().min(bytes.len() / 2);
        // SAFETY: the machine has the path's instructions, see `Kernels`.
        unsafe { (self.encode[law as usize])(&bytes[..2 * count], &mut codes[..count]) };
        count
    }

    /// Looks each byte up in a table, as many as both slices hold. Returns how many.
    #[inline]
    pub(super) fn transcode(&self, codes: &[u8], out: &mut [u8], table: &[u8; 256]) -> usize {
        let count = codes.len().min(out.len());
        // SAFETY: the machine has the path's instructions, see `Kernels`.
        unsafe { (self.transcode)(&codes[..count], &mut out[..count], table) };
        count
    }

    /// Deals the samples of each frame out to the lines, as frame `at` of this pass and those that
    /// follow: sample `r` of a frame goes to line `r`.
    pub(crate) fn split(&self, input: &[i16], lines: &mut [Line], at: usize) {
        // SAFETY: the machine has the path's instructions, see `Kernels`.
        unsafe { (self.split)(input, lines, at) }
    }

    /// One output sample a frame: group `group` of the bank over all lines.
    pub(crate) fn fir(&self, bank: &Bank, group: usize, lines: &[Line], out: &mut [i16]) {
        if bank.covers(group, lines, out.len()) {
            // SAFETY: the machine has the path's instructions, see `Kernels`.
            unsafe { (self.fir)(bank, group, lines, out) }
        }
    }

    /// Weaves the outputs of `count` groups, [`MAX_FRAMES`] apart, into one stream.
    pub(crate) fn join(&self, groups: &[i16], count: usize, out: &mut [i16]) {
        // SAFETY: the machine has the path's instructions, see `Kernels`.
        unsafe { (self.join)(groups, count, out) }
    }
}

/// The path without vector instructions: definition, fallback and oracle.
pub static SCALAR: Kernels = Kernels {
    name: "scalar",
    decode: [scalar::decode_mu, scalar::decode_a],
    encode: [scalar::encode_mu, scalar::encode_a],
    transcode: scalar::transcode,
    split: scalar::split,
    fir: scalar::fir,
    join: scalar::join,
};

/// The best path of this machine.
#[inline]
pub fn active() -> &'static Kernels {
    static ACTIVE: OnceLock<&'static Kernels> = OnceLock::new();
    // Detection stays out of line: it happens once, what is inlined is a load and a comparison.
    #[cold]
    fn detect() -> &'static Kernels {
        available().last().unwrap_or(&SCALAR)
    }
    ACTIVE.get_or_init(detect)
}

/// Every path that runs on this machine, the best one last.
pub fn available() -> impl Iterator<Item = &'static Kernels> {
    #[cfg(target_arch = "x86_64")]
    let vector = [x86::avx2(), x86::avx512()];
    #[cfg(target_arch = "aarch64")]
    let vector = [neon::neon()];
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    let vector = [None; 0];
    std::iter::once(&SCALAR).chain(vector.into_iter().flatten())
}

/// The bytes of samples, in the order of the machine.
pub(super) fn bytes_of(samples: &[i16]) -> &[u8] {
    // SAFETY: same memory, twice as many bytes as samples; a byte needs no alignment and each bit
    // pattern is a valid one.
    unsafe { std::slice::from_raw_parts(samples.as_ptr().cast(), 2 * samples.len()) }
}

/// The bytes of samples, in the order of the machine.
pub(super) fn bytes_of_mut(samples: &mut [i16]) -> &mut [u8] {
    // SAFETY: same memory, twice as many bytes as samples, exclusively borrowed; a byte needs no
    // alignment, and each pair of bytes written is a valid sample.
    unsafe { std::slice::from_raw_parts_mut(samples.as_mut_ptr().cast(), 2 * samples.len()) }
}

#[cfg(test)]
mod tests;
