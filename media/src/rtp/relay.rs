//! One stream passed on as part of another: numbers and times of the one mapped to the other's.

use super::arrival::Arrival;
use super::sender::Sender;

/// Where a packet that is passed on stands in the outgoing stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Sequence number.
    pub seq: u16,
    /// Timestamp.
    pub ts: u32,
}

/// Maps a received stream to a sender's. Order, gaps and pauses are kept, so that the far end sees
/// what came, as it came; sources and sequences that start anew go on without a seam, because the
/// receiver's timeline does.
#[derive(Clone, Copy, Debug)]
pub struct Relay {
    /// Clock of what comes, in Hz.
    from_hz: u32,
    /// Clock of what goes, in Hz.
    to_hz: u32,
    anchor: Option<Anchor>,
    /// What comes next if nothing is lost.
    next_ext: u64,
}

/// A point at which both streams are tied together.
#[derive(Clone, Copy, Debug)]
struct Anchor {
    ext_seq: u64,
    ext_ts: u64,
    place: Place,
    /// What the sender's next number is unless somebody else sends.
    next_seq: u16,
}

impl Anchor {
    /// Goes on behind a packet that was left out, at the number `seq`. Packets before it have no
    /// place any more: by the new rule they would get numbers that others had.
    const fn resume(&mut self, left_out: Arrival, seq: u16) {
        self.ext_seq = left_out.ext_seq + 1;
        self.place.seq = seq;
    }
}

impl Relay {
    /// Maps a stream whose clock is `from_hz` to one of `to_hz`.
    pub const fn new(from_hz: u32, to_hz: u32) -> Self {
        Self { from_hz, to_hz, anchor: None, next_ext: 0 }
    }

    /// Takes other clocks; the streams are tied together anew.
    pub const fn set_clocks(&mut self, from_hz: u32, to_hz: u32) {
        *self = Self { next_ext: self.next_ext, ..Self::new(from_hz, to_hz) };
    }

    /// Whether a packet is to be tied to the sender's stream, which something else was said on, or
    /// nothing yet: where it stands follows from the sender's media time then.
    #[inline]
    pub fn ties(&self, sender: &Sender, arrival: Arrival) -> bool {
        let tied = self.anchor.is_some_and(|anchor| anchor.next_seq == sender.seq());
        !tied && arrival.ext_seq >= self.next_ext
    }

    /// Leaves out a packet that the far end does not understand, so that it does not miss it. What
    /// was lost before it stays lost.
    pub const fn skip(&mut self, arrival: Arrival) {
        if arrival.ext_seq < self.next_ext {
            return;
        }
        self.next_ext = arrival.ext_seq + 1;
        if let Some(anchor) = &mut self.anchor {
            // What would have been its own.
            let ahead = arrival.ext_seq - anchor.ext_seq;
            anchor.resume(arrival, anchor.place.seq.wrapping_add(ahead as u16));
        }
    }

    /// Leaves out a packet while nothing passes: the far end misses neither it nor what was lost
    /// before it. Media time goes on.
    pub const fn rest(&mut self, arrival: Arrival) {
        if arrival.ext_seq < self.next_ext {
            return;
        }
        self.next_ext = arrival.ext_seq + 1;
        if let Some(anchor) = &mut self.anchor {
            anchor.resume(arrival, anchor.next_seq);
        }
    }

