//! Codecs and formats of audio.

pub mod g711;
pub mod l16;
pub mod simd;

/// How samples are coded in a frame's payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Codec {
    /// G.711 µ-law, one byte a sample (RFC 3551 4.5.14).
    Pcmu,
    /// G.711 A-law, one byte a sample (RFC 3551 4.5.14).
    Pcma,
    /// Linear 16-bit samples, least significant byte first: what agents speak.
    L16Le,
    /// Linear 16-bit samples in network order (RFC 3551 4.5.11): what RTP peers speak.
    L16Be,
}

impl Codec {
    /// Bytes of one sample.
    pub const fn sample_bytes(self) -> usize {
        match self {
            Self::Pcmu | Self::Pcma => 1,
            Self::L16Le | Self::L16Be => 2,
        }
    }

    /// The byte that codes silence.
    pub const fn silence(self) -> u8 {
        match self {
            Self::Pcmu => 0xff,
            Self::Pcma => 0xd5,
            Self::L16Le | Self::L16Be => 0,
        }
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

    /// Linear 16-bit little-endian at `rate_hz`.
    pub const fn l16le(rate_hz: u32) -> Self {
        Self { codec: Codec::L16Le, rate_hz }
    }

    /// Linear 16-bit network order at `rate_hz`.
    pub const fn l16be(rate_hz: u32) -> Self {
        Self { codec: Codec::L16Be, rate_hz }
    }

    /// Ticks a second of the RTP timestamp (RFC 3551). Equal to the sampling rate for all codecs
    /// here.
    pub const fn clock_hz(self) -> u32 {
        self.rate_hz
    }

    /// Samples in `ms` milliseconds.
    pub const fn samples(self, ms: u32) -> usize {
        (self.rate_hz / 1000 * ms) as usize
    }

    /// Bytes of payload in `ms` milliseconds.
    pub const fn bytes(self, ms: u32) -> usize {
        self.samples(ms) * self.codec.sample_bytes()
    }
}
