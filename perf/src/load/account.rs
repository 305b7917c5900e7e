//! The books of one stream: every packet sent is either back unaltered, once, or a fault.

use serde::Serialize;

use crate::pattern::{self, Content};
use crate::rtp::{Faults, Judge, Packet};
use crate::sound::{self, Codec};

/// Packets whose fate is remembered: 20 s of 20 ms packets.
const DEPTH: u32 = 1024;

#[derive(Clone, Copy, Default)]
struct Sent {
    index: u32,
    at_ns: u64,
    counted: bool,
    back: bool,
}

/// What became of the packets, over all streams.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Tally {
    /// Sent inside the window.
    pub(crate) sent: u64,
    /// Of these, back unaltered.
    pub(crate) returned: u64,
    /// Of these, never back.
    pub(crate) lost: u64,
    /// Came back more than once.
    pub(crate) duplicated: u64,
    /// Came back as something else than was sent.
    pub(crate) altered: u64,
    /// Audio of another call, or packets from an address that is not the call's peer.
    pub(crate) foreign: u64,
    /// Packets of silence that the server put in, inside the window.
    pub(crate) fill: u64,
}

impl Tally {
    /// Adds another stream's.
    pub(crate) fn add(&mut self, other: &Self) {
        self.sent += other.sent;
        self.returned += other.returned;
        self.lost += other.lost;
        self.duplicated += other.duplicated;
        self.altered += other.altered;
        self.foreign += other.foreign;
        self.fill += other.fill;
    }

    /// Packets that were not echoed as they should have been.
    pub(crate) fn faults(&self) -> u64 {
        self.lost + self.duplicated + self.altered + self.foreign
    }
}

/// A packet that came back inside the window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Echo {
    /// Its number in the call.
    pub(crate) index: u32,
    /// When it was sent.
    pub(crate) sent_ns: u64,
}

/// The books.
pub(crate) struct Account {
    call: u32,
    /// Packets are compared with what was sent, not just counted.
    exact: bool,
    /// Audio is linear: silence is zero.
    linear: bool,
    ring: Box<[Sent]>,
    next: u32,
    judge: Judge,
    tally: Tally,
    /// Arrival less media time of the packets in the window, in nanoseconds, relative to the
    /// first.
    grid: Vec<i64>,
    origin: Option<(u64, u32)>,
    /// The least of those that were taken out of the grid.
    earliest: Option<i64>,
}

impl Account {
    /// Books of a call in `codec`. Where a codec on the way alters the audio (`exact` is false),
    /// what comes back is counted, unless it is silence.
    pub(crate) fn new(call: u32, codec: Codec, exact: bool) -> Self {
        Self {
            call,
            exact,
            linear: false,
            ring: vec![Sent::default(); DEPTH as usize].into_boxed_slice(),
            next: 0,
            judge: Judge::of(codec.payload_type()),
            tally: Tally::default(),
            grid: Vec::new(),
            origin: None,
            earliest: None,
        }
    }

    /// The same of a call whose audio is linear, if it is.
    pub(crate) fn of_linear(mut self, linear: bool) -> Self {
        self.linear = linear;
        self
    }

    /// The number of the next packet.
    pub(crate) fn next_index(&self) -> u32 {
        self.next
    }

    /// The next packet is sent at `at_ns`; `counted` if the window is open.
    pub(crate) fn sent(&mut self, at_ns: u64, counted: bool) {
        let index = self.next;
        self.next = index.wrapping_add(1);
        self.tally.sent += u64::from(counted);
        if let Some(slot) = self.ring.get_mut((index % DEPTH) as usize) {
            *slot = Sent { index, at_ns, counted, back: false };
        }
    }

    /// Something arrived from an address that is not the peer's.
    pub(crate) fn stranger(&mut self) {
        self.tally.foreign += 1;
    }

    /// Something arrived that is no RTP.
    pub(crate) fn not_rtp(&mut self) {
        self.judge.faults.not_rtp += 1;
    }

    /// A packet arrived at `stamp_ns`; says which sent packet it answers, if that counts.
    pub(crate) fn received(
        &mut self,
        packet: &Packet<'_>,
        stamp_ns: u64,
        window_open: bool,
    ) -> Option<Echo> {
        self.judge.see(packet);
        if window_open {
            self.on_grid(packet.timestamp, stamp_ns);
        }
        if !self.exact {
            let flat = sound::is_flat(packet.payload);
            self.tally.fill += u64::from(flat && window_open);
            self.tally.returned += u64::from(!flat && self.tally.returned < self.tally.sent);
            return None;
        }
        let index = match pattern::read(packet.payload) {
            Content::Exact { call, index } if call == self.call => index,
            Content::Exact { .. } => {
                self.tally.foreign += 1;
                return None;
            }
            Content::Fill => {
                self.tally.fill += u64::from(window_open);
                return None;
            }
            Content::Altered if self.linear && packet.payload.iter().all(|byte| *byte == 0) => {
                self.tally.fill += u64::from(window_open);
                return None;
            }
            Content::Altered => {
                self.tally.altered += 1;
                return None;
            }
        };
        let slot = self.ring.get_mut((index % DEPTH) as usize)?;
        if slot.index != index || slot.at_ns == 0 {
            self.tally.altered += 1;
            return None;
        }
        if slot.back {
            self.tally.duplicated += 1;
            return None;
        }
        slot.back = true;
        self.tally.returned += u64::from(slot.counted);
        slot.counted.then_some(Echo { index, sent_ns: slot.at_ns })
    }

