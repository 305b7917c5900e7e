//! What both ends of one band do alike: the scale of the quantiser and the prediction.

use super::tables::{ANTILOG, HIGH_2, HIGH_MOVES, LOW_4, LOW_MOVES};

/// Smallest scales of the quantisers, from which both ends start.
const LOW_DET_MIN: i32 = 32;
const HIGH_DET_MIN: i32 = 8;
/// Greatest logarithmic scales (`LOGSCL`, `LOGSCH`).
const LOW_NB_MAX: i32 = 18_432;
const HIGH_NB_MAX: i32 = 22_528;
/// Shifts from the logarithm to the linear scale (`SCALEL`, `SCALEH`).
const LOW_SHIFT: u32 = 8;
const HIGH_SHIFT: u32 = 10;
/// Bounds of the second coefficient of the poles, and of both together (`UPPOL2`, `UPPOL1`).
const A2_MAX: i32 = 12_288;
const A_SUM_MAX: i32 = 15_360;

/// The low band.
#[derive(Clone, Debug)]
pub(super) struct Low(Band);

/// The high band.
#[derive(Clone, Debug)]
pub(super) struct High(Band);

impl Low {
    pub(super) const fn new() -> Self {
        Self(Band::new(LOW_DET_MIN))
    }

    /// The predicted sample.
    #[inline]
    pub(super) const fn predicted(&self) -> i32 {
        self.0.s
    }

    /// The linear scale of the quantiser.
    #[inline]
    pub(super) const fn det(&self) -> i32 {
        self.0.det
    }

    /// Goes on by a sample whose code, in four bits, is `code`.
    #[inline]
    pub(super) fn update(&mut self, code: u8) {
        let code = usize::from(code & 15);
        let d = (self.0.det * i32::from(LOW_4[code])) >> 15;
        self.0.rescale(i32::from(LOW_MOVES[code]), LOW_NB_MAX, LOW_SHIFT);
        self.0.predict(d);
    }
}

impl High {
    pub(super) const fn new() -> Self {
        Self(Band::new(HIGH_DET_MIN))
    }

    /// The predicted sample.
    #[inline]
    pub(super) const fn predicted(&self) -> i32 {
        self.0.s
    }

    /// The linear scale of the quantiser.
    #[inline]
    pub(super) const fn det(&self) -> i32 {
        self.0.det
    }

    /// The difference that `code` means.
    #[inline]
    pub(super) fn difference(&self, code: u8) -> i32 {
        (self.0.det * i32::from(HIGH_2[usize::from(code & 3)])) >> 15
    }

    /// Goes on by a sample of `code`.
    #[inline]
    pub(super) fn update(&mut self, code: u8) {
        let d = self.difference(code);
        self.0.rescale(i32::from(HIGH_MOVES[usize::from(code & 3)]), HIGH_NB_MAX, HIGH_SHIFT);
        self.0.predict(d);
    }
}

#[derive(Clone, Debug)]
struct Band {
    /// Logarithmic scale of the quantiser.
    nb: i32,
    /// Linear scale of the quantiser.
    det: i32,
    /// The predicted sample, and the part of it that comes from the zeros.
    s: i32,
    sz: i32,
    /// The last two reconstructed samples, newest first.
    r: [i32; 2],
    /// Signs of the last two partial reconstructions: 0 or -1.
    p: [i32; 2],
    /// Coefficients of the poles.
    a: [i32; 2],
    /// Coefficients of the zeros.
    b: [i32; 6],
    /// The last six differences, newest first.
    d: [i32; 6],
}

impl Band {
    const fn new(det: i32) -> Self {
        Self { nb: 0, det, s: 0, sz: 0, r: [0; 2], p: [0; 2], a: [0; 2], b: [0; 6], d: [0; 6] }
    }

    /// Adapts the scale of the quantiser (block 3: `LOGSC`, `SCALE`).
    #[inline]
    fn rescale(&mut self, by: i32, max: i32, shift: u32) {
        self.nb = (((self.nb * 127) >> 7) + by).clamp(0, max);
        let mantissa = i32::from(ANTILOG[(self.nb >> 6) as usize & 31]);
        // One bit to the left before the shift to the right, which may be by minus one.
        self.det = ((mantissa << 1) >> (shift + 1 - (self.nb >> 11) as u32)) << 2;
    }

    /// Takes the difference `d` in and predicts the next sample (block 4).
    #[inline]
    fn predict(&mut self, d: i32) {
        let r = saturate(self.s + d);
        let sign = (self.sz + d) >> 31;

        // UPPOL2: the second pole.
        let wd = saturate(4 * self.a[0]);
        let wd = if sign == self.p[0] { (-wd).min(i32::from(i16::MAX)) } else { wd };
        let side = if sign == self.p[1] { 128 } else { -128 };
        let a2 = (side + (wd >> 7) + ((self.a[1] * 32_512) >> 15)).clamp(-A2_MAX, A2_MAX);
        // UPPOL1: the first.
        let side = if sign == self.p[0] { 192 } else { -192 };
        let bound = A_SUM_MAX - a2;
        let a1 = (side + ((self.a[0] * 32_640) >> 15)).clamp(-bound, bound);
        self.a = [a1, a2];
        self.p = [sign, self.p[0]];

        // UPZERO: the zeros.
        let step = if d == 0 { 0 } else { 128 };
        for (b, old) in self.b.iter_mut().zip(&self.d) {
            let opposite = (d ^ old) >> 31;
            *b = ((*b * 32_640) >> 15) + ((step ^ opposite) - opposite);
        }

        // DELAYA, FILTEP, FILTEZ, PREDIC: the next prediction. Neither differences nor twice the
        // differences leave 16 bits, as the scale has a maximum, so these need no check.
        self.d.copy_within(..5, 1);
        self.d[0] = d;
        self.r = [r, self.r[0]];
        let poles = ((self.a[0] * saturate(2 * self.r[0])) >> 15)
            + ((self.a[1] * saturate(2 * self.r[1])) >> 15);
        let zeros = self.b.iter().zip(&self.d).rev();
        self.sz = zeros.fold(0, |sum, (b, d)| saturate(sum + ((b * 2 * d) >> 15)));
        self.s = saturate(saturate(poles) + self.sz);
    }
}

/// The nearest number of 16 bits.
#[inline]
pub(super) const fn saturate(value: i32) -> i32 {
    if value > i16::MAX as i32 {
        i16::MAX as i32
    } else if value < i16::MIN as i32 {
        i16::MIN as i32
    } else {
        value
    }
}
