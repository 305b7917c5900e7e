//! Encoder and decoder: libopus, one state for one direction of one stream.
//!
//! Nothing is allocated after creation, on either side of the border to C: libopus keeps what a
//! frame needs on the stack.

use std::time::Duration;

use opus::{Application, Bandwidth, Bitrate, Channels, Signal};

use super::{
    NoCoder, PACKET_BYTES_MAX, PACKET_MAX_MS, RATE_HZ, Settings, has_redundancy, packet_ticks,
};

/// The least that can be decoded or concealed, in milliseconds times ten.
const GRAIN_X10_MS: u32 = 25;

/// Frames that are coded, in milliseconds times ten, the longest first (RFC 6716 2.1.4).
const FRAMES_X10_MS: [u32; 6] = [600, 400, 200, 100, 50, 25];
/// What is coded unless less is asked for, in bits a second: full speech, with room for redundancy
/// (RFC 7587 3.1.1).
const BITRATE_BPS: u32 = 32_000;
/// The range of bit rates (RFC 7587 6.1).
const BITRATE_MIN_BPS: u32 = 6_000;
/// See [`BITRATE_MIN_BPS`].
const BITRATE_MAX_BPS: u32 = 510_000;
/// How hard the encoder tries, of 10: above 5 it costs a third more and is not heard in speech.
const COMPLEXITY: i32 = 5;
/// Losses that redundancy is made for, in percent.
const EXPECTED_LOSS_PERCENT: i32 = 5;
/// Packets this short say that nobody speaks; they need not be sent (RFC 7587 3.1.3).
const PAUSE_BYTES_MAX: usize = 2;

/// Codes one direction of one stream.
#[derive(Debug)]
pub struct Encoder {
    inner: opus::Encoder,
    rate_hz: u32,
    pauses: bool,
    /// Samples that wait for the rest of their frame.
    held: Box<[i16]>,
    held_len: usize,
    delay: Duration,
}

impl Encoder {
    /// An encoder of mono speech of `rate_hz`, one that Opus has, with silence behind it.
    ///
    /// # Errors
    ///
    /// Opus has no such rate, or memory ran out.
    pub fn new(rate_hz: u32) -> Result<Self, NoCoder> {
        let mut inner =
            opus::Encoder::new(rate_hz, Channels::Mono, Application::Voip).map_err(|_| NoCoder)?;
        inner.set_signal(Signal::Voice).map_err(|_| NoCoder)?;
        inner.set_complexity(COMPLEXITY).map_err(|_| NoCoder)?;
        let ahead = inner.get_lookahead().map_err(|_| NoCoder)?;
        let nanos = u64::from(ahead.unsigned_abs()) * 1_000_000_000 / u64::from(rate_hz);
        let longest = (rate_hz / 1_000 * PACKET_MAX_MS) as usize;
        let mut encoder = Self {
            inner,
            rate_hz,
            pauses: false,
            held: vec![0; longest].into(),
            held_len: 0,
            delay: Duration::from_nanos(nanos),
        };
        encoder.tune(&Settings::default());
        Ok(encoder)
    }

    /// Codes as `settings` ask from now on; the stream goes on.
    pub fn tune(&mut self, settings: &Settings) {
        let limit = settings.max_bitrate_bps.unwrap_or(BITRATE_BPS);
        let bitrate = BITRATE_BPS.min(limit.clamp(BITRATE_MIN_BPS, BITRATE_MAX_BPS));
        let bandwidth = match settings.max_rate_hz {
            0..12_000 => Bandwidth::Narrowband,
            12_000..16_000 => Bandwidth::Mediumband,
            16_000..24_000 => Bandwidth::Wideband,
            24_000..RATE_HZ => Bandwidth::Superwideband,
            // At our bit rate nothing is left to repeat speech with what lies above 12 kHz.
            _ if settings.redundancy => Bandwidth::Superwideband,
            _ => Bandwidth::Fullband,
        };
        let loss = if settings.redundancy { EXPECTED_LOSS_PERCENT } else { 0 };
        self.pauses = settings.pauses;
        // All in range, so that none of them is refused.
        let inner = &mut self.inner;
        let _ = inner.set_bitrate(Bitrate::Bits(bitrate.cast_signed()));
        let _ = inner.set_max_bandwidth(bandwidth);
        let _ = inner.set_inband_fec(settings.redundancy);
        let _ = inner.set_packet_loss_perc(loss);
        let _ = inner.set_dtx(settings.pauses);
        let _ = inner.set_vbr(!settings.constant);
    }

