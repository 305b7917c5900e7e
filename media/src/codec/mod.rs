//! Codecs and formats of audio.

pub mod g711;
pub mod g722;
pub mod l16;
pub mod opus;
pub mod simd;

/// How samples are coded in a frame's payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Codec {
    /// G.711 µ-law, one byte a sample (RFC 3551 4.5.14).
    Pcmu,
    /// G.711 A-law, one byte a sample (RFC 3551 4.5.14).
    Pcma,
    /// G.722, one byte for two samples, each of which depends on all before (RFC 3551 4.5.2).
    G722,
    /// Linear 16-bit samples, least significant byte first: what agents speak.
    L16Le,
    /// Linear 16-bit samples in network order (RFC 3551 4.5.11): what RTP peers speak.
    L16Be,
    /// Opus, a packet a payload (RFC 7587).
    Opus,
}

impl Codec {
    /// Bytes of the smallest piece of a payload: of one sample; one where a byte holds several, or
    /// where a payload has no pieces.
    pub const fn sample_bytes(self) -> usize {
        match self {
            Self::Pcmu | Self::Pcma | Self::G722 | Self::Opus => 1,
            Self::L16Le | Self::L16Be => 2,
        }
    }

    /// The byte that codes silence. In Opus there is none.
    pub const fn silence(self) -> u8 {
        match self {
            Self::Pcmu => 0xff,
            Self::Pcma => 0xd5,
            Self::G722 => g722::SILENCE,
            Self::L16Le | Self::L16Be | Self::Opus => 0,
        }
    }

    /// True if each sample stands for itself, so that payloads may be cut, dropped and put together
    /// at will. Otherwise what is said must be coded in one go, from first to last.
    pub const fn is_memoryless(self) -> bool {
        match self {
            Self::Pcmu | Self::Pcma | Self::L16Le | Self::L16Be => true,
            Self::G722 | Self::Opus => false,
        }
    }

    /// True if a payload is a packet, which can neither be cut nor joined to another.
    pub const fn is_packets(self) -> bool {
        matches!(self, Self::Opus)
    }
}

/// A codec at a sampling rate; mono.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct AudioFormat {
    /// How samples are coded.
    pub codec: Codec,
    /// Samples a second: 8000, 16000, 24000 or 48000.
    pub rate_hz: u32,
}

impl AudioFormat {
    /// G.711 µ-law at 8 kHz.
    pub const PCMU: Self = Self { codec: Codec::Pcmu, rate_hz: 8000 };
    /// G.711 A-law at 8 kHz.
    pub const PCMA: Self = Self { codec: Codec::Pcma, rate_hz: 8000 };
    /// G.722 at 16 kHz, its only rate.
    pub const G722: Self = Self { codec: Codec::G722, rate_hz: g722::RATE_HZ };

    /// Opus at 48 kHz, whatever its packets hold.
    pub const OPUS: Self = Self { codec: Codec::Opus, rate_hz: opus::RATE_HZ };

    /// Linear 16-bit little-endian at `rate_hz`.
    pub const fn l16le(rate_hz: u32) -> Self {
        Self { codec: Codec::L16Le, rate_hz }
    }

    /// Linear 16-bit network order at `rate_hz`.
    pub const fn l16be(rate_hz: u32) -> Self {
        Self { codec: Codec::L16Be, rate_hz }
    }

    /// Ticks a second of the RTP timestamp (RFC 3551). Equal to the sampling rate but for G.722,
    /// whose clock was once assigned in error and stays (RFC 3551 4.5.2).
    pub const fn clock_hz(self) -> u32 {
        match self.codec {
            Codec::G722 => self.rate_hz / 2,
            Codec::Pcmu | Codec::Pcma | Codec::L16Le | Codec::L16Be | Codec::Opus => self.rate_hz,
        }
    }

    /// Samples of sound in `ms` milliseconds.
    pub const fn samples(self, ms: u32) -> usize {
        (self.rate_hz / 1000 * ms) as usize
    }

    /// Ticks of the RTP clock in `ms` milliseconds.
    pub const fn ticks(self, ms: u32) -> u32 {
        self.clock_hz() / 1000 * ms
    }

    /// Bytes of payload in `ms` milliseconds; of the longest packet where they vary.
    pub const fn bytes(self, ms: u32) -> usize {
        match self.codec {
            Codec::G722 => self.samples(ms) / g722::BYTE_SAMPLES,
            Codec::Opus => opus::PACKET_BYTES_MAX,
            Codec::Pcmu | Codec::Pcma | Codec::L16Le | Codec::L16Be => {
                self.samples(ms) * self.codec.sample_bytes()
            }
        }
    }

    /// How long `payload` lasts, in ticks of the RTP clock.
    #[inline]
    pub fn payload_ticks(self, payload: &[u8]) -> u32 {
        match self.codec {
            Codec::Opus => opus::packet_ticks(payload),
            codec => u32::try_from(payload.len() / codec.sample_bytes()).unwrap_or(u32::MAX),
        }
    }

    /// True if `payload` is whole samples, or a packet that can be decoded, and not empty.
    #[inline]
    pub fn is_whole(self, payload: &[u8]) -> bool {
        match self.codec {
            Codec::Opus => opus::packet_ticks(payload) > 0,
            codec => !payload.is_empty() && payload.len().is_multiple_of(codec.sample_bytes()),
        }
    }

    /// The most samples of sound that `bytes` of payload hold: of one payload, for packets.
    pub const fn payload_samples(self, bytes: usize) -> usize {
        match self.codec {
            Codec::G722 => bytes.saturating_mul(g722::BYTE_SAMPLES),
            Codec::Opus => self.samples(opus::PACKET_MAX_MS),
            Codec::Pcmu | Codec::Pcma | Codec::L16Le | Codec::L16Be => {
                bytes / self.codec.sample_bytes()
            }
        }
    }

    /// Linear samples at the rate of this format: what it is when decoded.
    pub const fn linear(self) -> Self {
        Self::l16le(self.rate_hz)
    }

    /// The format in which sound waits that is to be said in this one: this, if it can be cut
    /// anywhere, else linear.
    pub const fn waiting(self) -> Self {
        if self.codec.is_memoryless() { self } else { self.linear() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Samples, ticks and bytes of a packet, which differ where clock and rate do.
    #[test]
    fn sizes_of_twenty_ms() {
        let expected = [
            (AudioFormat::PCMU, 160, 160, 160),
            (AudioFormat::PCMA, 160, 160, 160),
            (AudioFormat::G722, 320, 160, 160),
            (AudioFormat::l16be(8000), 160, 160, 320),
            (AudioFormat::l16le(48_000), 960, 960, 1920),
        ];
        for (format, samples, ticks, bytes) in expected {
            assert_eq!(format.samples(20), samples, "{format:?}");
            assert_eq!((format.ticks(20), format.bytes(20)), (ticks, bytes), "{format:?}");
            assert_eq!(format.payload_ticks(&vec![0; bytes]), ticks, "{format:?}");
            assert_eq!(format.payload_samples(bytes), samples, "{format:?}");
            assert_eq!(format.linear().samples(20), samples, "{format:?}");
        }
        assert_eq!(AudioFormat::G722.waiting(), AudioFormat::l16le(16_000));
        assert_eq!(AudioFormat::PCMA.waiting(), AudioFormat::PCMA);
    }
}
