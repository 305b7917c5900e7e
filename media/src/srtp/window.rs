//! Which packets were seen (RFC 3711 3.3.2), and which index a sequence number stands for.

/// Packets behind the newest that can still be told from replays.
pub(super) const WINDOW_PACKETS: u64 = 128;

/// The newest index, and which of those before it were seen.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Window {
    newest: u64,
    /// Bit `n` tells that the packet `n` behind the newest was seen.
    seen: u128,
}

impl Window {
    /// True if `index` was not seen and is not too old to tell.
    pub(super) const fn admits(&self, index: u64) -> bool {
        if self.seen == 0 || index > self.newest {
            return true;
        }
        let behind = self.newest - index;
        behind < WINDOW_PACKETS && self.seen >> behind & 1 == 0
    }

    /// Notes an authentic packet.
    pub(super) fn note(&mut self, index: u64) {
        if self.seen == 0 {
            *self = Self { newest: index, seen: 1 };
        } else if index > self.newest {
            let ahead = u32::try_from(index - self.newest).unwrap_or(u32::MAX);
            self.seen = self.seen.checked_shl(ahead).unwrap_or(0) | 1;
            self.newest = index;
        } else if self.newest - index < WINDOW_PACKETS {
            self.seen |= 1 << (self.newest - index);
        }
    }

    /// True if nothing was noted.
    pub(super) const fn is_empty(&self) -> bool {
        self.seen == 0
    }

    /// The newest index that was noted, or zero.
    pub(super) const fn newest(&self) -> u64 {
        self.newest
    }
}

/// The 48-bit index that `seq` most likely stands for when `newest` is the highest so far
/// (RFC 3711 3.3.1, appendix A): the nearest. `None` if that lies before the first or behind the
/// last of all indices.
pub(super) const fn guess(newest: u64, seq: u16) -> Option<u64> {
    let distance = seq.wrapping_sub(newest as u16).cast_signed() as i64;
    match newest.checked_add_signed(distance) {
        Some(index) if index <= INDEX_MAX => Some(index),
        _ => None,
    }
}

/// The last index of a key: 2^48 packets (RFC 3711 9.2).
pub(super) const INDEX_MAX: u64 = (1 << 48) - 1;
/// The last index of SRTCP: 2^31 packets (RFC 3711 9.2).
pub(super) const RTCP_INDEX_MAX: u32 = (1 << 31) - 1;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// RFC 3711 appendix A, as it is written there.
    fn appendix_a(roc: u32, s_l: u16, seq: u16) -> i64 {
        let (s_l, seq, roc) = (i64::from(s_l), i64::from(seq), i64::from(roc));
        let v = if s_l < 32_768 {
            if seq - s_l > 32_768 { roc - 1 } else { roc }
        } else if s_l - 32_768 > seq {
            roc + 1
        } else {
            roc
        };
        seq + v * 65_536
    }

    proptest! {
        /// The guess is the RFC's, but for the one distance of exactly 2^15 that the RFC puts
        /// ahead for half of all numbers and behind for the others.
        #[test]
        fn guesses_as_the_rfc(roc in prop_oneof![0..3_u32, any::<u32>()], s_l: u16, seq: u16) {
            prop_assume!(seq.wrapping_sub(s_l) != 0x8000);
            let newest = u64::from(roc) << 16 | u64::from(s_l);
            let expected = appendix_a(roc, s_l, seq);
            let valid = (0..=INDEX_MAX.cast_signed()).contains(&expected);
            prop_assert_eq!(guess(newest, seq), valid.then_some(expected.cast_unsigned()));
        }

        /// No index passes twice, and none that was not noted is kept out while it is in reach.
        #[test]
        fn admits_once(steps in proptest::collection::vec(0..400_u64, 1..300)) {
            let (mut window, mut seen) = (Window::default(), std::collections::BTreeSet::new());
            for index in steps {
                let newest = seen.last().copied().unwrap_or(0);
                let in_reach = seen.is_empty() || index + WINDOW_PACKETS > newest;
                prop_assert_eq!(window.admits(index), in_reach && !seen.contains(&index));
                if window.admits(index) {
                    window.note(index);
                    seen.insert(index);
                }
            }
        }
    }

    /// Far jumps do not carry old marks along.
    #[test]
    fn forgets_beyond_the_window() {
        let mut window = Window::default();
        window.note(5);
        window.note(u64::MAX >> 16);
        assert!(!window.admits(5) && window.admits((u64::MAX >> 16) - 1));
        assert!(!window.admits(u64::MAX >> 16));
    }
}
