//! One remote source as its packets arrive (RFC 3550 6.4.1, A.1, A.3, A.8).

use std::time::Duration;

use super::arrival::{Arrival, Continuity, Received, ReceiverCounters, ReceptionReport, Stood};
use super::header::{Header, Packet};
use crate::time::MonoTime;

/// Packets that may be missing in one stretch before the sequence counts as restarted (RFC 3550
/// A.1).
const DROPOUT_PACKETS_MAX: u16 = 3000;
/// Packets that one may be behind the newest before it counts as stray (RFC 3550 A.1).
const MISORDER_PACKETS_MAX: u16 = 100;
/// Seconds of media time by which a packet may be behind the newest one.
const MISORDER_S_MAX: u32 = 10;
/// Milliseconds by which media time may run ahead of the clock on the wall before it counts as
/// jumped.
const AHEAD_MS_MAX: u64 = 10_000;
/// Milliseconds without a packet after which a source that was superseded may come back.
const SOURCE_QUIET_MS: u64 = 200;

const _: () = assert!(MISORDER_PACKETS_MAX < u128::BITS as u16, "the window holds all misorder");

/// Follows one remote source.
///
/// Sequence numbers and timestamps are extended to 64 bits. The extended values form one timeline
/// for the life of the receiver: when the source restarts or another SSRC takes over, the timeline
/// goes on with the next number and with the time that passed, so that whoever listens sees no
/// jump.
///
/// The first packet of a source counts (no probation), because it is audible. A change of SSRC is
/// followed at once; the superseded source may return only after [a pause](Received::Foreign).
#[derive(Clone, Debug)]
pub struct Receiver {
    clock_hz: u32,
    event_pt: Option<u8>,
    started: bool,
    /// The timeline is that of a stream before, though nothing has come yet.
    follows: bool,
    ssrc: u32,
    /// The source before this one, whose stragglers must not take over again.
    superseded: Option<u32>,
    /// Extended sequence number of the newest packet as RFC 3550 counts it: cycles and sequence.
    raw_seq: u64,
    /// The first of these since the last restart.
    raw_base: u64,
    /// What makes `raw_seq` a point of the timeline.
    seq_offset: u64,
    /// Bit `n` tells that the packet `n` behind the newest has come.
    seen: u128,
    /// The sequence number that would confirm a restart.
    restart_seq: Option<u16>,
    last_ts: u32,
    last_ext_ts: u64,
    last_arrival: MonoTime,
    /// Relative transit time of the last packet, in clock units.
    transit: Option<u32>,
    /// Interarrival jitter in sixteenths of a clock unit.
    jitter_x16: u32,
    /// Packets of this source since its start, doubled ones included (RFC 3550 6.4.1).
    received: u64,
    expected_prior: u64,
    received_prior: u64,
    /// Packets expected from sources and sequences before this one.
    expected_before: u64,
    counters: ReceiverCounters,
}

impl Receiver {
    /// A receiver for a stream whose timestamps tick `clock_hz` times a second.
    pub const fn new(clock_hz: u32) -> Self {
        Self {
            clock_hz,
            event_pt: None,
            started: false,
            follows: false,
            ssrc: 0,
            superseded: None,
            raw_seq: 0,
            raw_base: 0,
            seq_offset: 0,
            seen: 0,
            restart_seq: None,
            last_ts: 0,
            last_ext_ts: 0,
            last_arrival: MonoTime::ZERO,
            transit: None,
            jitter_x16: 0,
            received: 0,
            expected_prior: 0,
            received_prior: 0,
            expected_before: 0,
            counters: ReceiverCounters::ZERO,
        }
    }

    /// Tells which payload type is telephone-event (RFC 4733). Its timestamps stand still during an
    /// event, so they move neither the timeline nor the jitter.
    pub const fn set_event_pt(&mut self, pt: Option<u8>) {
        self.event_pt = pt;
    }

