//! A person on the telephone: what it says, and what it hears when.

use std::time::Duration;

use media::codec::AudioFormat;
use media::convert::Converter;
use media::time::MonoTime;

use crate::commands::chirp;
use crate::workers::tape;

/// A gap in what is heard that is none: frames are not heard to the microsecond.
const SLACK_SAMPLES: usize = 200;
/// Most that is kept of what a person hears: an hour.
const HEARD_SAMPLES_MAX: usize = 3_600 * 8_000;

/// One call, as the person sees it.
#[derive(Debug)]
pub(super) struct Person {
    /// When it began.
    pub(super) began: MonoTime,
    /// When it was answered.
    pub(super) answered: Option<MonoTime>,
    /// When its audio was up.
    pub(super) streaming: Option<MonoTime>,
    /// When the first sound came.
    pub(super) first_sound: Option<MonoTime>,
    /// When it was over, and the carrier's word for why.
    pub(super) ended: Option<(MonoTime, String)>,
    /// The keys that it heard.
    pub(super) keys: String,
    /// What the carrier complained about.
    pub(super) complaints: Vec<String>,
    /// When it hangs up.
    pub(super) hangs_up: Option<MonoTime>,
    /// Keys still to be pressed, and when the next one is.
    pub(super) presses: Option<(MonoTime, String)>,
    to_linear: Converter,
    heard: Vec<i16>,
}

impl Person {
    /// A call that begins, of audio in `format`.
    pub(super) fn new(now: MonoTime, format: AudioFormat) -> Self {
        Self {
            began: now,
            answered: None,
            streaming: None,
            first_sound: None,
            ended: None,
            keys: String::new(),
            complaints: Vec::new(),
            hangs_up: None,
            presses: None,
            to_linear: Converter::new(format, tape::FORMAT),
            heard: Vec::new(),
        }
    }

    /// Hears a frame, which is played from now on. Where nothing was played it was silent.
    pub(super) fn hear(&mut self, now: MonoTime, audio: &[u8]) {
        let Some(streaming) = self.streaming else { return };
        self.first_sound.get_or_insert(now);
        let passed = now.since(streaming).as_micros() * u128::from(chirp::RATE_HZ) / 1_000_000;
        let passed = usize::try_from(passed).unwrap_or(HEARD_SAMPLES_MAX).min(HEARD_SAMPLES_MAX);
        if passed > self.heard.len() + SLACK_SAMPLES {
            self.heard.resize(passed, 0);
        }
        if self.heard.len() >= HEARD_SAMPLES_MAX {
            return;
        }
        let mut linear = vec![0; self.to_linear.max_output(audio.len())];
        let length = self.to_linear.convert(audio, &mut linear);
        let samples = linear.get(..length).unwrap_or_default().chunks_exact(2);
        let sample = |pair: &[u8]| pair.try_into().map(i16::from_le_bytes).unwrap_or_default();
        self.heard.extend(samples.map(sample));
    }

    /// Everything that it heard since its audio was up, at 8 kHz.
    pub(super) fn heard(&self) -> &[i16] {
        &self.heard
    }

    /// How long it talked.
    pub(super) fn talked(&self) -> Duration {
        match (&self.ended, self.answered) {
            (Some((ended, _)), Some(answered)) => ended.since(answered),
            _ => Duration::ZERO,
        }
    }
}