    fn on_grid(&mut self, timestamp: u32, stamp_ns: u64) {
        let (first_ns, first_ts) = *self.origin.get_or_insert((stamp_ns, timestamp));
        let samples = i64::from(timestamp.wrapping_sub(first_ts).cast_signed());
        let ns_per_sample = 125_000;
        let elapsed = stamp_ns.cast_signed().wrapping_sub(first_ns.cast_signed());
        self.grid.push(elapsed - samples * ns_per_sample);
    }

    /// Lateness of each packet against the grid that the earliest of them sets, in nanoseconds.
    pub(crate) fn lateness(&self) -> impl Iterator<Item = u64> {
        let earliest = self.grid.iter().copied().min().unwrap_or(0);
        self.grid.iter().map(move |offset| offset.abs_diff(earliest))
    }

    /// Takes the lateness of each packet out, against the earliest that there ever was: books that
    /// are kept for hours must not grow.
    pub(crate) fn take_lateness(&mut self, mut each: impl FnMut(u64)) {
        self.earliest = self.grid.iter().copied().chain(self.earliest).min();
        let earliest = self.earliest.unwrap_or(0);
        for offset in self.grid.drain(..) {
            each(offset.abs_diff(earliest));
        }
    }

    /// The result; what has not come back by now is lost.
    pub(crate) fn result(&self) -> (Tally, &Faults) {
        let mut tally = self.tally.clone();
        tally.lost = tally.sent.saturating_sub(tally.returned);
        (tally, &self.judge.faults)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rtp::PCMU;

    fn packet(payload: &[u8], sequence: u16) -> Packet<'_> {
        let timestamp = u32::from(sequence) * 160;
        Packet { marker: false, payload_type: PCMU, sequence, timestamp, ssrc: 1, payload }
    }

    fn audio(call: u32, index: u32) -> [u8; 160] {
        let mut payload = [0; 160];
        pattern::fill(&mut payload, call, index);
        payload
    }

    /// Each fate of a packet is booked as itself.
    #[test]
    fn every_fate_is_told_apart() {
        let mut account = Account::new(7, Codec::Pcmu, true);
        for at in 0..10 {
            account.sent(100 + at, at >= 2);
        }
        let mut altered = audio(7, 4);
        altered[159] ^= 1;
        let wire = [
            audio(7, 1),
            audio(7, 2),
            audio(7, 3),
            audio(7, 3),
            altered,
            audio(8, 5),
            [0xFF; 160],
            audio(7, 4_000),
        ];
        let mut echoes = Vec::new();
        for (sequence, payload) in (0u16..).zip(&wire) {
            echoes.extend(account.received(&packet(payload, sequence), 500, true));
        }
        account.stranger();
        let (tally, faults) = account.result();
        assert_eq!(echoes, [Echo { index: 2, sent_ns: 102 }, Echo { index: 3, sent_ns: 103 }]);
        let want =
            Tally { sent: 8, returned: 2, lost: 6, duplicated: 1, altered: 2, foreign: 2, fill: 1 };
        assert_eq!((tally, faults.total()), (want, 0));
    }

    /// Audio that a codec alters is counted where it is not silence, and never more than was sent.
    #[test]
    fn altered_audio_is_counted() {
        let mut account = Account::new(7, Codec::Pcma, false);
        account.sent(100, true);
        account.sent(101, true);
        for (sequence, byte) in [(0, 1), (1, 0xD5), (2, 1), (3, 1)] {
            let mut payload = [0xD5; 160];
            payload[0] = byte;
            let packet = Packet { payload_type: 8, ..packet(&payload, sequence) };
            assert_eq!(account.received(&packet, 500, true), None);
        }
        let (tally, faults) = account.result();
        let want = Tally { sent: 2, returned: 2, fill: 1, ..Tally::default() };
        assert_eq!((tally, faults.total()), (want, 0));
    }

    /// Silence of linear audio is fill, and of no other.
    #[test]
    fn silence_of_linear_audio() {
        for (linear, fill, altered) in [(true, 1, 0), (false, 0, 1)] {
            let mut account = Account::new(7, Codec::Pcmu, true).of_linear(linear);
            account.received(&packet(&[0; 320], 0), 500, true);
            let (tally, _) = account.result();
            assert_eq!((tally.fill, tally.altered), (fill, altered));
        }
    }

    /// What was taken out is forgotten, but not what was the earliest.
    #[test]
    fn lateness_is_taken_out() {
        let mut account = Account::new(0, Codec::Pcmu, true);
        let mut seen = Vec::new();
        for (sequence, stamp) in [(0u16, 1_000_000u64), (1, 21_000_300), (2, 41_000_700)] {
            account.received(&packet(&[0xFF; 160], sequence), stamp, true);
            account.take_lateness(|late| seen.push(late));
        }
        assert_eq!((seen, account.lateness().count()), (vec![0, 300, 700], 0));
    }

    /// Lateness is measured against the packets' own media time, from the earliest.
    #[test]
    fn lateness_against_the_own_grid() {
        let mut account = Account::new(0, Codec::Pcmu, true);
        for (sequence, stamp) in [(0u16, 1_000_500u64), (1, 21_000_000), (2, 41_000_700)] {
            account.received(&packet(&[0xFF; 160], sequence), stamp, true);
        }
        assert_eq!(account.lateness().collect::<Vec<_>>(), [500, 0, 700]);
    }
}