    /// Takes the codec's clock after the codec changed; the timeline goes on in the new unit, at
    /// the same time: whoever counts it in a unit of its own sees no jump.
    pub const fn set_clock(&mut self, clock_hz: u32) {
        let scaled = self.last_ext_ts as u128 * clock_hz as u128;
        if let Some(ext_ts) = scaled.checked_div(self.clock_hz as u128) {
            self.last_ext_ts = ext_ts as u64;
        }
        self.clock_hz = clock_hz;
        self.transit = None;
        self.jitter_x16 = 0;
    }

    /// Goes on from another stream, as from a source before: the first packet is the next of it, at
    /// the media time that has passed since. Nothing may have come yet.
    pub const fn follow(&mut self, stood: Stood) {
        if self.started {
            return;
        }
        let Stood { ext_seq, ext_ts, clock_hz, at } = stood;
        self.follows = true;
        (self.raw_seq, self.seq_offset) = (ext_seq, 0);
        self.last_ext_ts =
            match (ext_ts as u128 * self.clock_hz as u128).checked_div(clock_hz as u128) {
                Some(ext_ts) => ext_ts as u64,
                None => ext_ts,
            };
        self.last_arrival = at;
    }

    /// Places a packet that arrived at `now`.
    #[inline]
    pub fn receive(&mut self, now: MonoTime, packet: &Packet<'_>) -> Received {
        let header = &packet.header;
        if !self.started || header.ssrc != self.ssrc {
            return self.receive_other(now, header, packet.payload.len());
        }
        let ahead = header.seq.wrapping_sub(self.raw_seq as u16);
        if ahead.wrapping_sub(1) < DROPOUT_PACKETS_MAX {
            self.seen = self.seen.checked_shl(u32::from(ahead)).unwrap_or(0) | 1;
            self.raw_seq += u64::from(ahead);
            self.restart_seq = None;
            let ext_ts = self.advance_ts(now, header);
            self.count(now, header, packet.payload.len());
            return Received::Accept(Arrival {
                ext_seq: self.raw_seq.wrapping_add(self.seq_offset),
                ext_ts,
                gap: u32::from(ahead) - 1,
                continuity: Continuity::Same,
            });
        }
        self.receive_behind(now, header, packet.payload.len())
    }

    /// Not newer than what came: late, doubled, or of a new sequence.
    #[cold]
    fn receive_behind(&mut self, now: MonoTime, header: &Header, bytes: usize) -> Received {
        let behind = (self.raw_seq as u16).wrapping_sub(header.seq);
        let ts_behind = self.last_ts.wrapping_sub(header.ts);
        let window = self.clock_hz.saturating_mul(MISORDER_S_MAX);
        if behind > MISORDER_PACKETS_MAX || ts_behind > window {
            return self.receive_stray(now, header, bytes);
        }
        let bit = 1_u128 << behind;
        if self.seen & bit != 0 {
            self.received += 1;
            self.counters.duplicates += 1;
            return Received::Duplicate;
        }
        let raw_seq = self.raw_seq - u64::from(behind);
        if raw_seq < self.raw_base {
            if self.seq_offset != 0 {
                // Its place on the timeline belongs to the sequence before.
                self.counters.strays += 1;
                return Received::Stray;
            }
            // The sequence began before the first packet that came; RFC 3550 would count this one
            // as received but not as expected.
            self.raw_base = raw_seq;
        }
        self.seen |= bit;
        let ext_ts = self.last_ext_ts.saturating_sub(u64::from(ts_behind));
        self.counters.late += 1;
        self.count(now, header, bytes);
        Received::Late(Arrival {
            ext_seq: raw_seq.wrapping_add(self.seq_offset),
            ext_ts,
            gap: 0,
            continuity: Continuity::Same,
        })
    }

    /// Far off: the second in sequence starts anew (RFC 3550 A.1, `bad_seq`).
    fn receive_stray(&mut self, now: MonoTime, header: &Header, bytes: usize) -> Received {
        if self.restart_seq != Some(header.seq) {
            self.restart_seq = Some(header.seq.wrapping_add(1));
            self.counters.strays += 1;
            return Received::Stray;
        }
        self.counters.restarts += 1;
        self.start(now, header, bytes, Continuity::Restart)
    }

