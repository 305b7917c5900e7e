//! RTP packets (RFC 3550 5.1), written and judged independently of the server's code.

use crate::sound;

/// Bytes of a header without CSRC and extension.
pub(crate) const HEADER_BYTES: usize = 12;

/// Payload type of PCMU (RFC 3551 6).
pub(crate) const PCMU: u8 = 0;

/// PCMU samples, and RTP clock ticks, in a millisecond.
pub(crate) const SAMPLES_MS: u32 = 8;

/// A packet as read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Packet<'a> {
    /// Marker: start of a talk spurt.
    pub(crate) marker: bool,
    /// Payload type.
    pub(crate) payload_type: u8,
    /// Sequence number.
    pub(crate) sequence: u16,
    /// Timestamp in samples.
    pub(crate) timestamp: u32,
    /// Source.
    pub(crate) ssrc: u32,
    /// Audio.
    pub(crate) payload: &'a [u8],
}

/// Writes a header without CSRC and extension.
pub(crate) fn header(
    payload_type: u8,
    marker: bool,
    sequence: u16,
    timestamp: u32,
    ssrc: u32,
) -> [u8; HEADER_BYTES] {
    let [s0, s1] = sequence.to_be_bytes();
    let [t0, t1, t2, t3] = timestamp.to_be_bytes();
    let [r0, r1, r2, r3] = ssrc.to_be_bytes();
    let second = payload_type & 0x7F | if marker { 0x80 } else { 0 };
    [0x80, second, s0, s1, t0, t1, t2, t3, r0, r1, r2, r3]
}

/// Reads a packet; `None` if it is not RTP version 2 or its lengths do not fit.
pub(crate) fn parse(bytes: &[u8]) -> Option<Packet<'_>> {
    let (head, mut rest) = bytes.split_first_chunk::<HEADER_BYTES>()?;
    let [first, second, s0, s1, t0, t1, t2, t3, r0, r1, r2, r3] = *head;
    if first >> 6 != 2 {
        return None;
    }
    rest = rest.get(4 * usize::from(first & 0x0F)..)?;
    if first & 0x10 != 0 {
        let (extension, after) = rest.split_first_chunk::<4>()?;
        let words = u16::from_be_bytes([extension[2], extension[3]]);
        rest = after.get(4 * usize::from(words)..)?;
    }
    if first & 0x20 != 0 {
        let padding = usize::from(*rest.last()?);
        if padding == 0 {
            return None;
        }
        rest = rest.get(..rest.len().checked_sub(padding)?)?;
    }
    Some(Packet {
        marker: second & 0x80 != 0,
        payload_type: second & 0x7F,
        sequence: u16::from_be_bytes([s0, s1]),
        timestamp: u32::from_be_bytes([t0, t1, t2, t3]),
        ssrc: u32::from_be_bytes([r0, r1, r2, r3]),
        payload: rest,
    })
}

/// True for RTCP (RFC 3550 6), also on the port of RTP: its packet types lie where a payload type
/// with marker bit is never used (RFC 5761 4).
pub(crate) fn is_rtcp(bytes: &[u8]) -> bool {
    bytes.len() >= 8
        && bytes.first().is_some_and(|first| first >> 6 == 2)
        && bytes.get(1).is_some_and(|second| (200..=207).contains(second))
}

/// What was wrong with a stream's headers.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub(crate) struct Faults {
    /// Packets that were no RTP at all.
    pub(crate) not_rtp: u64,
    /// Sequence numbers never seen.
    pub(crate) gaps: u64,
    /// Sequence numbers seen twice in a row or out of order.
    pub(crate) out_of_order: u64,
    /// Timestamps that did not advance with the sequence, without a marker to say so.
    pub(crate) bad_timestamp: u64,
    /// Changes of the SSRC.
    pub(crate) ssrc_changes: u64,
    /// Packets of a payload type not agreed on.
    pub(crate) bad_payload_type: u64,
}

impl Faults {
    /// Adds another stream's faults.
    pub(crate) fn add(&mut self, other: &Self) {
        self.not_rtp += other.not_rtp;
        self.gaps += other.gaps;
        self.out_of_order += other.out_of_order;
        self.bad_timestamp += other.bad_timestamp;
        self.ssrc_changes += other.ssrc_changes;
        self.bad_payload_type += other.bad_payload_type;
    }

    /// Everything together.
    pub(crate) fn total(&self) -> u64 {
        self.not_rtp
            + self.gaps
            + self.out_of_order
            + self.bad_timestamp
            + self.ssrc_changes
            + self.bad_payload_type
    }
}

/// Judges the headers of one stream: one payload type, sequence by one, timestamp by the packet's
/// samples, one source.
#[derive(Clone, Debug, Default)]
pub(crate) struct Judge {
    /// Last packet in order: ssrc, sequence, timestamp, samples.
    last: Option<(u32, u16, u32, u32)>,
    /// The payload type; that of the first packet if none was agreed on.
    payload_type: Option<u8>,
    /// What was wrong so far.
    pub(crate) faults: Faults,
}

