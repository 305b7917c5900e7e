//! Which packets of a stream were lost, told in order.

use super::arrival::{Arrival, Continuity};
use super::receiver::Receiver;
use crate::rtcp::Bursts;

/// Packets for whose stragglers is waited before a missing one is lost.
const SETTLED_PACKETS: u64 = 8;

/// Follows a receiver some packets behind, where reordering is over.
#[derive(Clone, Copy, Debug, Default)]
pub struct LossPattern {
    bursts: Bursts,
    /// The next packet to be told; nothing came yet if zero.
    next: u64,
    /// The newest packet, and which of the 32 up to it had come then: a long hole makes the
    /// receiver forget.
    newest: u64,
    recent: u32,
}

impl LossPattern {
    /// A packet was accepted at `arrival`.
    #[inline]
    pub fn note(&mut self, arrival: &Arrival, receiver: &Receiver) {
        if arrival.continuity != Continuity::Same {
            // What was not settled of the sequence before is left out.
            self.next = arrival.ext_seq;
            self.remember(arrival, receiver);
            return;
        }
        let settled = arrival.ext_seq.saturating_sub(SETTLED_PACKETS);
        while self.next < settled {
            let behind = u32::try_from(arrival.ext_seq - self.next).unwrap_or(u32::MAX);
            let came = receiver.has_seen(behind) || self.had_come(self.next);
            if came {
                self.bursts.came()
            } else {
                self.bursts.lost()
            }
            self.next += 1;
        }
        self.remember(arrival, receiver);
    }

    fn had_come(&self, seq: u64) -> bool {
        let behind = self.newest.checked_sub(seq).and_then(|behind| u32::try_from(behind).ok());
        behind.and_then(|behind| self.recent.checked_shr(behind)).is_some_and(|seen| seen & 1 != 0)
    }

    #[inline]
    const fn remember(&mut self, arrival: &Arrival, receiver: &Receiver) {
        self.newest = arrival.ext_seq;
        self.recent = receiver.recent();
    }

    /// Bursts and gaps up to now.
    pub const fn bursts(&self) -> &Bursts {
        &self.bursts
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rtp::{HEADER_BYTES, Header, Packet, Received, write_header};
    use crate::time::MonoTime;

    fn hear(receiver: &mut Receiver, pattern: &mut LossPattern, seq: u16, ssrc: u32) {
        let mut bytes = [0; HEADER_BYTES];
        let header = Header { marker: false, pt: 0, seq, ts: u32::from(seq) * 160, ssrc };
        write_header(&mut bytes, &header);
        let packet = Packet::parse(&bytes).unwrap();
        if let Received::Accept(arrival) = receiver.receive(MonoTime::ZERO, &packet) {
            pattern.note(&arrival, receiver);
        }
    }

    /// What comes out of order counts as having come, what never comes as lost, also in long holes;
    /// a restart and a change of source count nothing lost.
    #[test]
    fn tells_what_was_lost() {
        let (mut receiver, mut pattern) = (Receiver::new(8000), LossPattern::default());
        for seq in 0..100 {
            let swapped = if seq % 10 == 4 {
                seq + 1
            } else if seq % 10 == 5 {
                seq - 1
            } else {
                seq
            };
            hear(&mut receiver, &mut pattern, swapped, 1);
        }
        assert_eq!(pattern.bursts().figures().burst_packets, 0);
        assert!((pattern.bursts().burst_ratio() - 1.0).abs() < f32::EPSILON);
        // A hole of 200, longer than what is remembered.
        for seq in 300..400 {
            hear(&mut receiver, &mut pattern, seq, 1);
        }
        assert_eq!(pattern.bursts().figures().burst_packets, 200);
        let before = *pattern.bursts();
        for seq in 5..20 {
            hear(&mut receiver, &mut pattern, seq, 2);
        }
        assert_eq!(pattern.bursts().figures().burst_packets, before.figures().burst_packets);
    }
}