    /// The first packet of all, or one of another source.
    #[cold]
    fn receive_other(&mut self, now: MonoTime, header: &Header, bytes: usize) -> Received {
        if !self.started {
            self.ssrc = header.ssrc;
            let first = if self.follows { Continuity::NewSource } else { Continuity::First };
            let received = self.start(now, header, bytes, first);
            self.started = true;
            return received;
        }
        let quiet = now.since(self.last_arrival) >= Duration::from_millis(SOURCE_QUIET_MS);
        if self.superseded == Some(header.ssrc) && !quiet {
            self.counters.foreign += 1;
            return Received::Foreign;
        }
        self.superseded = Some(self.ssrc);
        self.ssrc = header.ssrc;
        self.counters.source_changes += 1;
        self.start(now, header, bytes, Continuity::NewSource)
    }

    /// Begins a sequence and ties it to the timeline.
    fn start(
        &mut self,
        now: MonoTime,
        header: &Header,
        bytes: usize,
        continuity: Continuity,
    ) -> Received {
        // One cycle ahead, so that packets older than the first are not before zero.
        let raw_seq = (1 << 16) | u64::from(header.seq);
        let ext_seq = if continuity == Continuity::First {
            self.last_ext_ts = (1 << 32) | u64::from(header.ts);
            raw_seq
        } else {
            self.expected_before += self.expected();
            self.last_ext_ts += self.units_since_last(now);
            self.raw_seq.wrapping_add(self.seq_offset).wrapping_add(1)
        };
        self.seq_offset = ext_seq.wrapping_sub(raw_seq);
        self.raw_seq = raw_seq;
        self.raw_base = raw_seq;
        self.seen = 1;
        self.restart_seq = None;
        self.last_ts = header.ts;
        self.last_arrival = now;
        self.transit = None;
        self.jitter_x16 = 0;
        self.received = 0;
        self.expected_prior = 0;
        self.received_prior = 0;
        self.count(now, header, bytes);
        Received::Accept(Arrival { ext_seq, ext_ts: self.last_ext_ts, gap: 0, continuity })
    }

    /// Extends the timestamp of a packet that is newer than all before it.
    #[inline]
    fn advance_ts(&mut self, now: MonoTime, header: &Header) -> u64 {
        let step = header.ts.wrapping_sub(self.last_ts);
        if Some(header.pt) == self.event_pt {
            let step = i64::from(step.cast_signed());
            return self.last_ext_ts.saturating_add_signed(step);
        }
        let step = if step <= self.clock_hz { u64::from(step) } else { self.step_far(now, step) };
        self.last_ext_ts += step;
        self.last_ts = header.ts;
        self.last_ext_ts
    }

    /// A step back or of more than a second: right after a pause, else a jump.
    #[cold]
    fn step_far(&mut self, now: MonoTime, step: u32) -> u64 {
        let passed = self.units_since_last(now);
        if u64::from(step) <= passed + u64::from(self.clock_hz) * AHEAD_MS_MAX / 1000 {
            return u64::from(step);
        }
        self.counters.ts_jumps += 1;
        self.transit = None;
        passed
    }

    /// Clock units between the last packet and `now`.
    fn units_since_last(&self, now: MonoTime) -> u64 {
        clock_units(now, self.clock_hz) - clock_units(self.last_arrival.min(now), self.clock_hz)
    }

    /// Counts a packet's first copy and takes its part in the jitter (RFC 3550 A.8).
    #[inline]
    fn count(&mut self, now: MonoTime, header: &Header, bytes: usize) {
        self.received += 1;
        self.counters.packets += 1;
        self.counters.payload_bytes += bytes as u64;
        self.last_arrival = now;
        if Some(header.pt) == self.event_pt {
            return;
        }
        let transit = (clock_units(now, self.clock_hz) as u32).wrapping_sub(header.ts);
        if let Some(last) = self.transit.replace(transit) {
            let deviation = transit.wrapping_sub(last).cast_signed().unsigned_abs();
            let deviation = deviation.min(DEVIATION_MAX);
            self.jitter_x16 = self.jitter_x16 + deviation - ((self.jitter_x16 + 8) >> 4);
        }
    }

