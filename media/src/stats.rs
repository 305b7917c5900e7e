//! How a leg fares: counts, and what a listener would say of it.

use std::time::Duration;

use crate::rtcp::Session;
use crate::rtp::{Receiver, Sender};

/// How an equipment suffers from lost packets (ITU-T G.113 appendix I).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Impairment {
    /// Ie: what the codec costs without loss.
    pub equipment: f32,
    /// Bpl: how well it bears random loss.
    pub robustness: f32,
}

impl Impairment {
    /// G.711 and linear audio whose gaps are concealed (G.113 table I.3: G.711 with PLC).
    pub const CONCEALED: Self = Self { equipment: 0.0, robustness: 25.1 };
    /// G.711 and linear audio whose gaps are silence (G.113 table I.3: G.711 without PLC).
    pub const BARE: Self = Self { equipment: 0.0, robustness: 4.3 };
}

/// What one direction did to speech.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Quality {
    /// Fraction of packets that were not played, 0 to 1.
    pub loss: f32,
    /// Mouth to ear, one way.
    pub delay: Duration,
}

impl Quality {
    /// The transmission rating R of the E-model, 0 to 93.2.
    ///
    /// ITU-T G.107 with all parameters but these at their defaults, which makes Ro - Is = 93.2 and
    /// leaves R = 93.2 - Idd - Ie,eff. Talker and listener echo are taken to be cancelled (Idte =
    /// Idle = 0), loss is taken to be random (BurstR = 1). Wideband audio is rated as if it were
    /// narrowband.
    pub fn rating(self, impairment: Impairment) -> f32 {
        let rating = RATING_MAX - delay_impairment(self.delay) - self.loss_impairment(impairment);
        rating.clamp(0.0, RATING_MAX)
    }

    /// The estimated mean opinion score, 1.0 to 4.41 (G.107 annex B, equation B-4).
    pub fn mos(self, impairment: Impairment) -> f32 {
        let r = self.rating(impairment);
        // The cubic dips a little below 1 for ratings below 6.5.
        (1.0 + 0.035 * r + r * (r - 60.0) * (100.0 - r) * 7e-6).max(1.0)
    }

    /// Ie,eff (G.107 equation 7-29).
    fn loss_impairment(self, Impairment { equipment, robustness }: Impairment) -> f32 {
        let percent = self.loss.clamp(0.0, 1.0) * 100.0;
        equipment + (95.0 - equipment) * percent / (percent + robustness)
    }
}

/// Idd: what the delay costs beyond 100 ms (G.107 equations 7-27 and 7-28).
fn delay_impairment(delay: Duration) -> f32 {
    let ms = delay.as_secs_f32() * 1000.0;
    if ms <= 100.0 {
        return 0.0;
    }
    let x = (ms / 100.0).log2();
    let sixth_root = |y: f32| (1.0 + y.powi(6)).powf(1.0 / 6.0);
    25.0 * (sixth_root(x) - 3.0 * sixth_root(x / 3.0) + 2.0)
}

/// R with nothing wrong (G.107, default values).
const RATING_MAX: f32 = 93.2;

/// Delay that is neither network nor jitter: one packet at the sender, about one frame in its
/// converters.
const FIXED_DELAY: Duration = Duration::from_millis(30);

/// How a leg fares at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct LegSnapshot {
    /// Packets heard.
    pub packets_received: u64,
    /// Payload bytes heard.
    pub payload_bytes_received: u64,
    /// Packets sent, modulo 2^32.
    pub packets_sent: u32,
    /// Payload bytes sent, modulo 2^32.
    pub payload_bytes_sent: u32,
    /// Packets that never came.
    pub lost: u64,
    /// Packets that came out of order.
    pub late: u64,
    /// Packets that came again.
    pub duplicates: u64,
    /// Packets that belonged nowhere: far from the sequence, or of another source.
    pub refused: u64,
    /// Sequences that started anew and changes of source.
    pub resyncs: u64,
    /// Fraction of packets lost, 0 to 1, over the leg's life.
    pub loss: f32,
    /// Interarrival jitter.
    pub jitter: Duration,
    /// The last round trip, if the peer reports.
    pub round_trip: Option<Duration>,
    /// Fraction of our packets that the peer lost between its last two reports, if it reports.
    pub remote_loss: Option<f32>,
    /// Estimated mean opinion score of what we hear, 1 to 4.41.
    pub mos: f32,
}