    /// The place of a packet; `None` for one from before the streams were tied together, or before
    /// one that was left out: its number would be another's. Whoever gets a place sends the packet
    /// by it.
    #[inline]
    pub fn place(&mut self, sender: &Sender, arrival: Arrival) -> Option<Place> {
        let anchor = match self.anchor.take() {
            Some(anchor) if anchor.next_seq == sender.seq() => anchor,
            // The first packet, or the sender sent something of its own. A straggler would leave
            // a gap for what came before it.
            _ if arrival.ext_seq < self.next_ext => return None,
            _ => Anchor {
                ext_seq: arrival.ext_seq,
                ext_ts: arrival.ext_ts,
                place: Place { seq: sender.seq(), ts: sender.ts() },
                next_seq: sender.seq(),
            },
        };
        let ahead = arrival.ext_seq.checked_sub(anchor.ext_seq);
        let Some(ahead) = ahead else {
            self.anchor = Some(anchor);
            return None;
        };
        let seq = anchor.place.seq.wrapping_add(ahead as u16);
        let units = i128::from(arrival.ext_ts) - i128::from(anchor.ext_ts);
        let units = units * i128::from(self.to_hz) / i128::from(self.from_hz.max(1));
        let ts = anchor.place.ts.wrapping_add(units as u32);
        let newest = seq.wrapping_sub(anchor.next_seq) < 1 << 15;
        let next_seq = if newest { seq.wrapping_add(1) } else { anchor.next_seq };
        self.next_ext = self.next_ext.max(arrival.ext_seq + 1);
        self.anchor = Some(Anchor { next_seq, ..anchor });
        Some(Place { seq, ts })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rtp::{Continuity, HEADER_BYTES, Packet};
    use crate::time::MonoTime;

    fn arrival(ext_seq: u64, ext_ts: u64) -> Arrival {
        Arrival { ext_seq, ext_ts, gap: 0, continuity: Continuity::Same }
    }

    fn pass(relay: &mut Relay, sender: &mut Sender, seq: u64, ts: u64) -> Option<(u16, u32)> {
        let place = relay.place(sender, arrival(seq, ts))?;
        let mut out = [0; HEADER_BYTES];
        sender.write_at(MonoTime::ZERO, &mut out, 0, place, 160, 160, false);
        let header = Packet::parse(&out).unwrap().header;
        Some((header.seq, header.ts))
    }

    /// Losses stay gaps, packets out of order stay out of order, and a straggler from before the
    /// beginning has no place.
    #[test]
    fn keeps_gaps_and_order() {
        let (mut relay, mut sender) = (Relay::new(8_000, 8_000), Sender::new(1, 65_534, 50));
        let mut pass = |seq, ts| pass(&mut relay, &mut sender, seq, ts);
        assert_eq!(pass(1_000, 9_000), Some((65_534, 50)));
        assert_eq!(pass(1_003, 9_480), Some((1, 530)));
        assert_eq!(pass(1_001, 9_160), Some((65_535, 210)));
        assert_eq!(pass(1_004, 9_640), Some((2, 690)));
        assert_eq!(pass(999, 8_840), None);
        assert_eq!(pass(1_002, 9_320), Some((0, 370)));
        assert_eq!(pass(1_005, 19_640), Some((3, 10_690)));
    }

    /// What is left out leaves no gap in the numbers, and none in time.
    #[test]
    fn leaves_out() {
        let (mut relay, mut sender) = (Relay::new(8_000, 8_000), Sender::new(1, 10, 0));
        assert_eq!(pass(&mut relay, &mut sender, 5, 160), Some((10, 0)));
        relay.skip(arrival(6, 320));
        relay.skip(arrival(7, 320));
        assert_eq!(pass(&mut relay, &mut sender, 8, 640), Some((11, 480)));
        assert_eq!(pass(&mut relay, &mut sender, 9, 800), Some((12, 640)));
    }

    /// While nothing passes, neither what comes nor what is lost leaves a gap in the numbers; a
    /// loss before a packet that is left out for itself does. Stragglers from before get none.
    #[test]
    fn rests_without_a_gap() {
        let (mut relay, mut sender) = (Relay::new(8_000, 8_000), Sender::new(1, 10, 0));
        assert_eq!(pass(&mut relay, &mut sender, 5, 160), Some((10, 0)));
        relay.rest(arrival(6, 320));
        relay.rest(arrival(9, 800));
        assert_eq!(pass(&mut relay, &mut sender, 8, 640), None);
        assert_eq!(pass(&mut relay, &mut sender, 10, 960), Some((11, 800)));
        relay.skip(arrival(12, 1_280));
        relay.skip(arrival(13, 1_440));
        assert_eq!(pass(&mut relay, &mut sender, 11, 1_120), None);
        assert_eq!(pass(&mut relay, &mut sender, 14, 1_600), Some((13, 1_440)));
        relay.skip(arrival(12, 1_280));
        relay.rest(arrival(12, 1_280));
        assert_eq!(pass(&mut relay, &mut sender, 15, 1_760), Some((14, 1_600)));
    }

    /// What becomes of a packet.
    #[derive(Clone, Copy, Debug)]
    enum Fate {
        Passes,
        Late,
        Lost,
        LeftOut,
        Rests,
        /// The sender says something before it.
        Interrupted,
    }

    proptest::proptest! {
        /// Whatever is lost, late, left out or said in between: no number is used twice, which
        /// would undo the secrecy of SRTP, and numbers never run further ahead than what was lost.
        #[test]
        fn no_number_twice(fates in proptest::collection::vec(
            proptest::sample::select(&[
                Fate::Passes, Fate::Passes, Fate::Late, Fate::Lost, Fate::LeftOut, Fate::Rests,
                Fate::Interrupted,
            ][..]),
            1..200,
        )) {
            let (mut relay, mut sender) = (Relay::new(8_000, 8_000), Sender::new(1, 65_500, 0));
            let mut used = std::collections::HashSet::new();
            let (mut missing, mut late) = (0, None);
            for (n, fate) in (100_u64..).zip(fates) {
                let passes = match fate {
                    Fate::Passes => Some(n),
                    Fate::Late => {
                        missing += 1;
                        late.replace(n)
                    }
                    Fate::Lost => {
                        missing += 1;
                        None
                    }
                    Fate::LeftOut => {
                        relay.skip(arrival(n, n * 160));
                        None
                    }
                    Fate::Rests => {
                        relay.rest(arrival(n, n * 160));
                        None
                    }
                    Fate::Interrupted => {
                        assert!(used.insert(sender.seq()), "{} twice", sender.seq());
                        sender.write(MonoTime::ZERO, &mut [0; HEADER_BYTES], 0, 160, 160);
                        Some(n)
                    }
                };
                let next = sender.seq();
                let place = passes.and_then(|n| pass(&mut relay, &mut sender, n, n * 160));
                if let Some((seq, _)) = place {
                    assert!(used.insert(seq), "{seq} twice");
                    let ahead = seq.wrapping_sub(next);
                    let fits = ahead >= 1 << 15 || u64::from(ahead) <= missing;
                    assert!(fits, "{ahead} ahead, {missing} missing");
                }
            }
        }
    }

    /// What the sender says in between moves the rest, and times follow the clocks.
    #[test]
    fn makes_way_for_the_sender() {
        let (mut relay, mut sender) = (Relay::new(8_000, 16_000), Sender::new(1, 10, 0));
        assert_eq!(pass(&mut relay, &mut sender, 5, 160), Some((10, 0)));
        assert_eq!(pass(&mut relay, &mut sender, 6, 320), Some((11, 320)));
        sender.pause(640);
        sender.write(MonoTime::ZERO, &mut [0; HEADER_BYTES], 0, 160, 320);
        let ts = sender.ts();
        assert_eq!(pass(&mut relay, &mut sender, 9, 800), Some((13, ts)));
        assert_eq!(pass(&mut relay, &mut sender, 7, 480), None);
        assert_eq!(pass(&mut relay, &mut sender, 10, 960), Some((14, ts + 320)));
    }
}