    /// Takes samples, which wait for [`Self::packet`]: up to 120 ms, what exceeds that is lost.
    pub fn push(&mut self, samples: &[i16]) {
        let room = samples.len().min(self.held.len() - self.held_len);
        let end = self.held_len + room;
        self.held[self.held_len..end].copy_from_slice(&samples[..room]);
        self.held_len = end;
    }

    /// Writes a packet of the longest frame that is complete; returns its bytes, 0 if none is, or
    /// if the packet need not be sent. What is not coded waits for more.
    pub fn packet(&mut self, out: &mut [u8]) -> usize {
        let frames = FRAMES_X10_MS.iter().map(|x10_ms| grains(self.rate_hz, *x10_ms));
        let Some(frame) = frames.into_iter().find(|frame| *frame <= self.held_len) else {
            return 0;
        };
        let room = out.len().min(PACKET_BYTES_MAX);
        let bytes = self.inner.encode(&self.held[..frame], &mut out[..room]).unwrap_or(0);
        self.held.copy_within(frame..self.held_len, 0);
        self.held_len -= frame;
        if self.pauses && bytes <= PAUSE_BYTES_MAX { 0 } else { bytes }
    }

    /// Samples that wait for the rest of their frame.
    pub const fn held(&self) -> usize {
        self.held_len
    }

    /// Back to silence.
    pub fn reset(&mut self) {
        let _ = self.inner.reset_state();
        self.held_len = 0;
    }

    /// How much later a sound stands in what is decoded.
    pub const fn delay(&self) -> Duration {
        self.delay
    }
}

/// Decodes one direction of one stream.
#[derive(Debug)]
pub struct Decoder {
    inner: opus::Decoder,
    rate_hz: u32,
}

impl Decoder {
    /// A decoder to mono of `rate_hz`, one that Opus has, with silence behind it.
    ///
    /// # Errors
    ///
    /// Opus has no such rate, or memory ran out.
    pub fn new(rate_hz: u32) -> Result<Self, NoCoder> {
        let inner = opus::Decoder::new(rate_hz, Channels::Mono).map_err(|_| NoCoder)?;
        Ok(Self { inner, rate_hz })
    }

    /// Decodes a packet; returns how many samples. `samples` must hold the packet: one that does
    /// not fit, or is none, yields nothing.
    pub fn decode(&mut self, packet: &[u8], samples: &mut [i16]) -> usize {
        if packet_ticks(packet) == 0 {
            return 0;
        }
        self.inner.decode(packet, samples, false).unwrap_or(0)
    }

    /// Fills `samples`, the end of what was lost before the packet `next`, with what `next` repeats
    /// of it; returns how many, 0 if it repeats nothing. To be called before `next` is decoded.
    pub fn recover(&mut self, next: &[u8], samples: &mut [i16]) -> usize {
        if !has_redundancy(next) {
            return 0;
        }
        let whole = self.whole(samples.len());
        self.inner.decode(next, &mut samples[..whole], true).unwrap_or(0)
    }

    /// Fills `samples` with what may have been lost; returns how many, a multiple of 2.5 ms.
    pub fn conceal(&mut self, samples: &mut [i16]) -> usize {
        let whole = self.whole(samples.len());
        if whole == 0 {
            return 0;
        }
        self.inner.decode(&[], &mut samples[..whole], false).unwrap_or(0)
    }

    /// Back to silence.
    pub fn reset(&mut self) {
        let _ = self.inner.reset_state();
    }

    fn whole(&self, samples: usize) -> usize {
        let longest = (self.rate_hz / 1_000 * PACKET_MAX_MS) as usize;
        let grain = grains(self.rate_hz, GRAIN_X10_MS);
        samples.min(longest) / grain * grain
    }
}

/// Samples in `x10_ms` tenths of a millisecond.
const fn grains(rate_hz: u32, x10_ms: u32) -> usize {
    (rate_hz / 400 * (x10_ms / GRAIN_X10_MS)) as usize
}
