//! Sample-numbered audio for the barge-in trials: from any byte of it on the wire one can tell
//! which sample of which trial plays, so that an agent's ledger can be compared with a recording
//! of the wire to the sample.
//!
//! A block of 16 samples is a sync code, the trial (4 nibbles), the block's number (6 nibbles)
//! and a check (5 nibbles). Trials of odd and even number use different codes, so that the first
//! sample of a trial cannot be the next sample of the one before. None of the codes is quiet
//! enough to be fill.

/// Samples in a block.
pub(crate) const BLOCK: u32 = 16;

/// Sync and digit codes of even and odd trials.
const CODES: [(u8, u8); 2] = [(0x2A, 0x90), (0x3B, 0xB0)];

/// µ-law codes at least this large without their sign bit are quieter than about -50 dBm0:
/// silence or comfort noise.
const QUIET: u8 = 0x60;

fn digit(trial: u16, block: u32, at: u32) -> u8 {
    let number = match at {
        1..=4 => u32::from(trial) >> (4 * (4 - at)),
        5..=10 => block >> (4 * (10 - at)),
        _ => {
            let hash = (u32::from(trial) << 16 ^ block).wrapping_mul(0x9E37_79B1).rotate_right(11);
            hash >> (4 * (15 - at.min(15)))
        }
    };
    (number & 15) as u8
}

/// Sample `position` of a trial.
pub(crate) fn sample(trial: u16, position: u32) -> u8 {
    let (sync, base) = CODES[usize::from(trial & 1)];
    match position % BLOCK {
        0 => sync,
        at => base | digit(trial, position / BLOCK, at),
    }
}

/// A stretch of what was heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Run {
    /// Samples of a trial, in order.
    Played {
        /// The trial.
        trial: u16,
        /// The first sample's position.
        from: u32,
        /// How many.
        count: u32,
    },
    /// Silence or comfort noise.
    Fill(u32),
    /// Samples that are neither what was due next nor fill: lost, repeated or altered audio.
    Unknown(u32),
}

/// Follows the audio of one call from sample to sample.
#[derive(Debug, Default)]
pub(crate) struct Tracker {
    /// The trial that played last and its next sample.
    due: Option<(u16, u32)>,
    /// The first samples, until they are a block and name the trial.
    first: Vec<u8>,
}

/// The trial whose first block this is.
fn trial_of(block: &[u8]) -> Option<u16> {
    let digits = block.get(1..5)?;
    let trial = digits.iter().fold(0u16, |sum, byte| sum << 4 | u16::from(byte & 15));
    let exact = (0..BLOCK).zip(block).all(|(at, byte)| sample(trial, at) == *byte);
    (exact && block.len() == BLOCK as usize).then_some(trial)
}

impl Tracker {
    fn step(&mut self, byte: u8) -> Option<Run> {
        if byte & 0x7F >= QUIET {
            return Some(Run::Fill(1));
        }
        let Some((trial, position)) = self.due else { return self.begin(byte) };
        let next = trial.wrapping_add(1);
        let (trial, from) = if byte == sample(trial, position) {
            (trial, position)
        } else if byte == sample(next, 0) {
            (next, 0)
        } else {
            return Some(Run::Unknown(1));
        };
        self.due = Some((trial, from + 1));
        Some(Run::Played { trial, from, count: 1 })
    }

    fn begin(&mut self, byte: u8) -> Option<Run> {
        self.first.push(byte);
        if self.first.len() < BLOCK as usize {
            return None;
        }
        let Some(trial) = trial_of(&self.first) else {
            self.first.remove(0);
            return Some(Run::Unknown(1));
        };
        self.due = Some((trial, BLOCK));
        Some(Run::Played { trial, from: 0, count: BLOCK })
    }

    /// Takes the payload of the next packet and reports what it held, in stretches. The first
    /// trial is recognised by its first block.
    pub(crate) fn feed(&mut self, payload: &[u8], mut report: impl FnMut(Run)) {
        let mut current: Option<Run> = None;
        for &byte in payload {
            let Some(run) = self.step(byte) else { continue };
            current = match (current, run) {
                (
                    Some(Run::Played { trial, from, count }),
                    Run::Played { trial: same, from: next, count: more },
                ) if same == trial && next == from + count => {
                    Some(Run::Played { trial, from, count: count + more })
                }
                (Some(Run::Fill(count)), Run::Fill(more)) => Some(Run::Fill(count + more)),
                (Some(Run::Unknown(count)), Run::Unknown(more)) => Some(Run::Unknown(count + more)),
                (before, run) => {
                    before.into_iter().for_each(&mut report);
                    Some(run)
                }
            };
        }
        current.into_iter().for_each(report);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn audio(trial: u16, from: u32, count: u32) -> Vec<u8> {
        (from..from + count).map(|position| sample(trial, position)).collect()
    }

    fn runs(tracker: &mut Tracker, payload: &[u8]) -> Vec<Run> {
        let mut list = Vec::new();
        tracker.feed(payload, |run| list.push(run));
        list
    }

    /// Wherever a trial is cut, the next one's first sample is recognised as such.
    #[test]
    fn a_cut_at_any_sample_is_exact() {
        for trial in [0u16, 1, 950, 65_535] {
            for cut in BLOCK..=200 {
                let mut tracker = Tracker::default();
                let wire = [audio(trial, 0, cut), audio(trial.wrapping_add(1), 0, 50)].concat();
                assert_eq!(
                    runs(&mut tracker, &wire),
                    [
                        Run::Played { trial, from: 0, count: cut },
                        Run::Played { trial: trial.wrapping_add(1), from: 0, count: 50 },
                    ]
                );
            }
        }
    }

    /// Fill interrupts without losing the place; a skipped sample is not taken for the due one.
    #[test]
    fn fill_and_gaps() {
        let mut tracker = Tracker::default();
        let wire = [audio(0, 0, 40), vec![0xFF; 7], audio(0, 40, 5)].concat();
        assert_eq!(
            runs(&mut tracker, &wire),
            [
                Run::Played { trial: 0, from: 0, count: 40 },
                Run::Fill(7),
                Run::Played { trial: 0, from: 40, count: 5 },
            ]
        );
        let skipped = runs(&mut tracker, &audio(0, 61, 160));
        assert!(skipped.iter().any(|run| matches!(run, Run::Unknown(_))));
    }

    /// Before its first whole block nothing is taken for a trial.
    #[test]
    fn the_first_block_names_the_trial() {
        let mut tracker = Tracker::default();
        let wire = [vec![0xFF; 3], vec![0x10; 2], audio(700, 0, 20)].concat();
        assert_eq!(
            runs(&mut tracker, &wire),
            [Run::Fill(3), Run::Unknown(2), Run::Played { trial: 700, from: 0, count: 20 },]
        );
    }

    /// The blocks of 20 s of audio differ from each other, and trials differ too.
    #[test]
    fn blocks_are_unique() {
        let mut seen = std::collections::HashSet::new();
        for trial in [0, 1, 2, 999] {
            for block in 0..10_000 {
                assert!(seen.insert(audio(trial, block * BLOCK, BLOCK)));
            }
        }
    }
}
