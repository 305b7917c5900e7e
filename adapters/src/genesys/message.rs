//! What Genesys says in text: the envelope of each message, and what the first one tells.

use std::borrow::Cow;

use media::codec::AudioFormat;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::wire::WireError;

/// The version of the protocol.
pub(super) const VERSION: &str = "2";
/// Length of a UUID in letters.
const UUID_CHARS: usize = 36;

/// What stands around the parameters of each message.
#[derive(Deserialize)]
pub(super) struct Envelope<'m> {
    #[serde(borrow)]
    pub(super) version: Cow<'m, str>,
    /// The session.
    #[serde(borrow)]
    pub(super) id: Cow<'m, str>,
    #[serde(borrow, rename = "type")]
    pub(super) kind: Cow<'m, str>,
    pub(super) seq: u64,
    /// The number of the last message of ours that has come.
    pub(super) serverseq: u64,
}

/// The parameters of a message.
#[derive(Deserialize)]
pub(super) struct With<P> {
    pub(super) parameters: P,
}

/// The parameters of `open`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Open<'m> {
    #[serde(borrow)]
    pub(super) organization_id: Cow<'m, str>,
    #[serde(borrow)]
    pub(super) conversation_id: Cow<'m, str>,
    #[serde(borrow)]
    pub(super) participant: Participant<'m>,
    #[serde(borrow)]
    pub(super) media: Vec<Offer<'m>>,
    #[serde(borrow)]
    pub(super) language: Option<Cow<'m, str>>,
    /// What the flow hands over by name.
    pub(super) input_variables: Option<Map<String, Value>>,
    /// What the integration is configured with.
    pub(super) custom_config: Option<Map<String, Value>>,
}

/// Who calls, and who was called.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Participant<'m> {
    #[serde(borrow)]
    pub(super) id: Option<Cow<'m, str>>,
    #[serde(borrow)]
    pub(super) ani: Option<Cow<'m, str>>,
    #[serde(borrow)]
    pub(super) ani_name: Option<Cow<'m, str>>,
    #[serde(borrow)]
    pub(super) dnis: Option<Cow<'m, str>>,
}

/// Audio that is offered.
#[derive(Deserialize)]
pub(super) struct Offer<'m> {
    #[serde(borrow, rename = "type")]
    kind: Cow<'m, str>,
    #[serde(borrow)]
    format: Cow<'m, str>,
    #[serde(borrow)]
    channels: Vec<Cow<'m, str>>,
    rate: u32,
}

/// Whose voices audio holds, interleaved in that order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Channels {
    /// The customer's.
    External,
    /// The customer's, then that of the agent at Genesys.
    Both,
    /// That of the agent at Genesys.
    Internal,
}

/// Audio that was chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sound {
    pub(super) audio: AudioFormat,
    pub(super) channels: Channels,
}

impl Channels {
    /// How many there are. The first is the one that is listened to.
    pub(super) const fn count(self) -> usize {
        match self {
            Self::External | Self::Internal => 1,
            Self::Both => 2,
        }
    }

    const fn written(self) -> &'static str {
        match self {
            Self::External => r#"["external"]"#,
            Self::Both => r#"["external","internal"]"#,
            Self::Internal => r#"["internal"]"#,
        }
    }
}

impl Sound {
    pub(super) const DEFAULT: Self =
        Self { audio: AudioFormat::PCMU, channels: Channels::External };

    fn of(offer: &Offer<'_>) -> Option<Self> {
        let audio = match (&*offer.kind, &*offer.format, offer.rate) {
            ("audio", "PCMU", 8_000) => AudioFormat::PCMU,
            // No document tells the order of the bytes; the reference implementation's is this.
            ("audio", "L16", rate @ (8_000 | 16_000)) => AudioFormat::l16le(rate),
            _ => return None,
        };
        let mut names = offer.channels.iter().map(AsRef::as_ref);
        let channels = match (names.next()?, names.next(), names.next()) {
            ("external", None, None) => Channels::External,
            ("external", Some("internal"), None) => Channels::Both,
            ("internal", None, None) => Channels::Internal,
            _ => return None,
        };
        Some(Self { audio, channels })
    }

    /// The best of what is offered: µ-law before linear, the customer alone before both.
    pub(super) fn choose(offers: &[Offer<'_>]) -> Option<Self> {
        let known = offers.iter().filter_map(Self::of);
        known.min_by_key(|sound| {
            let linear = sound.audio != AudioFormat::PCMU;
            (linear, sound.audio.rate_hz, sound.channels as u8)
        })
    }

    /// As `opened` says it.
    pub(super) fn written(self) -> String {
        let format = if self.audio == AudioFormat::PCMU { "PCMU" } else { "L16" };
        let (rate, channels) = (self.audio.rate_hz, self.channels.written());
        format!(r#"{{"type":"audio","format":"{format}","channels":{channels},"rate":{rate}}}"#)
    }
}

/// Reads a message, or its parameters.
pub(super) fn read<'m, T: Deserialize<'m>>(message: &'m [u8]) -> Result<T, WireError> {
    serde_json::from_slice(message).map_err(|error| WireError::BadJson(error.to_string()))
}

/// True for the digits of a UUID, with their hyphens.
pub(super) fn is_uuid(text: &str) -> bool {
    let fits = |(at, byte): (usize, u8)| match at {
        8 | 13 | 18 | 23 => byte == b'-',
        _ => byte.is_ascii_hexdigit(),
    };
    text.len() == UUID_CHARS && text.bytes().enumerate().all(fits)
}

/// True for the conversation that is none: Genesys tries the connection.
pub(super) fn is_probe(conversation: &str) -> bool {
    is_uuid(conversation) && conversation.bytes().all(|byte| matches!(byte, b'0' | b'-'))
}

/// A duration (ISO 8601) of hours, minutes and seconds, in samples at `rate_hz`.
pub(super) fn samples(duration: &str, rate_hz: u32) -> Option<u64> {
    let mut rest = duration.strip_prefix("PT")?;
    let (mut nanos, mut read) = (0_u64, false);
    for (unit, seconds) in [('H', 3_600_u64), ('M', 60), ('S', 1)] {
        let Some((number, behind)) = rest.split_once(unit) else { continue };
        let (whole, part) = number.split_once('.').unwrap_or((number, ""));
        let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if whole.is_empty() || !digits(whole) || !digits(part) || part.len() > 9 {
            return None;
        }
        let part: u64 = format!("{part:0<9}").parse().ok()?;
        let whole = whole.parse::<u64>().ok()?.checked_mul(1_000_000_000)?;
        nanos = nanos.checked_add(whole.checked_add(part)?.checked_mul(seconds)?)?;
        (rest, read) = (behind, true);
    }
    let samples = u128::from(nanos) * u128::from(rate_hz) / 1_000_000_000;
    if read && rest.is_empty() { u64::try_from(samples).ok() } else { None }
}
