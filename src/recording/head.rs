//! The worker's end of a recording.

use media::codec::AudioFormat;
use media::convert::Converter;
use media::ring::{Consumer, FrameMeta, Producer, frame_ring};
use media::rtp::Frame;
use media::time::MonoTime;

use super::track::Track;
use super::{RING_S, SLOT_MS};
use crate::workers::taps::Said;

/// Samples of the longest frame: 60 ms at 48 kHz.
const FRAME_SAMPLES_MAX: usize = 2_880;

/// What a slot of the ring holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Slot {
    /// The peer's samples.
    Left = 0,
    /// What it hears.
    Right = 1,
    /// Nothing: the recording ends at this place; with a marker nothing of it is kept.
    End = 2,
}

impl Slot {
    pub(super) const fn of(meta: &FrameMeta) -> Self {
        match meta.seq {
            0 => Self::Left,
            1 => Self::Right,
            _ => Self::End,
        }
    }
}

/// Takes what is heard and said; no call of it allocates or waits.
#[derive(Debug)]
pub struct Head {
    ring: Producer,
    rate_hz: u32,
    /// When the recording began; before, nothing is taken.
    began: Option<MonoTime>,
    paused: bool,
    left: Side,
    right: Side,
}

/// One direction.
#[derive(Debug)]
struct Side {
    track: Track,
    converter: Converter,
}

/// Makes a recording at `rate_hz` of a call whose audio comes as `peer`: the worker's end, and the
/// recorder's.
pub fn head(rate_hz: u32, peer: AudioFormat) -> (Head, Consumer) {
    let linear = AudioFormat::l16le(rate_hz);
    let slots = RING_S * 2 * 1_000 / SLOT_MS as usize;
    let (ring, frames) = frame_ring(slots, linear.bytes(SLOT_MS));
    let side = || Side {
        track: Track::new(rate_hz, peer.clock_hz()),
        converter: Converter::new(peer, linear),
    };
    let head = Head { ring, rate_hz, began: None, paused: false, left: side(), right: side() };
    (head, frames)
}

impl Head {
    /// The recording begins, unless it has begun.
    pub fn begin(&mut self, now: MonoTime) {
        self.began.get_or_insert(now);
    }

    /// Records silence, or sound again.
    pub const fn pause(&mut self, paused: bool) {
        self.paused = paused;
    }

    /// Both directions are coded like this from now on.
    pub fn follow(&mut self, peer: AudioFormat) {
        for side in [&mut self.left, &mut self.right] {
            if side.converter.from() != peer {
                side.converter = Converter::new(peer, AudioFormat::l16le(self.rate_hz));
                side.track = Track::new(self.rate_hz, peer.clock_hz());
            }
        }
    }

    /// Takes a frame of the peer.
    #[inline]
    pub fn heard(&mut self, now: MonoTime, frame: Frame<'_>) {
        self.take(Slot::Left, now, frame.ext_ts as u32, frame.payload);
    }

    /// Takes a frame for the peer.
    #[inline]
    pub fn said(&mut self, said: Said<'_>) {
        self.take(Slot::Right, said.due, said.ts, said.payload);
    }

    /// Ends the recording; tells how many frames were lost for a disk that was behind.
    pub fn end(self, now: MonoTime) -> u64 {
        self.finish(now, false)
    }

    /// Ends the recording, of which nothing is kept.
    pub fn discard(self, now: MonoTime) {
        self.finish(now, true);
    }

    fn finish(mut self, now: MonoTime, discard: bool) -> u64 {
        let end = self.began.map_or(0, |began| samples(now, began, self.rate_hz));
        let meta = FrameMeta { seq: Slot::End as u64, ts: end, at: now, marker: discard };
        self.ring.push(meta, &[]);
        self.lost()
    }

    /// Frames that were lost so far.
    fn lost(&self) -> u64 {
        let counters = self.ring.counters();
        counters.dropped + counters.refused
    }

    fn take(&mut self, slot: Slot, at: MonoTime, ts: u32, payload: &[u8]) {
        let Some(began) = self.began.filter(|began| *began <= at) else { return };
        let side = if slot == Slot::Left { &mut self.left } else { &mut self.right };
        let mut place = side.track.place(samples(at, began, self.rate_hz), ts);
        let mut linear = [0; FRAME_SAMPLES_MAX * 2];
        if side.converter.max_output(payload.len()) > linear.len() {
            return;
        }
        let length = side.converter.convert(payload, &mut linear);
        if self.paused {
            return;
        }
        let linear = linear.get(..length).unwrap_or_default();
        for chunk in linear.chunks(self.ring.frame_bytes()) {
            let meta = FrameMeta { seq: slot as u64, ts: place, at, marker: false };
            self.ring.push(meta, chunk);
            place += chunk.len() as u64 / 2;
        }
    }
}

/// Samples from `began` to `at`, to the nearest.
pub(super) fn samples(at: MonoTime, began: MonoTime, rate_hz: u32) -> u64 {
    let nanos = at.since(began).as_nanos() * u128::from(rate_hz) + 500_000_000;
    (nanos / 1_000_000_000) as u64
}