impl LegSnapshot {
    /// How the leg fares now. `buffer` is how long audio waits before it is played.
    ///
    /// The delay that the score rests on is half the round trip, what the jitter buffer must bridge
    /// (the larger of `buffer` and twice the jitter), and 30 ms for the equipment.
    pub fn take(
        receiver: &Receiver,
        sender: &Sender,
        session: &Session,
        buffer: Duration,
        impairment: Impairment,
    ) -> Self {
        let counters = receiver.counters();
        let expected = receiver.expected_total();
        let lost = receiver.lost_total();
        let loss = if expected == 0 { 0.0 } else { (lost as f64 / expected as f64) as f32 };
        let jitter = receiver.jitter();
        let round_trip = session.round_trip();
        let delay = FIXED_DELAY + round_trip.unwrap_or_default() / 2 + buffer.max(jitter * 2);
        Self {
            packets_received: counters.packets,
            payload_bytes_received: counters.payload_bytes,
            packets_sent: sender.packets(),
            payload_bytes_sent: sender.payload_bytes(),
            lost,
            late: counters.late,
            duplicates: counters.duplicates,
            refused: counters.strays + counters.foreign,
            resyncs: counters.restarts + counters.source_changes,
            loss,
            jitter,
            round_trip,
            remote_loss: session.remote().map(|report| f32::from(report.fraction_lost) / 256.0),
            mos: Quality { loss, delay }.mos(impairment),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quality(loss: f32, delay_ms: u64) -> Quality {
        Quality { loss, delay: Duration::from_millis(delay_ms) }
    }

    /// Known points of the E-model: no impairment gives 93.2 and 4.41 (G.107 clause 8 default
    /// values); delay costs what G.107 figure 1 shows; G.711 at 5 % random loss falls to Ie,eff 51
    /// bare and 15.8 concealed.
    #[test]
    fn meets_known_points() {
        let near = |a: f32, b: f32, within: f32| assert!((a - b).abs() < within, "{a} is not {b}");
        near(quality(0.0, 0).rating(Impairment::BARE), 93.2, 0.001);
        near(quality(0.0, 100).mos(Impairment::BARE), 4.41, 0.005);
        near(quality(0.05, 0).rating(Impairment::BARE), 93.2 - 51.08, 0.01);
        near(quality(0.05, 0).rating(Impairment::CONCEALED), 93.2 - 15.78, 0.01);
        // 200 ms: X = 1; Idd = 25 (2^(1/6) - 3 (1 + 3^-6)^(1/6) + 2).
        near(quality(0.0, 200).rating(Impairment::BARE), 93.2 - 3.044, 0.01);
        near(quality(0.0, 400).rating(Impairment::BARE), 93.2 - 24.1, 0.5);
        near(quality(1.0, 2000).mos(Impairment::BARE), 1.0, 0.001);
    }

    /// More loss or more delay never sounds better, and no input leaves the scale.
    #[test]
    fn worsens_with_loss_and_delay() {
        for impairment in [Impairment::BARE, Impairment::CONCEALED] {
            let mut last = f32::MAX;
            for step in 0..=100_u8 {
                let mos = quality(f32::from(step) / 100.0, 0).mos(impairment);
                assert!((1.0..=4.42).contains(&mos) && mos <= last, "loss {step} %: {mos}");
                last = mos;
            }
            let mut last = f32::MAX;
            for delay_ms in (0..5000).step_by(10) {
                let mos = quality(0.0, delay_ms).mos(impairment);
                assert!((1.0..=4.42).contains(&mos) && mos <= last, "{delay_ms} ms: {mos}");
                last = mos;
            }
        }
        assert!(quality(f32::NAN, 0).mos(Impairment::BARE) >= 1.0);
    }
}
