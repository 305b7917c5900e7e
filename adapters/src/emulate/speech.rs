//! What a person has still to say.

use std::collections::VecDeque;

use media::codec::g711::Law;

use super::Quirks;

/// Silence in µ-law.
const MU_SILENCE: u8 = 0xff;
/// Silence in linear audio.
const LINEAR_SILENCE: u8 = 0;

/// Audio that waits to be said, and silence behind it.
pub(crate) struct Speech {
    waits: VecDeque<u8>,
    silence: u8,
    /// Most that waits, in bytes.
    most_bytes: usize,
}

impl Speech {
    /// Of µ-law; what is more than `most_bytes` is not said.
    pub(crate) const fn mu(most_bytes: usize) -> Self {
        Self { waits: VecDeque::new(), silence: MU_SILENCE, most_bytes }
    }

    /// Of linear audio; what is more than `most_bytes` is not said.
    pub(crate) const fn linear(most_bytes: usize) -> Self {
        Self { waits: VecDeque::new(), silence: LINEAR_SILENCE, most_bytes }
    }

    /// The person says this next.
    pub(crate) fn speak(&mut self, audio: &[u8]) {
        let room = self.most_bytes.saturating_sub(self.waits.len());
        self.waits.extend(audio.iter().take(room));
    }

    /// The next `bytes` of it.
    pub(crate) fn take(&mut self, bytes: usize) -> Vec<u8> {
        let silence = self.silence;
        (0..bytes).map(|_| self.waits.pop_front().unwrap_or(silence)).collect()
    }

    /// The next `bytes` of µ-law, which is A-law where the quirks have it.
    pub(crate) fn take_coded(&mut self, bytes: usize, quirks: &Quirks) -> Vec<u8> {
        let mut audio = self.take(bytes);
        if quirks.alaw {
            for byte in &mut audio {
                *byte = Law::A.code(Law::Mu.sample(*byte));
            }
        }
        audio
    }
}
