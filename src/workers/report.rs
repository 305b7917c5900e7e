//! How a leg fared, in figures.

use media::leg::Leg;

/// How a leg fared.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct LegReport {
    /// Packets received that count.
    pub packets_in: u64,
    /// Packets sent.
    pub packets_out: u64,
    /// Packets that did not come.
    pub lost: u64,
    /// Packets that came behind later ones.
    pub late: u64,
    /// Copies.
    pub duplicates: u64,
    /// Packets of unknown payload types, odd sizes, or no RTP at all.
    pub ignored: u64,
    /// Fraction of packets lost, 0 to 1.
    pub loss: f32,
    /// Interarrival jitter in milliseconds (RFC 3550 6.4.1).
    pub jitter_ms: f32,
    /// Estimated mean opinion score, 1 to 4.5 (ITU-T G.107).
    pub mos: f32,
}

/// The figures of `leg` now.
pub(super) fn leg_report(leg: &Leg) -> LegReport {
    let receiver = leg.receiver();
    let counters = receiver.counters();
    let ignored = leg.ignored();
    let expected = receiver.expected_total();
    let lost = receiver.lost_total();
    let loss = if expected == 0 { 0.0 } else { lost as f32 / expected as f32 };
    let jitter_ms = receiver.jitter().as_secs_f32() * 1000.0;
    LegReport {
        packets_in: counters.packets,
        packets_out: u64::from(leg.sender().packets()),
        lost,
        late: counters.late,
        duplicates: counters.duplicates,
        ignored: ignored.malformed + ignored.payload_type + ignored.size,
        loss,
        jitter_ms,
        mos: media::stats::mos(loss, jitter_ms),
    }
}
