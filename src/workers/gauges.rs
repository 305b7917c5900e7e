//! How the media of a call fare at this moment, for whoever looks.
//!
//! The worker writes, others read, and nobody waits. Levels are those of one frame out of each look
//! of the watch for silence, so that hardly any frame is measured.

use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering::Relaxed};

use media::codec::g711::Law;
use media::codec::{AudioFormat, Codec};
use media::silence::{Notice, Reason};
use media::stages::StageCounts;

use crate::agent::session::Quality;
use crate::telemetry::CarrierLabel;

/// Samples of a frame that are measured.
const SAMPLES_MAX: usize = 480;
/// The level of what is no sound at all, in dB below overload (RFC 6465 3).
const SILENCE_DB: u8 = 127;
/// The level of what cannot be measured without decoding it.
const UNKNOWN_DB: u8 = 255;

/// How the media of a call fare at this moment.
#[derive(Debug)]
pub struct Gauges {
    levels: [AtomicU8; 2],
    /// Why there is no sound: one more than the reason's place among all; zero if there is.
    silences: [AtomicU8; 2],
    loss_ppm: AtomicU32,
    jitter_us: AtomicU32,
    mos_milli: AtomicU32,
    /// Zero if it is not known.
    round_trip_us: AtomicU32,
    buffer_ms: AtomicU64,
    /// How long the steps of its frames take.
    pub stages: StageCounts,
    /// The carrier of the call.
    pub(super) carrier: CarrierLabel,
}

impl Default for Gauges {
    fn default() -> Self {
        Self {
            levels: [const { AtomicU8::new(SILENCE_DB) }; 2],
            silences: [const { AtomicU8::new(0) }; 2],
            loss_ppm: AtomicU32::new(0),
            jitter_us: AtomicU32::new(0),
            mos_milli: AtomicU32::new(0),
            round_trip_us: AtomicU32::new(0),
            buffer_ms: AtomicU64::new(0),
            stages: StageCounts::default(),
            carrier: CarrierLabel::default(),
        }
    }
}

/// What the gauges of a call show.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct Reading {
    /// Level of what comes from the peer, in dBov; absent where it is not measured.
    pub level_in_dbov: Option<i16>,
    /// Level of what the agent says, in dBov.
    pub level_out_dbov: Option<i16>,
    /// Why nothing is heard from the peer, if nothing is.
    pub silence_in: Option<&'static str>,
    /// Why nothing is said to it, if nothing is.
    pub silence_out: Option<&'static str>,
    /// Fraction of packets lost, 0 to 1.
    pub loss: f32,
    /// Interarrival jitter in milliseconds (RFC 3550 6.4.1).
    pub jitter_ms: f32,
    /// Estimated mean opinion score; absent before the first look.
    pub mos: Option<f32>,
    /// Round trip to the peer in milliseconds, if it reports.
    pub round_trip_ms: Option<f32>,
    /// Audio queued towards the peer, in milliseconds.
    pub buffer_ms: u64,
}

/// A non-negative figure as a whole number of its small unit; the cast saturates, and what is no
/// number is zero.
fn whole(value: f32, scale: f32) -> u32 {
    (value * scale).round() as u32
}

impl Gauges {
    /// Those of a call of this carrier's.
    pub fn new(carrier: CarrierLabel) -> Self {
        Self { carrier, ..Self::default() }
    }

    /// Shows how the media fare.
    pub(super) fn fare(&self, quality: &Quality) {
        self.loss_ppm.store(whole(quality.loss, 1e6), Relaxed);
        self.jitter_us.store(whole(quality.jitter_ms, 1e3), Relaxed);
        self.mos_milli.store(whole(quality.mos, 1e3), Relaxed);
        self.round_trip_us.store(whole(quality.round_trip_ms.unwrap_or(0.0), 1e3), Relaxed);
        self.buffer_ms.store(quality.buffer_ms, Relaxed);
    }

    /// Shows that a direction carries no sound, or does again.
    pub(super) fn silence(&self, notice: &Notice) {
        let place = Reason::ALL.iter().position(|reason| *reason == notice.reason);
        let place = place.filter(|_| notice.silent).map_or(0, |place| place + 1);
        self.silences[notice.way as usize].store(u8::try_from(place).unwrap_or(0), Relaxed);
    }

