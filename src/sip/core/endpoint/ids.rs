//! Tags, branches and Call-IDs that nobody can guess (RFC 3261 19.3, 8.1.1.7, 8.1.1.4).

use std::fmt::Write as _;
use std::hash::{BuildHasher, Hash, RandomState};

use rand_chacha::ChaCha12Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

use crate::sip::core::headers::BRANCH_COOKIE;

/// A source of identifiers.
pub(super) struct Ids {
    rng: ChaCha12Rng,
    keys: [RandomState; 2],
}

impl Ids {
    pub(super) fn new(seed: u64) -> Self {
        let keys = [RandomState::new(), RandomState::new()];
        Self { rng: ChaCha12Rng::seed_from_u64(seed), keys }
    }

    /// A random number.
    pub(super) fn number(&mut self) -> u64 {
        self.rng.next_u64()
    }

    /// A random number below `bound`, which is not 0.
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.rng.next_u64() % bound.max(1)
    }

    /// A Call-ID of 128 bits.
    pub(super) fn call_id(&mut self) -> String {
        let mut text = String::with_capacity(32);
        let _ = write!(text, "{:016x}{:016x}", self.number(), self.number());
        text
    }

    /// A digest of `value` that a peer cannot predict or collide.
    pub(super) fn digest(&self, value: &impl Hash) -> u128 {
        let [a, b] = &self.keys;
        u128::from(a.hash_one(value)) << 64 | u128::from(b.hash_one(value))
    }
}

/// The text of a tag.
pub(super) fn tag_text(tag: u64) -> String {
    format!("{tag:016x}")
}

/// The number of a tag that [`tag_text`] wrote.
pub(super) fn tag_number(text: &str) -> Option<u64> {
    hex16(text)
}

/// The text of a branch.
pub(super) fn branch_text(branch: u64) -> String {
    format!("{BRANCH_COOKIE}{branch:016x}")
}

/// The number of a branch that [`branch_text`] wrote.
pub(super) fn branch_number(text: &str) -> Option<u64> {
    let (cookie, rest) = text.split_at_checked(BRANCH_COOKIE.len())?;
    if !cookie.eq_ignore_ascii_case(BRANCH_COOKIE) {
        return None;
    }
    hex16(rest)
}

fn hex16(text: &str) -> Option<u64> {
    let digits = text.len() == 16 && text.bytes().all(|b| b.is_ascii_hexdigit());
    if digits { u64::from_str_radix(text, 16).ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What was written is read back; anything else is not ours.
    #[test]
    fn tags_and_branches_round_trip() {
        let mut ids = Ids::new(1);
        for _ in 0..100 {
            let n = ids.number();
            assert_eq!(tag_number(&tag_text(n)), Some(n));
            assert_eq!(branch_number(&branch_text(n)), Some(n));
        }
        for text in ["", "1", "z9hG4bK", "z9hG4bK+00000000000000f", "z9hG4bK0123456789abcdeg"] {
            assert_eq!(branch_number(text), None);
            assert_eq!(tag_number(text), None);
        }
        assert_eq!(tag_number("+123456789abcdef"), None);
        assert_eq!(ids.call_id().len(), 32);
        assert_eq!(Ids::new(7).number(), Ids::new(7).number());
    }
}
