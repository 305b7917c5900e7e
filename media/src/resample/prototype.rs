//! The low-pass filters from which every bank is cut.
//!
//! One for each factor between the lower and the higher rate. All have 32 taps for each sample of
//! the lower rate, pass up to 0.425 of it (3.4 kHz of 8 kHz: the telephone band) and stop from 0.525
//! of it on (4.2 kHz of 8 kHz), equiripple: 0.05 dB from top to bottom of the pass band, 64 dB down.
//! Between the edges the response falls from −0.03 through −1.4 (3.6 kHz) and −21 dB (4.0 kHz). What
//! lies within 200 Hz beyond the lower Nyquist frequency thus still folds, weakened, to 3.8-4.0 kHz:
//! outside of the telephone band. A stop edge at the Nyquist frequency would have cost 0.6 dB of
//! ripple below 3.4 kHz, or half as much delay again.

/// Taps for each sample of the lower rate.
pub(super) const TAPS_PER_PHASE: usize = 32;
/// Fraction bits of the tables; the taps of a whole filter sum up to about its factor.
#[cfg(test)]
pub(super) const FRACTION_BITS: u32 = 24;
/// End of the pass band in cycles a sample of the lower rate.
#[cfg(test)]
pub(super) const PASS_EDGE: f64 = 0.425;
/// Beginning of the stop band in cycles a sample of the lower rate.
#[cfg(test)]
pub(super) const STOP_EDGE: f64 = 0.525;

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
static FACTOR_2: [i32; 32] = [
    14_392_096, 5_648_327, -2_231_934, -2_660_649, 832_545, 1_752_941, -288_015, -1_264_926,
    7394, 930_161, 140_956, -683_205, -220_263, 484_882, 245_426, -335_070,
    -246_521, 211_897, 218_810, -128_350, -190_702, 58_541, 145_092, -24_446,
    -115_872, -10_037, 71_320, 10_095, -56_941, -26_115, 29_369, 32_485,
];
#[rustfmt::skip]
static FACTOR_3: [i32; 48] = [
    15_151_818, 10_613_266, 3_998_393, -1_368_375, -3_361_364, -2_155_677, 286_910, 1_815_440,
    1_531_676, 100_746, -1_098_858, -1_167_451, -277_051, 672_651, 902_062, 352_550,
    -392_738, -690_667, -371_355, 201_294, 514_811, 353_005, -73_946, -371_360,
    -315_367, -9948, 252_362, 262_885, 55_196, -163_276, -211_980, -81_131,
    90_004, 154_407, 79_232, -48_453, -115_719, -80_940, 6474, 64_736,
    52_628, -5952, -55_369, -59_471, -25_105, 14_229, 31_224, 29_422,
];
#[rustfmt::skip]
static FACTOR_6: [i32; 96] = [
    15_563_332, 14_332_821, 12_048_176, 9_031_850, 5_697_443, 2_480_488, -232_289, -2_162_372,
    -3_177_220, -3_300_467, -2_694_008, -1_617_078, -370_699, 759_921, 1_555_924, 1_897_155,
    1_773_033, 1_271_189, 547_786, -212_733, -839_342, -1_209_045, -1_267_989, -1_035_866,
    -594_193, -62_436, 431_796, 781_509, 921_968, 841_093, 577_357, 206_676,
    -177_848, -488_253, -660_983, -668_996, -524_734, -273_894, 17_649, 280_433,
    457_408, 515_758, 452_304, 291_740, 78_668, -134_192, -298_622, -381_484,
    -370_962, -277_422, -129_181, 35_488, 177_879, 267_713, 289_269, 243_684,
    147_219, 26_214, -89_788, -175_070, -213_207, -199_952, -143_075, -59_484,
    29_472, 103_284, 146_830, 153_273, 124_819, 71_324, 7255, -52_009,
    -93_722, -110_470, -101_163, -70_723, -28_261, 15_371, 50_211, 69_299,
    69_874, 53_503, 25_222, -7972, -38_896, -61_737, -73_108, -72_428,
    -61_618, -44_309, -24_787, -6977, 6322, 13_813, 15_669, 27_587,
];
