//! Vector code for G.711 and the resampler, chosen once at run time.
//!
//! Each path is a [`Kernels`] table of ordinary function pointers. [`active`] detects the machine on
//! its first call and returns the same table ever after; the functions in it are safe because a
//! table is only ever handed out on a machine that has its instructions. The scalar path is the
//! twin that all others must equal bit for bit; tests and benchmarks reach every path through
//! [`available`].
//!
//! This is the one place of the codecs with `unsafe`: vector loads and stores, each inside of slices
//! whose lengths were checked just before.

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

pub(crate) use bank::{Bank, Line, MAX_FRAMES, MAX_GROUPS, SCALE_BITS};
use std::sync::OnceLock;

/// Decodes or encodes: codes and little-endian samples, one sample a code. The second slice holds
/// as many samples as the first.
type Compand = fn(&[u8], &mut [u8]);

/// One implementation of everything that is worth vectorising.
#[derive(Debug)]
pub struct Kernels {
    /// The name of the path: `scalar`, `avx2`, `avx512`, `neon`.
    pub name: &'static str,
    /// By law: codes to samples.
    pub(super) decode: [Compand; 2],
    /// By law: samples to codes.
    pub(super) encode: [Compand; 2],
    /// Looks each byte up in a table.
    pub(super) transcode: fn(&[u8], &mut [u8], &[u8; 256]),
    /// Deals the samples of each frame out to the lines, as frame `at` of this pass and those that
    /// follow: sample `r` of a frame goes to line `r`. `split(input, lines, at)`.
    pub(crate) split: fn(&[i16], &mut [Line], usize),
    /// One output sample a frame: group `g` of the bank over all lines. `fir(bank, g, lines, out)`.
    pub(crate) fir: fn(&Bank, usize, &[Line], &mut [i16]),
    /// Weaves the groups' outputs ([`MAX_FRAMES`] apart) into one stream. `join(groups, count, out)`.
    pub(crate) join: fn(&[i16], usize, &mut [i16]),
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