impl Judge {
    /// The same books, ready for another stream.
    pub(crate) fn fresh(&self) -> Self {
        Self { last: None, payload_type: None, faults: self.faults.clone() }
    }

    /// Books of a stream of this payload type.
    pub(crate) fn of(payload_type: u8) -> Self {
        Self { payload_type: Some(payload_type), ..Self::default() }
    }

    /// Takes the next packet.
    pub(crate) fn see(&mut self, packet: &Packet<'_>) {
        if packet.payload_type != *self.payload_type.get_or_insert(packet.payload_type) {
            self.faults.bad_payload_type += 1;
            return;
        }
        let bytes = u32::try_from(packet.payload.len()).unwrap_or(0);
        let samples = sound::ticks(packet.payload_type, bytes);
        let now = (packet.ssrc, packet.sequence, packet.timestamp, samples);
        let Some((ssrc, sequence, timestamp, before)) = self.last else {
            self.last = Some(now);
            return;
        };
        if ssrc != packet.ssrc {
            self.faults.ssrc_changes += 1;
            self.last = Some(now);
            return;
        }
        let ahead = packet.sequence.wrapping_sub(sequence);
        if ahead == 0 || ahead >= 0x8000 {
            self.faults.out_of_order += 1;
            return;
        }
        self.faults.gaps += u64::from(ahead - 1);
        let elapsed = packet.timestamp.wrapping_sub(timestamp);
        if elapsed != before.wrapping_mul(u32::from(ahead)) && !packet.marker {
            self.faults.bad_timestamp += 1;
        }
        self.last = Some(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(sequence: u16, timestamp: u32) -> Packet<'static> {
        let payload = &[0u8; 160];
        Packet { marker: false, payload_type: PCMU, sequence, timestamp, ssrc: 9, payload }
    }

    /// A header reads back as written, at the extremes of every field.
    #[test]
    fn headers_round_trip() {
        for (payload_type, marker) in [(0, false), (0, true), (127, true)] {
            for (sequence, timestamp, ssrc) in [(0, 0, 0), (65_535, u32::MAX, 0xDEAD_BEEF)] {
                let mut bytes = header(payload_type, marker, sequence, timestamp, ssrc).to_vec();
                bytes.extend_from_slice(&[1, 2, 3]);
                let want =
                    Packet { marker, payload_type, sequence, timestamp, ssrc, payload: &[1, 2, 3] };
                assert_eq!(parse(&bytes), Some(want));
            }
        }
    }

    /// CSRC, extension and padding are skipped, and no truncation is taken for a packet with
    /// its audio shifted.
    #[test]
    fn skips_what_is_not_audio() {
        let mut bytes = header(0, false, 1, 2, 3).to_vec();
        bytes[0] = 0xB2;
        bytes.extend_from_slice(&[0; 8]);
        bytes.extend_from_slice(&[0xBE, 0xDE, 0, 1, 9, 9, 9, 9]);
        bytes.extend_from_slice(&[5, 6, 7, 0, 2]);
        assert_eq!(parse(&bytes).map(|packet| packet.payload), Some(&[5u8, 6, 7][..]));
        for length in 0..28 {
            assert_eq!(parse(&bytes[..length]), None, "{length} bytes");
        }
        bytes[0] = 0x40;
        assert_eq!(parse(&bytes), None);
    }

    /// A stream that wraps both counters is without fault; each fault is counted as itself.
    #[test]
    fn judges_sequence_and_time() {
        let mut judge = Judge::of(PCMU);
        let mut timestamp = u32::MAX - 400;
        for sequence in 65_530..=65_535u16 {
            judge.see(&packet(sequence, timestamp));
            timestamp = timestamp.wrapping_add(160);
        }
        judge.see(&packet(0, timestamp));
        assert_eq!(judge.faults, Faults::default());
        judge.see(&packet(3, timestamp.wrapping_add(480)));
        assert_eq!((judge.faults.gaps, judge.faults.total()), (2, 2));
        judge.see(&packet(3, timestamp.wrapping_add(480)));
        judge.see(&packet(2, timestamp.wrapping_add(320)));
        assert_eq!(judge.faults.out_of_order, 2);
        judge.see(&packet(4, timestamp.wrapping_add(641)));
        assert_eq!(judge.faults.bad_timestamp, 1);
        judge.see(&Packet { marker: true, ..packet(5, 77) });
        assert_eq!(judge.faults.bad_timestamp, 1);
        judge.see(&Packet { ssrc: 10, ..packet(900, 5) });
        judge.see(&Packet { payload_type: 8, ..packet(901, 5) });
        assert_eq!((judge.faults.ssrc_changes, judge.faults.bad_payload_type), (1, 1));
    }
}
