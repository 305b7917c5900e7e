//! Audio that came before it could be given on.

use crate::stream::FrameSlot;
use crate::wire::WireError;

/// Audio that waits at most, in bytes; what comes then is lost.
const STASH_BYTES_MAX: usize = 16 * 1024;

/// Audio that goes in front of what comes next.
#[derive(Debug, Default)]
pub(crate) struct Stash(Vec<u8>);

impl Stash {
    /// Keeps `audio`, whole or not at all.
    pub(crate) fn keep(&mut self, audio: &[u8]) {
        if self.0.len() + audio.len() <= STASH_BYTES_MAX {
            self.0.extend_from_slice(audio);
        }
    }

    /// Makes what was kept and `audio` the frame.
    ///
    /// # Errors
    ///
    /// [`WireError::BadFrame`] if there is not enough room.
    #[inline]
    pub(crate) fn fill(&mut self, audio: &[u8], slot: &mut FrameSlot<'_>) -> Result<(), WireError> {
        if self.0.is_empty() {
            return slot.fill(audio);
        }
        let mut kept = std::mem::take(&mut self.0);
        kept.extend_from_slice(audio);
        slot.fill(&kept)
    }

    /// Forgets what was kept.
    pub(crate) fn clear(&mut self) {
        self.0 = Vec::new();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What was kept comes once, in front; there is a limit, and no part of a frame is kept.
    #[test]
    fn kept_once_and_bounded() {
        let (mut stash, mut room) = (Stash::default(), [0; 2 * STASH_BYTES_MAX]);
        stash.keep(b"ab");
        stash.keep(b"cd");
        let mut slot = FrameSlot::new(&mut room);
        stash.fill(b"ef", &mut slot).unwrap();
        assert_eq!(slot.filled(), b"abcdef");
        stash.fill(b"gh", &mut slot).unwrap();
        assert_eq!(slot.filled(), b"gh");
        stash.keep(&vec![1; STASH_BYTES_MAX - 1]);
        stash.keep(&[2; 2]);
        stash.fill(b"", &mut slot).unwrap();
        assert_eq!(slot.filled(), vec![1; STASH_BYTES_MAX - 1]);
        stash.keep(b"x");
        stash.clear();
        stash.fill(b"y", &mut slot).unwrap();
        assert_eq!(slot.filled(), b"y");
        stash.keep(b"x");
        assert!(stash.fill(&[0; 4], &mut FrameSlot::new(&mut [0; 4])).is_err());
    }
}
