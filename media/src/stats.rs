//! How a leg fares: counts, and what a listener would say of it.

use std::time::Duration;

use crate::codec::{AudioFormat, Codec};
use crate::rtcp::{Bursts, RX_CONFIG_BARE, Session, VoipMetrics};
use crate::rtp::{Receiver, Sender};

/// How an equipment suffers from lost packets (ITU-T G.113 appendix I).
///
/// The scale is that of narrowband telephony, on which G.711 is without fault. G.722 is rated
/// better than G.711 on the wideband scale (G.113 appendix IV: Ie,wb of 13 at 64 kbit/s beside 36),
/// which the narrowband scale cannot show: both are 0 there, as is Opus at the rates used here, for
/// which G.113 has no value.
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
    /// G.722 whose gaps are silence: each costs what it does in G.711, and after it the decoder
    /// needs some milliseconds to agree with the encoder again.
    pub const BARE_G722: Self = Self { equipment: 0.0, robustness: 3.9 };
    /// G.722 whose gaps are concealed, with the same after each.
    pub const CONCEALED_G722: Self = Self { equipment: 0.0, robustness: 15.0 };
    /// Opus, which conceals its gaps itself and fades into and out of what it lost: taken for as
    /// robust as G.711 with appendix I.
    pub const OPUS: Self = Self { equipment: 0.0, robustness: 25.1 };

    /// That of `format` when a lost packet is silence to its listener, as for an agent that is
    /// handed packets as they come.
    pub const fn bare(format: AudioFormat) -> Self {
        match format.codec {
            Codec::Pcmu | Codec::Pcma | Codec::L16Le | Codec::L16Be => Self::BARE,
            Codec::G722 => Self::BARE_G722,
            Codec::Opus => Self::OPUS,
        }
    }

    /// That of `format` when its gaps are concealed.
    pub const fn concealed(format: AudioFormat) -> Self {
        match format.codec {
            Codec::Pcmu | Codec::Pcma | Codec::L16Le | Codec::L16Be => Self::CONCEALED,
            Codec::G722 => Self::CONCEALED_G722,
            Codec::Opus => Self::OPUS,
        }
    }
}

/// What one direction did to speech.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Quality {
    /// Fraction of packets that were not played, 0 to 1.
    pub loss: f32,
    /// BurstR: how much longer runs of losses are than random ones, at least 1 (G.107 clause 3.5).
    pub burst_ratio: f32,
    /// Mouth to ear, one way.
    pub delay: Duration,
}

impl Quality {
    /// The transmission rating R of the E-model, 0 to 93.2.
    ///
    /// ITU-T G.107 with all parameters but these at their defaults, which makes Ro - Is = 93.2 and
    /// leaves R = 93.2 - Idd - Ie,eff. Talker and listener echo are taken to be cancelled (Idte =
    /// Idle = 0). Wideband audio is rated as if it were narrowband: the scale of G.107.1, on which
    /// it would fare better, has another zero and cannot be compared.
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

    /// Ie,eff (G.107 equation 7-29). Beyond a ratio of 2 the equation holds for up to 2 % of loss
    /// and overstates the harm of more.
    fn loss_impairment(self, Impairment { equipment, robustness }: Impairment) -> f32 {
        let percent = self.loss.clamp(0.0, 1.0) * 100.0;
        let bursts = self.burst_ratio.max(1.0);
        equipment + (95.0 - equipment) * percent / (percent / bursts + robustness)
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
    /// How much longer runs of losses are than random ones, at least 1.
    pub burst_ratio: f32,
    /// Mouth to ear, one way, as the score assumes it.
    pub delay: Duration,
    /// The transmission rating that the score comes from, 0 to 93.2.
    pub rating: f32,
    /// Estimated mean opinion score of what we hear, 1 to 4.41.
    pub mos: f32,
    /// The peer's own estimate of what it hears of us, if it sends extended reports (RFC 3611).
    pub remote_mos: Option<f32>,
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
        bursts: &Bursts,
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
        let burst_ratio = bursts.burst_ratio();
        let quality = Quality { loss, burst_ratio, delay };
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
            burst_ratio,
            delay,
            rating: quality.rating(impairment),
            mos: quality.mos(impairment),
            remote_mos: session.remote_metrics().and_then(VoipMetrics::mos),
        }
    }
}

