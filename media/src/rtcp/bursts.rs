//! Bursts and gaps of loss (RFC 3611 4.7.2, appendix A.2).

/// Packets received in a row that end a burst (RFC 3611 4.7.2).
pub const GMIN: u8 = 16;

/// Counts transitions between packets that came and packets that were lost.
///
/// A burst is a stretch that begins and ends with a loss and has no run of [`GMIN`] packets that
/// came; what is between bursts is a gap.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bursts {
    /// Packets that came since the last loss.
    came: u64,
    /// Losses since the last gap.
    in_burst: u64,
    /// Came, within gaps.
    c11: u64,
    /// Began a burst.
    c13: u64,
    /// Lost alone, within a gap.
    c14: u64,
    /// Came, within bursts.
    c22: u64,
    /// Lost after one that came, within bursts.
    c23: u64,
    /// Lost after one that was lost.
    c33: u64,
}

/// Bursts and gaps as they are reported.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BurstFigures {
    /// Fraction lost within bursts, in 256ths.
    pub burst_density: u8,
    /// Fraction lost within gaps.
    pub gap_density: u8,
    /// Mean packets of a burst.
    pub burst_packets: u32,
    /// Mean packets of a gap.
    pub gap_packets: u32,
}

impl Bursts {
    /// The next packet came.
    #[inline]
    pub const fn came(&mut self) {
        self.came += 1;
    }

    /// The next packet was lost.
    pub const fn lost(&mut self) {
        if self.came >= GMIN as u64 {
            // The loss before, if it stood alone, was one within a gap.
            if self.in_burst == 1 {
                self.c14 += 1;
            } else {
                self.c13 += 1;
            }
            self.in_burst = 1;
            self.c11 += self.came;
        } else {
            self.in_burst += 1;
            if self.came == 0 {
                self.c33 += 1;
            } else {
                self.c23 += 1;
                self.c22 += self.came - 1;
            }
        }
        self.came = 0;
    }

    /// What is reported of the packets up to now.
    pub fn figures(&self) -> BurstFigures {
        // Each burst that began ended, but for the last.
        let c31 = self.c13;
        // Each return to a loss within a burst began with a packet that came.
        let c32 = self.c23;
        let gap = self.c11 + self.came + self.c14 + self.c13;
        let total = gap + self.c22 + self.c23 + c31 + c32 + self.c33;
        let gap_density = ratio(256 * self.c14, self.c11 + self.c14 + self.came);
        if self.c13 == 0 {
            return BurstFigures { gap_density, gap_packets: clamp(total), ..Default::default() };
        }
        // p23 / (p23 + p32), where p32 = c32 / (c31 + c32 + c33) and p23 = c23 / (c22 + c23).
        let p32 = c32 as f64 / (c31 + c32 + self.c33).max(1) as f64;
        let p23 = match self.c22 + self.c23 {
            0 => 1.0,
            both => self.c23 as f64 / both as f64,
        };
        let density = 256.0 * p23 / (p23 + p32);
        BurstFigures {
            burst_density: density.clamp(0.0, 255.0) as u8,
            gap_density,
            burst_packets: clamp((total - gap) / self.c13),
            gap_packets: clamp(gap / self.c13),
        }
    }

    /// How much longer runs of losses are than those of as many random losses: BurstR of ITU-T
    /// G.107 clause 3.5, at least 1.
    pub fn burst_ratio(&self) -> f32 {
        let runs = self.c13 + self.c14 + self.c23;
        let lost = runs + self.c33;
        let came = self.c11 + self.c22 + self.c23 + self.came;
        if runs == 0 {
            return 1.0;
        }
        let mean = lost as f32 / runs as f32;
        let random = 1.0 - lost as f32 / (lost + came) as f32;
        (mean * random).max(1.0)
    }
}

fn ratio(part: u64, whole: u64) -> u8 {
    let ratio = part.checked_div(whole).unwrap_or(0);
    u8::try_from(ratio).unwrap_or(u8::MAX)
}

fn clamp(packets: u64) -> u32 {
    u32::try_from(packets).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(text: &str) -> Bursts {
        let mut bursts = Bursts::default();
        for c in text.chars() {
            if c == '.' { bursts.came() } else { bursts.lost() }
        }
        bursts
    }

    /// Nothing lost, single losses in a gap, bursts of several lengths.
    #[test]
    fn tells_bursts_from_gaps() {
        let far = ".".repeat(40);
        let none = pattern(&far).figures();
        assert_eq!(none, BurstFigures { gap_packets: 40, ..BurstFigures::default() });

        // The first loss of a stream is taken for the start of a burst (appendix A.2: `lost` is 0).
        let alone = pattern(&format!("{far}x{far}x{far}x{far}")).figures();
        assert_eq!((alone.gap_density, alone.burst_density), (3, 255));

        let burst = format!("{far}xxxxxxxx");
        let two = pattern(&format!("{burst}{burst}{far}"));
        assert_eq!(two.figures().burst_packets, 8);
        assert_eq!(two.figures().gap_packets, 61);
        assert_eq!(two.figures().burst_density, 255);

        // Every other packet of a burst lost: half of it, within rounding.
        let half = format!("{far}{}", "x.".repeat(20));
        let density = pattern(&format!("{half}{half}{far}")).figures().burst_density;
        assert!((126..=136).contains(&density), "{density}");
    }

    /// Random loss has a ratio of about one, loss in runs of four one of about four.
    #[test]
    fn ratio_of_runs() {
        let mut random = Bursts::default();
        let mut state = 1_u32;
        for _ in 0..200_000 {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            if state >> 16 < 6_554 { random.lost() } else { random.came() }
        }
        assert!((0.95..1.05).contains(&random.burst_ratio()), "{}", random.burst_ratio());
        let runs = pattern(&format!("xxxx{}", ".".repeat(76)).repeat(100));
        assert!((3.7..=3.9).contains(&runs.burst_ratio()), "{}", runs.burst_ratio());
        assert!((pattern("").burst_ratio() - 1.0).abs() < f32::EPSILON);
    }

    /// No order of packets makes a figure leave its range.
    #[test]
    fn bears_every_order() {
        for order in 0..1_u32 << 16 {
            let mut bursts = Bursts::default();
            for bit in 0..32 {
                if order >> (bit % 16) & 1 == 0 { bursts.came() } else { bursts.lost() }
            }
            let BurstFigures { burst_packets, gap_packets, .. } = bursts.figures();
            assert!(burst_packets <= 80 && gap_packets <= 80);
            assert!(bursts.burst_ratio() >= 1.0);
        }
    }
}
