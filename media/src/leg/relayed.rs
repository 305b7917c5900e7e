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
        let Some(place) = relay.place(&self.sender, arrival) else { return false };
        self.sender.write_at(now, out, pt, place, payload_bytes, ticks, marker);
        true
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
