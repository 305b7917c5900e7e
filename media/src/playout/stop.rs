//! Places in the queue at which somebody else is heard first.

use super::Playout;

impl Playout {
    /// Lets what was accepted so far be played, and nothing behind it before
    /// [`Playout::go_on`]: somebody else is heard between.
    pub fn stop_here(&mut self) {
        self.boundary = self.pushed;
        self.stops.push_back(self.pushed);
    }

    /// True if all before the next stop has been played or dropped, or there is none.
    pub fn may_break(&self) -> bool {
        self.stops.front().is_none_or(|stop| *stop <= self.head)
    }

    /// Goes on behind the stop that was reached.
    pub fn go_on(&mut self) {
        if self.may_break() {
            self.stops.pop_front();
        }
    }

    /// True while nothing is played because of a stop.
    pub(super) fn is_stopped(&self) -> bool {
        !self.stops.is_empty() && self.may_break()
    }

    /// Bytes that may be played before the next stop.
    pub(super) fn bytes_to_stop(&self) -> usize {
        let Some(stop) = self.stops.front() else { return usize::MAX };
        let samples = usize::try_from(stop.saturating_sub(self.head)).unwrap_or(usize::MAX);
        samples.saturating_mul(self.config.sample_bytes)
    }
}

#[cfg(test)]
mod tests {
    use crate::blocks::BlockPool;
    use crate::codec::AudioFormat;
    use crate::playout::{Playout, PlayoutConfig, Popped};
    use crate::time::MonoTime;

    const NOW: MonoTime = MonoTime::ZERO;

    /// Not a sample from behind a stop leaves before it, and none is lost: the frame before is
    /// filled with silence, and the rest follows once it goes on.
    #[test]
    fn nothing_passes_a_stop() {
        let mut pool = BlockPool::new(64);
        let mut playout = Playout::new(PlayoutConfig::new(AudioFormat::PCMU, 20, 8000));
        let mut frame = [0; 160];
        assert!(playout.may_break(), "nothing is before it");
        let _ = playout.push(NOW, &mut pool, &[1; 200]);
        playout.stop_here();
        let _ = playout.push(NOW, &mut pool, &[2; 200]);
        playout.stop_here();
        for (expected, stops) in [(1, false), (2, true)] {
            assert!(!playout.may_break());
            assert!(matches!(playout.pop(NOW, &mut pool, &mut frame), Popped::Frame { .. }));
            assert_eq!(frame, [expected; 160]);
            let popped = playout.pop(NOW, &mut pool, &mut frame);
            assert!(matches!(popped, Popped::Frame { fill_bytes: 120, .. }), "{popped:?}");
            assert_eq!(frame[..40], [expected; 40]);
            assert!(playout.may_break());
            for _ in 0..3 {
                assert_eq!(playout.pop(NOW, &mut pool, &mut frame), Popped::Empty);
            }
            playout.go_on();
            assert_eq!(playout.drained(), stops);
        }
        let _ = playout.push(NOW, &mut pool, &[3; 160]);
        playout.stop_here();
        playout.clear(NOW, &mut pool);
        assert!(playout.may_break());
        let _ = playout.push(NOW, &mut pool, &[4; 160]);
        assert!(matches!(playout.pop(NOW, &mut pool, &mut frame), Popped::Frame { .. }));
        playout.release(&mut pool);
    }
}
