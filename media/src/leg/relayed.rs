//! What a leg sends of another leg.

use super::Leg;
use crate::rtp::{Arrival, HEADER_BYTES, Piece, Place, Relay};
use crate::time::MonoTime;

/// A packet of another leg that is passed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Passed {
    /// What it holds.
    pub kind: PassedKind,
    /// Its place on the other leg's timeline.
    pub arrival: Arrival,
    /// First packet of a talkspurt or event.
    pub marker: bool,
    /// Bytes of its payload as it goes out.
    pub payload_bytes: usize,
    /// How long that lasts in this leg's clock; 0 for what is no audio.
    pub ticks: u32,
}

/// What a packet that is passed on holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PassedKind {
    /// Audio in this leg's format.
    Audio,
    /// A telephone event (RFC 4733).
    Event,
    /// Comfort noise (RFC 3389).
    Comfort,
}

impl Leg {
    /// Writes the header of a packet of another leg that is passed on, with the payload of
    /// `payload_bytes` that follows it, at the place that `relay` gives it. False if it has none:
    /// then it is not to be sent.
    #[inline]
    pub fn write_relayed(
        &mut self,
        now: MonoTime,
        out: &mut [u8; HEADER_BYTES],
        relay: &mut Relay,
        passed: Passed,
    ) -> bool {
        let Passed { kind, arrival, marker, payload_bytes, ticks } = passed;
        let pt = match kind {
            PassedKind::Audio => Some(self.config.pt),
            PassedKind::Event => self.config.dtmf_pt,
            PassedKind::Comfort => self.config.cn_pt,
        };
        let Some(pt) = pt else {
            relay.skip(arrival);
            return false;
        };
        if relay.ties(&self.sender, arrival) {
            self.catch_up(now);
        }
        let Some(place) = relay.place(&self.sender, arrival) else { return false };
        self.sender.write_at(now, out, pt, place, payload_bytes, ticks, marker);
        true
    }

    /// Lets media time go on by what passed since the last packet, of whomever it was: what another
    /// leg says next begins now, however long nothing came (RFC 3550 5.1).
    pub const fn catch_up(&mut self, now: MonoTime) {
        let audio = self.config.audio;
        self.sender.catch_up(now, audio.clock_hz(), audio.ticks(self.config.ptime_ms));
    }

    /// Leaves out a packet of another leg while none passes; the next that does begins a talkspurt.
    pub const fn rest_relayed(&mut self, relay: &mut Relay, arrival: Arrival) {
        relay.rest(arrival);
        self.sender.mark();
    }

    /// Writes the header of a piece of another leg's audio that was cut anew, with the `payload`
    /// that follows it: `gap_ticks` after what was sent last, of which `lost` packets are missed.
    #[inline]
    pub fn write_piece(
        &mut self,
        now: MonoTime,
        out: &mut [u8; HEADER_BYTES],
        piece: &Piece,
        payload: &[u8],
    ) {
        let Piece { gap_ticks, lost, marker } = *piece;
        let place = Place {
            seq: self.sender.seq().wrapping_add(lost),
            ts: self.sender.ts().wrapping_add(gap_ticks),
        };
        let (pt, samples) = (self.config.pt, self.config.audio.payload_ticks(payload));
        self.sender.write_at(now, out, pt, place, payload.len(), samples, marker);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::codec::{AudioFormat, opus};
    use crate::leg::{LegConfig, StreamStart};
    use crate::rtp::{Continuity, Header, Packet};

    fn leg() -> Leg {
        let config = LegConfig {
            audio: AudioFormat::PCMU,
            pt: 0,
            receive_pt: 0,
            dtmf_pt: Some(101),
            receive_dtmf_pt: Some(101),
            cn_pt: None,
            ptime_ms: 20,
            opus: opus::Settings::default(),
        };
        Leg::new(at(0), config, StreamStart { ssrc: 1, seq: 10, ts: 0, seed: 3 })
    }

    fn at(ms: u64) -> MonoTime {
        MonoTime::ZERO + Duration::from_millis(ms)
    }

    fn header(out: &[u8]) -> Header {
        Packet::parse(out).unwrap().header
    }

    /// Media time and marker of a packet of another leg that passes.
    fn pass(leg: &mut Leg, relay: &mut Relay, now: MonoTime, (seq, ts): (u64, u64)) -> (u32, bool) {
        let arrival = Arrival { ext_seq: seq, ext_ts: ts, gap: 0, continuity: Continuity::Same };
        let kind = PassedKind::Audio;
        let passed = Passed { kind, arrival, marker: false, payload_bytes: 160, ticks: 160 };
        let mut out = [0; HEADER_BYTES];
        assert!(leg.write_relayed(now, &mut out, relay, passed));
        (header(&out).ts, header(&out).marker)
    }

    /// After a pause in which no packet came of anybody, another leg begins where the clock stands;
    /// from there on it is its own clock that counts, over its pauses, too.
    #[test]
    fn media_time_goes_on_while_nothing_comes() {
        let (mut leg, mut out) = (leg(), [0; HEADER_BYTES]);
        leg.write_audio(at(0), &mut out, &[0; 160]);
        let mut relay = Relay::new(8_000, 8_000);
        assert_eq!(pass(&mut leg, &mut relay, at(5_005), (70, 900)), (40_000, true));
        assert_eq!(pass(&mut leg, &mut relay, at(5_100), (71, 1_060)), (40_160, false));
        assert_eq!(pass(&mut leg, &mut relay, at(8_000), (72, 24_260)), (63_360, false));
        // Of a leg that comes when the one before has just been heard, nothing is late.
        let mut next = Relay::new(8_000, 8_000);
        assert_eq!(pass(&mut leg, &mut next, at(8_035), (5, 0)), (63_520, false));
        assert_eq!(pass(&mut leg, &mut next, at(8_055), (6, 160)), (63_680, false));
        // What is said in between ties both anew.
        leg.write_audio(at(8_075), &mut out, &[0; 160]);
        assert_eq!(header(&out).ts, 63_840);
        assert_eq!(pass(&mut leg, &mut next, at(9_095), (57, 8_320)), (72_000, true));
    }
}
