//! Masking of WebSocket payloads (RFC 6455 5.3).

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

/// Bytes that are masked in one step; a multiple of four.
const STEP_BYTES: usize = 16;

/// Masks or unmasks `payload` in place with `key` (RFC 6455 5.3; the operation is its own
/// inverse).
///
/// `phase` is the position of `payload[0]` in the frame's payload, so that a payload may be
/// treated in pieces of any length.
pub fn mask_in_place(payload: &mut [u8], key: [u8; 4], phase: usize) {
    // The position counts modulo four, so rotating the key once saves doing it for each byte.
    let mut key = key;
    key.rotate_left(phase & 3);
    let word = u32::from_ne_bytes(key);
    let wide = u128::from(word) | u128::from(word) << 32;
    let wide = wide | wide << 64;
    let (steps, rest) = payload.as_chunks_mut::<STEP_BYTES>();
    for step in steps {
        *step = (u128::from_ne_bytes(*step) ^ wide).to_ne_bytes();
    }
    for (byte, key) in rest.iter_mut().zip(key.iter().cycle()) {
        *byte ^= key;
    }
}

/// Where a client's masking keys come from.
///
/// A peer, or whoever chooses a payload, must not be able to predict the keys (RFC 6455 5.3 and
/// 10.3), so this is a cipher's key stream, ChaCha with eight rounds, and not a fast generator.
/// It computes 64 keys at a time and never allocates. One per worker is enough.
pub struct MaskKeys(ChaCha8Rng);

impl MaskKeys {
    /// A stream of keys from 32 bytes of the operating system's randomness.
    pub fn new(seed: [u8; 32]) -> Self {
        Self(ChaCha8Rng::from_seed(seed))
    }

    /// The key of the next frame.
    #[inline]
    pub fn next_key(&mut self) -> [u8; 4] {
        self.0.next_u32().to_ne_bytes()
    }
}

impl std::fmt::Debug for MaskKeys {
    // The state would tell the keys to come.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("MaskKeys(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::{MaskKeys, mask_in_place};

    /// RFC 6455 5.3, byte by byte.
    fn reference(payload: &[u8], key: [u8; 4], phase: usize) -> Vec<u8> {
        payload.iter().enumerate().map(|(i, byte)| byte ^ key[(i + phase) % 4]).collect()
    }

    /// Every length up to several steps, every phase and every alignment agrees with the
    /// definition, and bytes outside the slice stay as they were.
    #[test]
    fn agrees_with_the_definition_at_every_length_phase_and_alignment() {
        let key = [0x37, 0xfa, 0x21, 0x3d];
        let source: Vec<u8> = (0..400u32).map(|i| (i * 31 + 7) as u8).collect();
        for len in (0..=130).chain([159, 160, 161, 255, 256, 300]) {
            for phase in 0..8 {
                for align in 0..16 {
                    let mut buffer = source.clone();
                    mask_in_place(&mut buffer[align..align + len], key, phase);
                    let wanted = reference(&source[align..align + len], key, phase);
                    assert_eq!(&buffer[align..align + len], wanted, "{len} {phase} {align}");
                    assert_eq!(&buffer[..align], &source[..align]);
                    assert_eq!(&buffer[align + len..], &source[align + len..]);
                }
            }
        }
    }

    /// A payload masked in two pieces, cut anywhere, equals one masked at once.
    #[test]
    fn pieces_join() {
        let key = [1, 2, 3, 4];
        let source: Vec<u8> = (0..100).collect();
        let whole = reference(&source, key, 0);
        for cut in 0..=source.len() {
            let mut buffer = source.clone();
            let (first, second) = buffer.split_at_mut(cut);
            mask_in_place(first, key, 0);
            mask_in_place(second, key, cut);
            assert_eq!(buffer, whole, "cut at {cut}");
        }
    }

    /// Keys depend on the seed, differ from one another, and are not shown by `Debug`.
    #[test]
    fn keys_differ_and_stay_hidden() {
        let mut keys = MaskKeys::new([7; 32]);
        let mut seen: Vec<[u8; 4]> = (0..1000).map(|_| keys.next_key()).collect();
        let mut again = MaskKeys::new([7; 32]);
        assert!(seen.iter().all(|key| *key == again.next_key()));
        let mut other = MaskKeys::new([8; 32]);
        assert!(seen.iter().any(|key| *key != other.next_key()));
        seen.sort_unstable();
        seen.dedup();
        assert!(seen.len() > 990, "{} different keys of 1000", seen.len());
        assert_eq!(format!("{keys:?}"), "MaskKeys(..)");
    }
}
