//! Several who talk at once: sums of linear samples.
//!
//! Who takes part hears the sum of all others and never itself ([`minus`]). A sum that would leave
//! the range is cut off there and does not wrap: two people who shout at the same time are heard a
//! little flat, not as a crackle.

/// Adds `other` to `sum`, sample by sample, as many as both hold.
///
/// A plain loop that compiles to saturating vector code on every target.
#[inline]
pub fn add(sum: &mut [i16], other: &[i16]) {
    for (sum, other) in sum.iter_mut().zip(other) {
        *sum = sum.saturating_add(*other);
    }
}

/// Writes to `out` what the one at `place` hears of a conversation whose parts are `parts`: the sum
/// of all others. What a part is short of is silence.
#[inline]
pub fn minus<const PARTS: usize>(parts: &[&[i16]; PARTS], place: usize, out: &mut [i16]) {
    out.fill(0);
    for (number, part) in parts.iter().enumerate() {
        if number != place {
            add(out, part);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every pair of a coarse grid with the ends of the range: the sum, or the end that it would
    /// leave by.
    #[test]
    fn sums_are_cut_off_at_the_ends() {
        let grid: Vec<i16> =
            (i16::MIN..=i16::MAX).step_by(251).chain([-1, 0, 1, i16::MAX]).collect();
        for one in &grid {
            let mut sums = vec![*one; grid.len()];
            add(&mut sums, &grid);
            for (sum, other) in sums.iter().zip(&grid) {
                let exact = i32::from(*one) + i32::from(*other);
                assert_eq!(i32::from(*sum), exact.clamp(i16::MIN.into(), i16::MAX.into()));
            }
        }
    }

    /// Each of three hears the two others, at every length, and what lies behind a shorter part is
    /// the rest of the other alone.
    #[test]
    fn each_hears_the_others() {
        let tone = |step: i16, len: usize| -> Vec<i16> {
            (0..len).map(|n| (n as i16).wrapping_mul(step) % 9_000).collect()
        };
        for len in [0, 1, 7, 160, 161, 960] {
            let parts = [tone(3, len), tone(5, len / 2), tone(-7, len)];
            let slices: [&[i16]; 3] = std::array::from_fn(|n| parts[n].as_slice());
            for place in 0..3 {
                let mut heard = vec![0x5555; len];
                minus(&slices, place, &mut heard);
                for (n, heard) in heard.iter().enumerate() {
                    let others = (0..3).filter(|part| *part != place);
                    let sum: i32 = others
                        .map(|part| i32::from(parts[part].get(n).copied().unwrap_or(0)))
                        .sum();
                    assert_eq!(i32::from(*heard), sum, "sample {n} of {len} at {place}");
                }
            }
        }
    }
}