/// What an extended report says of the stream `ssrc` (RFC 3611 4.7), of which `bursts` were lost
/// among packets of `ptime_ms`, and `discarded` came too late. Levels and echo are not measured.
pub fn voip_metrics(
    ssrc: u32,
    leg: &LegSnapshot,
    (bursts, impairment): (&Bursts, Impairment),
    discarded: u64,
    buffer: Duration,
    ptime_ms: u32,
) -> VoipMetrics {
    let expected = leg.packets_received + leg.lost;
    let rate = |packets: u64| {
        let rate = (packets * 256).checked_div(expected).unwrap_or(0);
        u8::try_from(rate).unwrap_or(u8::MAX)
    };
    let ms = |time: Duration| u16::try_from(time.as_millis()).unwrap_or(u16::MAX);
    let long = |packets: u32| u16::try_from(packets.saturating_mul(ptime_ms)).unwrap_or(u16::MAX);
    let figures = bursts.figures();
    let buffer_ms = ms(buffer);
    let score = (leg.mos * 10.0).round() as u8;
    // Listening quality knows no delay.
    let listening = Quality { loss: leg.loss, burst_ratio: leg.burst_ratio, delay: Duration::ZERO };
    VoipMetrics {
        loss_rate: rate(leg.lost),
        discard_rate: rate(discarded),
        burst_density: figures.burst_density,
        gap_density: figures.gap_density,
        burst_ms: long(figures.burst_packets),
        gap_ms: long(figures.gap_packets),
        round_trip_ms: leg.round_trip.map_or(0, ms),
        end_system_ms: ms(FIXED_DELAY + buffer),
        r_factor: leg.rating.round() as u8,
        mos_lq_x10: (listening.mos(impairment) * 10.0).round() as u8,
        mos_cq_x10: score,
        rx_config: RX_CONFIG_BARE,
        jb_nominal_ms: buffer_ms,
        jb_maximum_ms: buffer_ms,
        jb_abs_max_ms: buffer_ms,
        ..VoipMetrics::unknown(ssrc)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FORMATS: [AudioFormat; 5] = [
        AudioFormat::PCMU,
        AudioFormat::PCMA,
        AudioFormat::l16be(16_000),
        AudioFormat::G722,
        AudioFormat::OPUS,
    ];

    fn quality(loss: f32, delay_ms: u64) -> Quality {
        Quality { loss, burst_ratio: 1.0, delay: Duration::from_millis(delay_ms) }
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

    /// ITU-T G.107 table B.1: ratings and the scores that they stand for.
    #[test]
    fn meets_the_table_of_scores() {
        for (rating, score) in [(90.0, 4.34), (80.0, 4.03), (70.0, 3.6), (60.0, 3.1), (50.0, 2.58)]
        {
            let equipment = RATING_MAX - rating;
            let codec = Impairment { equipment, robustness: 10.0 };
            let mos = quality(0.0, 0).mos(codec);
            assert!((mos - score).abs() < 0.01, "R {rating}: {mos} is not {score}");
        }
    }

    /// ITU-T G.113 appendix I and G.107 equation 7-29: codecs under random and bursty loss.
    #[test]
    fn rates_codecs_under_loss() {
        // Ie and Bpl of G.729A with VAD, GSM EFR, G.711 with concealment (tables I.1, I.3, I.4).
        for (equipment, robustness, percent, burst_ratio, impaired) in [
            (11.0, 19.0, 0.0, 1.0, 11.0),
            (11.0, 19.0, 2.0, 1.0, 19.0),
            (5.0, 10.0, 5.0, 1.0, 35.0),
            (0.0, 25.1, 3.0, 1.0, 10.14),
            (0.0, 4.3, 2.0, 1.0, 30.16),
            (0.0, 4.3, 2.0, 2.0, 35.85),
        ] {
            let loss = percent / 100.0;
            let quality = Quality { loss, burst_ratio, delay: Duration::ZERO };
            let found = quality.loss_impairment(Impairment { equipment, robustness });
            assert!((found - impaired).abs() < 0.01, "{equipment} {percent} %: {found}");
        }
    }

    /// The scores that `docs/quality.md` gives for 1, 3 and 5 % of random loss.
    #[test]
    fn scores_are_as_documented() {
        for (impairment, scores) in [
            (Impairment::BARE, [3.83, 2.79, 2.17]),
            (Impairment::CONCEALED, [4.33, 4.13, 3.92]),
            (Impairment::BARE_G722, [3.77, 2.67, 2.06]),
            (Impairment::CONCEALED_G722, [4.27, 3.92, 3.57]),
            (Impairment::OPUS, [4.33, 4.13, 3.92]),
        ] {
            for (loss, score) in [0.01, 0.03, 0.05].into_iter().zip(scores) {
                let mos = quality(loss, 0).mos(impairment);
                assert!((mos - score).abs() < 0.006, "{impairment:?} at {loss}: {mos}");
            }
        }
    }

    /// Without loss no codec costs anything on this scale; under loss concealment never harms,
    /// G.722 bears less than G.711, and Opus conceals itself.
    #[test]
    fn tells_codecs_apart() {
        let mos = |impairment| quality(0.03, 0).mos(impairment);
        for format in FORMATS {
            let (bare, concealed) = (Impairment::bare(format), Impairment::concealed(format));
            assert_eq!(quality(0.0, 0).rating(bare), RATING_MAX);
            assert!(mos(concealed) >= mos(bare), "{format:?}");
        }
        let bare = |format| mos(Impairment::bare(format));
        assert!(bare(AudioFormat::G722) < bare(AudioFormat::PCMA));
        assert!(bare(AudioFormat::OPUS) > bare(AudioFormat::PCMA) + 0.5);
        let concealed = |format| mos(Impairment::concealed(format));
        assert!(concealed(AudioFormat::G722) < concealed(AudioFormat::PCMA));
    }

    /// Metrics hold what the leg knows, and say what it does not.
    #[test]
    fn metrics_of_a_leg() {
        let mut bursts = Bursts::default();
        (0..100).for_each(|n| if n % 50 == 49 { bursts.lost() } else { bursts.came() });
        let leg = LegSnapshot {
            packets_received: 98,
            lost: 2,
            loss: 0.02,
            burst_ratio: 1.0,
            rating: 63.04,
            mos: 3.25,
            round_trip: Some(Duration::from_millis(80)),
            ..LegSnapshot::default()
        };
        let metrics =
            voip_metrics(7, &leg, (&bursts, Impairment::BARE), 1, Duration::from_millis(20), 20);
        assert_eq!((metrics.ssrc, metrics.loss_rate, metrics.discard_rate), (7, 5, 2));
        assert_eq!((metrics.round_trip_ms, metrics.end_system_ms), (80, 50));
        assert_eq!((metrics.r_factor, metrics.mos_cq_x10, metrics.rerl_db), (63, 33, 127));
        assert_eq!(metrics.mos(), Some(3.3));
    }

    /// More loss or more delay never sounds better, and no input leaves the scale.
    #[test]
    fn worsens_with_loss_and_delay() {
        for impairment in
            FORMATS.into_iter().flat_map(|of| [Impairment::bare(of), Impairment::concealed(of)])
        {
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
