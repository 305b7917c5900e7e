//! The order of the bytes of linear audio, which the carrier does not document: found out from
//! what comes.

use super::fields::ByteOrder;

/// Mean step from sample to sample below which a frame is too quiet to tell anything.
const STEP_MIN: u64 = 64;
/// How many times rougher a signal must be with its bytes exchanged, to be sure.
const ROUGHER: u64 = 4;

/// What is known of the order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Order {
    settled: bool,
    /// True if the carrier's bytes are not in the order that the format says.
    exchanged: bool,
}

impl Order {
    pub(super) fn new(configured: ByteOrder, is_linear: bool) -> Self {
        Self { settled: !is_linear || configured != ByteOrder::Found, exchanged: false }
    }

    /// True if bytes have to be exchanged on their way in and out.
    pub(super) const fn exchanged(self) -> bool {
        self.exchanged
    }

    /// Looks at a frame that should be big-endian, until one was loud enough to tell.
    pub(super) fn observe(&mut self, audio: &[u8]) {
        if self.settled {
            return;
        }
        let (big, little) =
            (roughness(audio, i16::from_be_bytes), roughness(audio, i16::from_le_bytes));
        // Speech is smooth; with its bytes exchanged, what was low becomes high.
        if big.min(little) >= STEP_MIN || big.max(little) >= STEP_MIN * ROUGHER {
            let exchanged = little.saturating_mul(ROUGHER) < big;
            let straight = big.saturating_mul(ROUGHER) < little;
            if exchanged || straight {
                *self = Self { settled: true, exchanged };
            }
        }
    }
}

/// Mean step from one sample to the next.
fn roughness(audio: &[u8], read: fn([u8; 2]) -> i16) -> u64 {
    let (samples, _) = audio.as_chunks::<2>();
    let values = samples.iter().map(|sample| read(*sample));
    let steps = values.clone().zip(values.skip(1)).map(|(a, b)| u64::from(a.abs_diff(b)));
    steps.sum::<u64>() / (samples.len() as u64).max(1)
}

/// Exchanges the bytes of each sample.
pub(super) fn exchange(audio: &mut [u8]) {
    for sample in audio.as_chunks_mut::<2>().0 {
        sample.swap(0, 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tone(peak: f64, write: fn(i16) -> [u8; 2]) -> Vec<u8> {
        let sample = |n: u32| (f64::from(n) * 0.157).sin() * peak;
        (0..320).flat_map(|n| write(sample(n) as i16)).collect()
    }

    /// The first frame with sound in it settles the order, whichever it is; silence does not, and
    /// what is configured is not looked for.
    #[test]
    fn sound_settles_the_order() {
        for (write, exchanged) in
            [(i16::to_be_bytes as fn(i16) -> [u8; 2], false), (i16::to_le_bytes, true)]
        {
            let mut order = Order::new(ByteOrder::Found, true);
            order.observe(&[0; 640]);
            order.observe(&tone(3.0, i16::to_be_bytes)[..0]);
            assert!(!order.settled);
            order.observe(&tone(8000.0, write));
            assert_eq!(order, Order { settled: true, exchanged });
            order.observe(&tone(
                8000.0,
                if exchanged { i16::to_be_bytes } else { i16::to_le_bytes },
            ));
            assert_eq!(order.exchanged(), exchanged, "once is enough");
        }
        let mut order = Order::new(ByteOrder::Big, true);
        order.observe(&tone(8000.0, i16::to_le_bytes));
        assert!(!order.exchanged());
    }

    /// Exchanging twice changes nothing, and a lonely last byte stays.
    #[test]
    fn exchanging() {
        let mut audio = [1, 2, 3, 4, 5];
        exchange(&mut audio);
        assert_eq!(audio, [2, 1, 4, 3, 5]);
        exchange(&mut audio);
        assert_eq!(audio, [1, 2, 3, 4, 5]);
    }
}
