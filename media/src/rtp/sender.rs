//! Numbers what leaves (RFC 3550 5.1; talkspurts: RFC 3551 4.1).

use super::header::{HEADER_BYTES, Header, write_header};
use super::relay::Place;
use crate::time::MonoTime;

/// The sending side of one stream: its SSRC, sequence number and media time.
///
/// Media time advances by the samples that are sent and by those that pass in silence, so that the
/// listener's clock never notices a pause. The first packet, and the first after a pause, carries
/// the marker bit.
#[derive(Clone, Debug)]
pub struct Sender {
    ssrc: u32,
    seq: u16,
    ts: u32,
    /// The next packet begins a talkspurt.
    marker: bool,
    packets: u32,
    payload_bytes: u32,
    /// Media time and time of the last packet, for sender reports.
    last: Option<(u32, MonoTime)>,
}

impl Sender {
    /// A stream that starts at `seq` and `ts`. All three are random, of a good source, so that
    /// nobody can guess the stream (RFC 3550 5.1, 8.1).
    pub const fn new(ssrc: u32, seq: u16, ts: u32) -> Self {
        Self { ssrc, seq, ts, marker: true, packets: 0, payload_bytes: 0, last: None }
    }

    /// Writes the header of a packet whose `payload_bytes` follow and hold `samples` of media time.
    #[inline]
    pub const fn write(
        &mut self,
        now: MonoTime,
        out: &mut [u8; HEADER_BYTES],
        pt: u8,
        payload_bytes: usize,
        samples: u32,
    ) {
        self.last = Some((self.ts, now));
        let marker = std::mem::replace(&mut self.marker, false);
        self.put(out, Header { marker, pt, seq: self.seq, ts: self.ts, ssrc: self.ssrc });
        self.payload_bytes = self.payload_bytes.wrapping_add(payload_bytes as u32);
        self.ts = self.ts.wrapping_add(samples);
    }

    /// Writes the header of a telephone event (RFC 4733), whose timestamp is that of the event's
    /// start. Media time stands still; [`Sender::hold`] moves it.
    #[inline]
    pub const fn write_event(
        &mut self,
        out: &mut [u8; HEADER_BYTES],
        pt: u8,
        marker: bool,
        ts: u32,
        payload_bytes: usize,
    ) {
        self.put(out, Header { marker, pt, seq: self.seq, ts, ssrc: self.ssrc });
        self.payload_bytes = self.payload_bytes.wrapping_add(payload_bytes as u32);
    }

    /// Writes the header of a packet that is passed on, at its `place`. What is newer than all
    /// before it moves the stream; what holds no `samples` (an event) leaves media time alone.
    #[inline]
    #[expect(clippy::too_many_arguments, reason = "the fields of a header")]
    pub const fn write_at(
        &mut self,
        now: MonoTime,
        out: &mut [u8; HEADER_BYTES],
        pt: u8,
        place: Place,
        payload_bytes: usize,
        samples: u32,
        marker: bool,
    ) {
        let Place { seq, ts } = place;
        let newest = seq.wrapping_sub(self.seq) < 1 << 15;
        let marker = marker || (newest && self.marker);
        write_header(out, &Header { marker, pt, seq, ts, ssrc: self.ssrc });
        self.packets = self.packets.wrapping_add(1);
        self.payload_bytes = self.payload_bytes.wrapping_add(payload_bytes as u32);
        if newest {
            self.marker = false;
            self.seq = seq.wrapping_add(1);
            if samples > 0 {
                self.ts = ts.wrapping_add(samples);
                self.last = Some((ts, now));
            }
        }
    }

    /// Lets `samples` of media time pass without audio: a pause. The packet after it has the marker
    /// bit.
    #[inline]
    pub const fn pause(&mut self, samples: u32) {
        self.ts = self.ts.wrapping_add(samples);
        self.marker = true;
    }

    /// Lets `samples` of media time pass that something else fills, such as a telephone event.
    #[inline]
    pub const fn hold(&mut self, samples: u32) {
        self.ts = self.ts.wrapping_add(samples);
    }

    /// Lets media time reach that of the clock on the wall at `now`, if nothing was sent for longer
    /// than the last packet lasts: a [`Sender::pause`] of whole `packet_ticks`, so that what comes
    /// a moment late moves nothing. `clock_hz` is the codec's clock.
    pub const fn catch_up(&mut self, now: MonoTime, clock_hz: u32, packet_ticks: u32) {
        let behind = self.ts_at(now, clock_hz).wrapping_sub(self.ts);
        let packets = match behind.checked_div(packet_ticks) {
            // From half the range on, more was sent than time has passed.
            Some(packets) if behind < 1 << 31 => packets,
            _ => 0,
        };
        if packets > 0 {
            self.pause(packets * packet_ticks);
        }
    }

    /// Begins a talkspurt with the next packet.
    pub const fn mark(&mut self) {
        self.marker = true;
    }

