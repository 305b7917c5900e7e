//! The low-pass filters from which every bank is cut.
//!
//! One for each factor between the lower and the higher rate. All have 26 taps for each sample of
//! the lower rate, which is 1.6 ms of delay at 8 kHz. They pass up to 0.425 of it (3.4 kHz of 8
//! kHz: the telephone band) with 0.06-0.08 dB between highest and lowest, and stop from 0.55 of it
//! on (4.4 kHz), 64-69 dB down (more for higher factors, where more images add up). Where the
//! images of a constant are, at multiples of the lower rate, they have exact zeros: all phases have
//! the same gain, and may be scaled to exactly one without harm.
//!
//! Between the edges they fall through −1.1 dB at 3.6 kHz, −4.6 dB at 3.8 kHz and −12 dB at 4 kHz.
//! So what lies less than 400 Hz beyond the lower Nyquist frequency folds, weakened, to 3.6-4.0
//! kHz, outside of the telephone band. A stop edge at the Nyquist frequency itself would cost 2 dB
//! of ripple below 3.4 kHz, or two thirds more of delay and work.

/// Taps for each sample of the lower rate.
#[cfg(test)]
pub(super) const TAPS_PER_PHASE: usize = 26;
/// Fraction bits of the tables; the taps of a whole filter sum up to about its factor.
#[cfg(test)]
pub(super) const FRACTION_BITS: u32 = 24;
/// End of the pass band in cycles a sample of the lower rate.
#[cfg(test)]
pub(super) const PASS_EDGE: f64 = 0.425;
/// Beginning of the stop band in cycles a sample of the lower rate.
#[cfg(test)]
pub(super) const STOP_EDGE: f64 = 0.55;

/// A symmetric filter of even length at the higher rate.
pub(super) struct Prototype {
    /// How many times the lower rate the higher one is.
    pub(super) factor: usize,
    /// From the middle to the end.
    pub(super) half: &'static [i32],
}

impl Prototype {
    /// The prototype for a factor of 2, 3 or 6.
    pub(super) fn of(factor: usize) -> Option<&'static Self> {
        PROTOTYPES.iter().find(|prototype| prototype.factor == factor)
    }

    /// Taps of the whole filter.
    pub(super) const fn taps(&self) -> usize {
        2 * self.half.len()
    }

    /// Tap `t`, zero outside of the filter.
    pub(super) fn tap(&self, t: isize) -> i32 {
        let middle = self.half.len() as isize;
        let from_middle = if t >= middle { t - middle } else { middle - 1 - t };
        self.half.get(from_middle.unsigned_abs()).copied().unwrap_or(0)
    }
}

/// All filters.
pub(super) static PROTOTYPES: &[Prototype] = &[
    Prototype { factor: 2, half: &FACTOR_2 },
    Prototype { factor: 3, half: &FACTOR_3 },
    Prototype { factor: 6, half: &FACTOR_6 },
];

#[rustfmt::skip]
static FACTOR_2: [i32; 26] = [
    14_652_732, 5_410_894, -2_506_135, -2_447_997, 1_116_767, 1_572_180, -571_131, -1_114_114,
    286_164, 814_043, -121_809, -595_351, 26_012, 428_508, 26_745, -299_540,
    -51_256, 200_780, 57_455, -127_232, -52_473, 75_203, 41_388, -46_651,
    -51_621, -4877,
];
#[rustfmt::skip]
static FACTOR_3: [i32; 39] = [
    15_454_966, 10_628_016, 3_711_460, -1_681_273, -3_403_030, -1_892_209, 601_094, 1_883_625,
    1_296_013, -207_157, -1_187_705, -963_792, 17_158, 779_716, 731_573, 78_779,
    -510_113, -553_999, -122_687, 326_059, 410_383, 134_536, -196_969, -295_920,
    -127_126, 110_480, 203_361, 108_734, -52_760, -133_421, -85_270, 19_532,
    80_739, 61_717, -3341, -54_565, -59_107, -36_650, -267,
];
#[rustfmt::skip]
static FACTOR_6: [i32; 78] = [
    15_899_636, 14_585_063, 12_151_891, 8_961_557, 5_471_704, 2_155_784, -572_966, -2_432_528,
    -3_310_492, -3_264_204, -2_498_679, -1_314_328, -36_944, 1_041_421, 1_714_289, 1_894_792,
    1_613_224, 995_436, 227_832, -495_453, -1_015_941, -1_237_213, -1_143_690, -794_577,
    -297_935, 214_363, 619_736, 836_581, 834_269, 635_431, 309_185, -54_839,
    -369_108, -563_675, -605_760, -502_473, -291_232, -33_028, 205_038, 370_635,
    432_183, 385_012, 253_732, 77_889, -98_179, -231_757, -296_641, -286_483,
    -209_931, -92_593, 31_863, 135_144, 195_200, 201_910, 162_245, 90_670,
    6015, -68_940, -118_648, -136_110, -119_202, -76_664, -23_283, 28_943,
    67_605, 84_459, 80_921, 59_973, 26_720, -8476, -38_966, -60_831,
    -69_014, -65_143, -54_279, -38_351, -31_626, -251,
];
