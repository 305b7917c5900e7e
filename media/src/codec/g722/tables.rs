//! The tables of G.722, and one that is derived from them.

/// Decision levels of the quantiser of the low band, in units of its scale (table 14, `Q6`), from
/// the first that is not zero.
pub(super) const LOW_LEVELS: [u16; 29] = [
    35, 72, 110, 150, 190, 233, 276, 323, 370, 422, 473, 530, 587, 650, 714, 786, 858, 940, 1023,
    1121, 1219, 1339, 1458, 1612, 1765, 1980, 2195, 2557, 2919,
];

/// Above the highest level.
pub(super) const LOW_LEVEL_MAX: usize = 2919;

/// How many levels a difference reaches, by the difference in units of the scale.
pub(super) static LOW_STEPS: [u8; LOW_LEVEL_MAX + 1] = low_steps();

const fn low_steps() -> [u8; LOW_LEVEL_MAX + 1] {
    let mut steps = [0; LOW_LEVEL_MAX + 1];
    let (mut at, mut reached) = (0, 0);
    while at < steps.len() {
        if LOW_LEVELS[reached] as usize == at {
            reached += 1;
        }
        steps[at] = reached as u8;
        at += 1;
    }
    steps
}

/// Codes of the low band by levels reached: of differences from zero up (`ILP`) and of negative
/// ones (`ILN`).
pub(super) static LOW_CODES: [[u8; 30]; 2] = [
    [
        61, 60, 59, 58, 57, 56, 55, 54, 53, 52, 51, 50, 49, 48, 47, 46, 45, 44, 43, 42, 41, 40, 39,
        38, 37, 36, 35, 34, 33, 32,
    ],
    [
        63, 62, 31, 30, 29, 28, 27, 26, 25, 24, 23, 22, 21, 20, 19, 18, 17, 16, 15, 14, 13, 12, 11,
        10, 9, 8, 7, 6, 5, 4,
    ],
];

/// Decision level of the quantiser of the high band (`Q2`).
pub(super) const HIGH_LEVEL: i32 = 564;

/// Codes of the high band by whether the level is reached (`IHP`, `IHN`).
pub(super) static HIGH_CODES: [[u8; 2]; 2] = [[3, 2], [1, 0]];

/// What each code of the low band means, by the four bits on which both ends predict (`QM4`).
pub(super) static LOW_4: [i16; 16] = [
    0, -20_456, -12_896, -8_968, -6_288, -4_240, -2_584, -1_200, 20_456, 12_896, 8_968, 6_288,
    4_240, 2_584, 1_200, 0,
];

/// What each code of the low band means in five bits, mode 2 (`QM5`).
pub(super) static LOW_5: [i16; 32] = [
    -280, -280, -23_352, -17_560, -14_120, -11_664, -9_752, -8_184, -6_864, -5_712, -4_696, -3_784,
    -2_960, -2_208, -1_520, -880, 23_352, 17_560, 14_120, 11_664, 9_752, 8_184, 6_864, 5_712,
    4_696, 3_784, 2_960, 2_208, 1_520, 880, 280, -280,
];

/// What each code of the low band means in six bits, mode 1 (`QM6`).
pub(super) static LOW_6: [i16; 64] = [
    -136, -136, -136, -136, -24_808, -21_904, -19_008, -16_704, -14_984, -13_512, -12_280, -11_192,
    -10_232, -9_360, -8_576, -7_856, -7_192, -6_576, -6_000, -5_456, -4_944, -4_464, -4_008,
    -3_576, -3_168, -2_776, -2_400, -2_032, -1_688, -1_360, -1_040, -728, 24_808, 21_904, 19_008,
    16_704, 14_984, 13_512, 12_280, 11_192, 10_232, 9_360, 8_576, 7_856, 7_192, 6_576, 6_000,
    5_456, 4_944, 4_464, 4_008, 3_576, 3_168, 2_776, 2_400, 2_032, 1_688, 1_360, 1_040, 728, 432,
    136, -432, -136,
];

/// What each code of the high band means (`QM2`).
pub(super) static HIGH_2: [i16; 4] = [-7_408, -1_616, 7_408, 1_616];

/// By how much each code of the low band, in four bits, moves the scale (`WL` of `RL42`).
pub(super) static LOW_MOVES: [i16; 16] =
    [-60, 3042, 1198, 538, 334, 172, 58, -30, 3042, 1198, 538, 334, 172, 58, -30, -60];

/// By how much each code of the high band moves the scale (`WH` of `RH2`).
pub(super) static HIGH_MOVES: [i16; 4] = [798, -214, 798, -214];

/// Mantissas of the scale's inverse logarithm (`ILB`).
pub(super) static ANTILOG: [u16; 32] = [
    2048, 2093, 2139, 2186, 2233, 2282, 2332, 2383, 2435, 2489, 2543, 2599, 2656, 2714, 2774, 2834,
    2896, 2960, 3025, 3091, 3158, 3228, 3298, 3371, 3444, 3520, 3597, 3676, 3756, 3838, 3922, 4008,
];

/// Every other tap of the filter that parts and joins the bands, in units of 1/8192 (table 11); the
/// taps between are the same backwards.
pub(super) const QMF: [i16; 12] = [3, -11, 12, 32, -210, 951, 3876, -805, 362, -156, 53, -11];