    /// What a report block says now; the fraction lost is of the time since the last call (RFC 3550
    /// A.3). `None` before the first packet.
    pub fn report(&mut self) -> Option<ReceptionReport> {
        if !self.started {
            return None;
        }
        let expected = self.expected();
        let lost = (expected as i64 - self.received as i64).clamp(LOST_MIN, LOST_MAX);
        let expected_now = expected - self.expected_prior.min(expected);
        let received_now = self.received - self.received_prior;
        self.expected_prior = expected;
        self.received_prior = self.received;
        let lost_now = expected_now.saturating_sub(received_now);
        let fraction = (lost_now * 256).checked_div(expected_now).unwrap_or(0);
        Some(ReceptionReport {
            ssrc: self.ssrc,
            fraction_lost: u8::try_from(fraction).unwrap_or(u8::MAX),
            lost: lost as i32,
            highest_seq: (self.raw_seq - FIRST_CYCLE) as u32,
            jitter: self.jitter_x16 >> 4,
        })
    }

    /// The source that is followed, once a packet came.
    pub const fn ssrc(&self) -> Option<u32> {
        if self.started { Some(self.ssrc) } else { None }
    }

    /// When the last packet of the source came, once one came.
    pub const fn last_arrival(&self) -> Option<MonoTime> {
        if self.started { Some(self.last_arrival) } else { None }
    }

    /// Interarrival jitter in clock units (RFC 3550 6.4.1).
    pub const fn jitter_units(&self) -> u32 {
        self.jitter_x16 >> 4
    }

    /// Interarrival jitter as a duration.
    pub fn jitter(&self) -> Duration {
        let nanos = u64::from(self.jitter_x16) * (NANOS_PER_S / 16) / u64::from(self.clock_hz);
        Duration::from_nanos(nanos)
    }

    /// Packets that should have come, over all sources.
    pub const fn expected_total(&self) -> u64 {
        self.expected_before + self.expected()
    }

    /// Packets that did not come, over all sources; copies do not make up for them.
    pub const fn lost_total(&self) -> u64 {
        self.expected_total().saturating_sub(self.counters.packets)
    }

    /// True if the packet `behind` the newest one has come; 127 at most are remembered.
    pub const fn has_seen(&self, behind: u32) -> bool {
        match self.seen.checked_shr(behind) {
            Some(seen) => seen & 1 != 0,
            None => false,
        }
    }

    /// Which of the newest 32 packets have come: bit `n` is that `n` behind the newest.
    pub const fn recent(&self) -> u32 {
        self.seen as u32
    }

    /// Counts since the receiver was made.
    pub const fn counters(&self) -> &ReceiverCounters {
        &self.counters
    }

    /// Packets that should have come since the sequence started.
    const fn expected(&self) -> u64 {
        if self.started { self.raw_seq - self.raw_base + 1 } else { 0 }
    }
}

/// `at` in units of a clock, rounded down. Exact for all of the clock's range.
#[inline]
const fn clock_units(at: MonoTime, clock_hz: u32) -> u64 {
    let (s, nanos) = (at.as_nanos() / NANOS_PER_S, at.as_nanos() % NANOS_PER_S);
    s * clock_hz as u64 + nanos * clock_hz as u64 / NANOS_PER_S
}

/// Keeps sixteen times the jitter within 32 bits.
const DEVIATION_MAX: u32 = u32::MAX >> 5;
const NANOS_PER_S: u64 = 1_000_000_000;
/// Where extended sequence numbers start: one cycle above what RFC 3550 reports.
const FIRST_CYCLE: u64 = 1 << 16;
/// Range of the 24-bit count in a report block.
const LOST_MIN: i64 = -(1 << 23);
const LOST_MAX: i64 = (1 << 23) - 1;

#[cfg(test)]
mod tests;