    /// The stream's source.
    pub const fn ssrc(&self) -> u32 {
        self.ssrc
    }

    /// Sequence number of the next packet.
    pub const fn seq(&self) -> u16 {
        self.seq
    }

    /// Media time of the next packet.
    pub const fn ts(&self) -> u32 {
        self.ts
    }

    /// Packets sent, modulo 2^32 (RFC 3550 6.4.1).
    pub const fn packets(&self) -> u32 {
        self.packets
    }

    /// Payload bytes sent, modulo 2^32 (RFC 3550 6.4.1).
    pub const fn payload_bytes(&self) -> u32 {
        self.payload_bytes
    }

    /// Media time at `now`, as a sender report ties it to the wall clock (RFC 3550 6.4.1): that of
    /// the last packet and what passed since. `clock_hz` is the codec's clock.
    pub const fn ts_at(&self, now: MonoTime, clock_hz: u32) -> u32 {
        let Some((ts, sent)) = self.last else { return self.ts };
        let passed = now.since(sent).as_nanos() * clock_hz as u128 / 1_000_000_000;
        ts.wrapping_add(passed as u32)
    }

    const fn put(&mut self, out: &mut [u8; HEADER_BYTES], header: Header) {
        write_header(out, &header);
        self.seq = self.seq.wrapping_add(1);
        self.packets = self.packets.wrapping_add(1);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::rtp::Packet;

    fn header(bytes: &[u8]) -> Header {
        Packet::parse(bytes).unwrap().header
    }

    /// Sequence and time wrap; the marker is on the first packet and after a pause only.
    #[test]
    fn numbers_over_wraps_and_pauses() {
        let mut sender = Sender::new(7, u16::MAX, u32::MAX - 159);
        let mut out = [0; HEADER_BYTES];
        let mut send = |sender: &mut Sender| {
            sender.write(MonoTime::ZERO, &mut out, 0, 160, 160);
            header(&out)
        };
        let want = |marker, seq, ts| Header { marker, pt: 0, seq, ts, ssrc: 7 };
        assert_eq!(send(&mut sender), want(true, u16::MAX, u32::MAX - 159));
        assert_eq!(send(&mut sender), want(false, 0, 0));
        sender.pause(320);
        assert_eq!(send(&mut sender), want(true, 1, 480));
        sender.hold(160);
        assert_eq!(send(&mut sender), want(false, 2, 800));
        sender.mark();
        assert_eq!(send(&mut sender), want(true, 3, 960));
        assert_eq!((sender.packets(), sender.payload_bytes()), (5, 800));
    }

    /// An event takes a sequence number and leaves media time alone.
    #[test]
    fn events_do_not_move_media_time() {
        let mut sender = Sender::new(7, 10, 1000);
        let mut out = [0; HEADER_BYTES];
        sender.write_event(&mut out, 101, true, 840, 4);
        assert_eq!(header(&out), Header { marker: true, pt: 101, seq: 10, ts: 840, ssrc: 7 });
        assert_eq!((sender.seq(), sender.ts(), sender.payload_bytes()), (11, 1000, 4));
    }

    /// A report's timestamp runs on between packets at the codec's pace.
    #[test]
    fn ties_media_time_to_the_clock() {
        let mut sender = Sender::new(7, 10, 1000);
        assert_eq!(sender.ts_at(MonoTime::MAX, 8000), 1000);
        let sent = MonoTime::from_nanos(5_000_000_000);
        sender.write(sent, &mut [0; HEADER_BYTES], 0, 160, 160);
        assert_eq!(sender.ts_at(sent, 8000), 1000);
        assert_eq!(sender.ts_at(sent + Duration::from_millis(30), 8000), 1240);
    }

    /// A pause counts in whole packets; what comes early, or a moment late, moves nothing.
    #[test]
    fn catches_up_with_the_clock() {
        let after = |ms| MonoTime::ZERO + Duration::from_millis(ms);
        for (ms, ts, marker) in [
            (0, 160, false),
            (20, 160, false),
            (39, 160, false),
            (40, 320, true),
            (1_019, 8_000, true),
            (1_020, 8_160, true),
        ] {
            let (mut sender, mut out) = (Sender::new(7, 10, 0), [0; HEADER_BYTES]);
            sender.catch_up(after(ms), 8_000, 160);
            assert_eq!(sender.ts(), 0, "nothing was sent before");
            sender.write(MonoTime::ZERO, &mut out, 0, 160, 160);
            sender.catch_up(after(ms), 8_000, 160);
            sender.write(after(ms), &mut out, 0, 160, 160);
            assert_eq!((header(&out).ts, header(&out).marker), (ts, marker), "{ms} ms");
        }
        let mut sender = Sender::new(7, 10, 0);
        sender.catch_up(after(1_000), 8_000, 0);
        assert_eq!(sender.ts(), 0);
    }
}