    /// What they show.
    pub fn read(&self) -> Reading {
        let [level_in_dbov, level_out_dbov] = self.levels.each_ref().map(|level| {
            let level = level.load(Relaxed);
            (level != UNKNOWN_DB).then(|| -i16::from(level))
        });
        let [silence_in, silence_out] = self.silences.each_ref().map(|silence| {
            let place = usize::from(silence.load(Relaxed)).checked_sub(1)?;
            Reason::ALL.get(place).map(|reason| reason.as_str())
        });
        let shown = |gauge: &AtomicU32, scale: f32| gauge.load(Relaxed) as f32 / scale;
        let known = |value: f32| Some(value).filter(|value| *value > 0.0);
        Reading {
            level_in_dbov,
            level_out_dbov,
            silence_in,
            silence_out,
            loss: shown(&self.loss_ppm, 1e6),
            jitter_ms: shown(&self.jitter_us, 1e3),
            mos: known(shown(&self.mos_milli, 1e3)),
            round_trip_ms: known(shown(&self.round_trip_us, 1e3)),
            buffer_ms: self.buffer_ms.load(Relaxed),
        }
    }
}

/// Measures one frame each way between two looks.
#[derive(Debug)]
pub(super) struct Meter {
    levels: [u8; 2],
    measured: [bool; 2],
}

/// The ways of a meter.
#[derive(Clone, Copy, Debug)]
pub(super) enum Side {
    /// From the peer.
    In,
    /// To the peer.
    Out,
}

impl Default for Meter {
    fn default() -> Self {
        Self { levels: [SILENCE_DB; 2], measured: [false; 2] }
    }
}

impl Meter {
    /// A frame passes.
    #[inline]
    pub(super) fn frame(&mut self, side: Side, payload: &[u8], audio: AudioFormat) {
        if !std::mem::replace(&mut self.measured[side as usize], true) {
            self.levels[side as usize] = level_db(payload, audio.codec);
        }
    }

    /// What was measured of a side once somebody else had decoded it, where it cannot be measured
    /// otherwise.
    pub(super) const fn decoded(&mut self, side: Side, level: u8) {
        if self.levels[side as usize] == UNKNOWN_DB {
            self.levels[side as usize] = level;
        }
    }

    /// What comes from the peer goes back to it.
    pub(super) const fn reflect(&mut self) {
        self.levels[Side::Out as usize] = self.levels[Side::In as usize];
    }

    /// Shows what was measured, and measures again.
    pub(super) fn show(&mut self, gauges: &Gauges) {
        for (level, shown) in self.levels.iter().zip(&gauges.levels) {
            shown.store(*level, Relaxed);
        }
        *self = Self::default();
    }
}

