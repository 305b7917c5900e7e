//! The codecs an agent may name: one table, from which reading, writing and refusing follow.

use adapters::wire::WireError;
use media::codec::{AudioFormat, Codec, opus};

/// One codec as agents know it.
#[derive(Debug)]
pub struct CodecEntry {
    /// Its name in `codec`.
    pub name: &'static str,
    /// The codec.
    pub codec: Codec,
    /// Its payload type in binary messages.
    pub pt: u8,
    /// The rates it comes in; the first one holds if there is no other.
    pub rates_hz: &'static [u32],
}

/// What agents may ask for. A codec joins the protocol by joining this table.
pub const CODECS: &[CodecEntry] = &[
    CodecEntry { name: "PCMU", codec: Codec::Pcmu, pt: 0, rates_hz: &[8000] },
    CodecEntry { name: "PCMA", codec: Codec::Pcma, pt: 8, rates_hz: &[8000] },
    CodecEntry { name: "G722", codec: Codec::G722, pt: 9, rates_hz: &[16_000] },
    CodecEntry {
        name: "l16le",
        codec: Codec::L16Le,
        pt: 96,
        rates_hz: &[8000, 16_000, 24_000, 48_000],
    },
    CodecEntry { name: "opus", codec: Codec::Opus, pt: 97, rates_hz: &[opus::RATE_HZ] },
];

/// What this build can do of that.
fn available() -> impl Iterator<Item = &'static CodecEntry> {
    CODECS.iter().filter(|entry| opus::AVAILABLE || entry.codec != Codec::Opus)
}

/// Bytes of an agent's text that an error repeats.
const ECHO_MAX_CHARS: usize = 32;

/// The entry of `format`, if agents may use it.
pub fn entry(format: AudioFormat) -> Option<&'static CodecEntry> {
    available()
        .find(|entry| entry.codec == format.codec && entry.rates_hz.contains(&format.rate_hz))
}

/// The payload type of `format`; 127, which no codec has, if agents cannot use it.
pub fn payload_type(format: AudioFormat) -> u8 {
    entry(format).map_or(127, |entry| entry.pt)
}

/// The format that an agent names; names are matched without regard to case.
///
/// # Errors
///
/// [`WireError::UnknownCodec`] if there is no such codec, if it does not come in that rate, or if
/// it comes in several and none is named.
pub fn find(name: &str, rate_hz: Option<u32>) -> Result<AudioFormat, WireError> {
    let shown: String = name.chars().take(ECHO_MAX_CHARS).collect();
    let Some(entry) = available().find(|entry| entry.name.eq_ignore_ascii_case(name)) else {
        return Err(WireError::UnknownCodec(shown));
    };
    match (rate_hz, entry.rates_hz) {
        (Some(rate_hz), rates) if rates.contains(&rate_hz) => {
            Ok(AudioFormat { codec: entry.codec, rate_hz })
        }
        (Some(rate_hz), _) => {
            Err(WireError::UnknownCodec(format!("{} at {rate_hz} Hz", entry.name)))
        }
        (None, [rate_hz]) => Ok(AudioFormat { codec: entry.codec, rate_hz: *rate_hz }),
        (None, _) => Err(WireError::UnknownCodec(format!("{} without rate_hz", entry.name))),
    }
}
