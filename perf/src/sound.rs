//! What calls speak: codecs, as far as packets show them.

/// A codec of the generator's calls.
///
/// Only µ-law that passes untouched or by way of linear audio comes back bit by bit; what other
/// codecs carry is counted and looked at for silence, not compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Codec {
    /// G.711 µ-law.
    #[default]
    Pcmu,
    /// G.711 A-law.
    Pcma,
    /// G.722 at 64 kbit/s.
    G722,
    /// Opus, which the generator does not speak: only a party that sends back what it hears may.
    #[value(skip)]
    Opus,
}

impl Codec {
    /// Payload type (RFC 3551 6); of Opus, the one that is used if nothing else was offered.
    pub(crate) const fn payload_type(self) -> u8 {
        match self {
            Self::Pcmu => 0,
            Self::Pcma => 8,
            Self::G722 => 9,
            Self::Opus => 111,
        }
    }

    /// Name in `a=rtpmap`.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Pcmu => "PCMU",
            Self::Pcma => "PCMA",
            Self::G722 => "G722",
            Self::Opus => "opus",
        }
    }

    /// What follows the name there. The clock is 8000 with a byte a tick, of G.722 too (RFC 3551
    /// 4.5.2), and only Opus has another (RFC 7587 7).
    pub(crate) const fn clock(self) -> &'static str {
        match self {
            Self::Pcmu | Self::Pcma | Self::G722 => "8000",
            Self::Opus => "48000/2",
        }
    }
}

/// Ticks of the RTP clock that `bytes` of audio last, by payload type: 96 is linear 16-bit on the
/// agent's stream, 97 is Opus there, in packets of 20 ms; the others have a byte a tick.
pub(crate) const fn ticks(payload_type: u8, bytes: u32) -> u32 {
    match payload_type {
        96 => bytes / 2,
        97 => 960,
        _ => bytes,
    }
}

/// True for a payload that is one value throughout: what a server fills in when it has nothing.
pub(crate) fn is_flat(payload: &[u8]) -> bool {
    payload.windows(2).all(|pair| pair.first() == pair.last())
}