/// The level of a frame, in dB below overload.
#[cold]
pub(super) fn level_db(payload: &[u8], codec: Codec) -> u8 {
    let mut samples = [0; SAMPLES_MAX];
    let samples = match codec {
        Codec::Pcmu | Codec::Pcma => {
            let payload = payload.get(..SAMPLES_MAX).unwrap_or(payload);
            let law = if codec == Codec::Pcmu { Law::Mu } else { Law::A };
            let decoded = law.decode(payload, &mut samples);
            samples.get(..decoded).unwrap_or_default()
        }
        Codec::L16Le | Codec::L16Be => {
            let read = |pair: &[u8; 2]| match codec {
                Codec::L16Be => i16::from_be_bytes(*pair),
                _ => i16::from_le_bytes(*pair),
            };
            let (pairs, _) = payload.as_chunks();
            let length = pairs.len().min(SAMPLES_MAX);
            samples.iter_mut().zip(pairs).for_each(|(sample, pair)| *sample = read(pair));
            samples.get(..length).unwrap_or_default()
        }
        // Each of their samples depends on all before: whoever decodes them anyway tells.
        Codec::G722 | Codec::Opus => return UNKNOWN_DB,
    };
    if samples.is_empty() {
        return SILENCE_DB;
    }
    let energy: i64 = samples.iter().map(|sample| i64::from(*sample) * i64::from(*sample)).sum();
    let mean = energy as f32 / samples.len() as f32;
    let below = -10.0 * (mean / (32_768.0 * 32_768.0)).max(1e-13).log10();
    u8::try_from(whole(below, 1.0)).unwrap_or(SILENCE_DB).min(SILENCE_DB)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use media::silence::Way;

    use super::*;

    fn tone(amplitude: f32) -> Vec<i16> {
        let wave = |i: u16| (f32::from(i) * 0.3).sin() * amplitude;
        (0..160).map(|i| wave(i) as i16).collect()
    }

    /// A full-scale tone is 3 dB below overload in every codec that can be measured, one of a tenth
    /// 23 dB; nothing is silence, and what cannot be measured is said to be so.
    #[test]
    fn levels() {
        for (amplitude, expected) in [(32_767.0, 3), (3_276.7, 23)] {
            let samples = tone(amplitude);
            let le: Vec<u8> = samples.iter().flat_map(|sample| sample.to_le_bytes()).collect();
            let be: Vec<u8> = samples.iter().flat_map(|sample| sample.to_be_bytes()).collect();
            assert_eq!(level_db(&le, Codec::L16Le), expected);
            assert_eq!(level_db(&be, Codec::L16Be), expected);
            for (law, codec) in [(Law::Mu, Codec::Pcmu), (Law::A, Codec::Pcma)] {
                let mut codes = [0; 160];
                law.encode(&samples, &mut codes);
                assert_eq!(level_db(&codes, codec), expected);
            }
        }
        assert_eq!(level_db(&[], Codec::L16Le), SILENCE_DB);
        assert_eq!(level_db(&[0; 320], Codec::L16Le), SILENCE_DB);
        for codec in [Codec::G722, Codec::Opus] {
            assert_eq!(level_db(&[0; 320], codec), UNKNOWN_DB);
        }
        assert!(level_db(&[0x7f; 5_000], Codec::Pcmu) > 60);
    }

    /// A silence is shown with its reason until it is over, or another takes over from it.
    #[test]
    fn silences() {
        let gauges = Gauges::default();
        let notice = |way, reason, silent| Notice { way, reason, silent, lasted: Duration::ZERO };
        let seen = || (gauges.read().silence_in, gauges.read().silence_out);
        assert_eq!(seen(), (None, None));
        for reason in Reason::ALL {
            gauges.silence(&notice(Way::In, *reason, true));
            assert_eq!(seen(), (Some(reason.as_str()), None));
        }
        gauges.silence(&notice(Way::Out, Reason::AgentSilent, true));
        gauges.silence(&notice(Way::In, Reason::OneWay, false));
        assert_eq!(seen(), (None, Some("agent_silent")));
    }

    /// One frame of each look is measured, the first; without one there is silence.
    #[test]
    fn one_frame_of_each_look() {
        let (gauges, mut meter) = (Gauges::default(), Meter::default());
        let loud: Vec<u8> = tone(32_767.0).iter().flat_map(|s| s.to_le_bytes()).collect();
        let audio = AudioFormat::l16le(8_000);
        meter.frame(Side::In, &loud, audio);
        meter.frame(Side::In, &[0; 320], audio);
        meter.show(&gauges);
        let seen = gauges.read();
        assert_eq!((seen.level_in_dbov, seen.level_out_dbov), (Some(-3), Some(-127)));
        assert_eq!((seen.mos, seen.round_trip_ms), (None, None));
        meter.show(&gauges);
        assert_eq!(gauges.read().level_in_dbov, Some(-127));
        // What cannot be measured is known from whoever decodes it, and nothing else is.
        meter.frame(Side::In, &[0; 60], AudioFormat::OPUS);
        meter.frame(Side::Out, &loud, audio);
        meter.decoded(Side::In, 30);
        meter.decoded(Side::Out, 30);
        meter.show(&gauges);
        let seen = gauges.read();
        assert_eq!((seen.level_in_dbov, seen.level_out_dbov), (Some(-30), Some(-3)));
        gauges.fare(&Quality {
            loss: 0.03,
            jitter_ms: 1.5,
            buffer_ms: 40,
            mos: 4.2,
            round_trip_ms: Some(12.0),
            underruns: 1,
        });
        let seen = gauges.read();
        assert_eq!((seen.loss, seen.jitter_ms, seen.mos), (0.03, 1.5, Some(4.2)));
        assert_eq!((seen.round_trip_ms, seen.buffer_ms), (Some(12.0), 40));
    }
}
