//! How a dialect of JSON messages is read: media at a quick look, whatever else by a full parser.

use media::codec::AudioFormat;

use super::parts::{Parts, bad};
use super::quick::Quick;
use super::{base64, lend, scan};
use crate::agent::MessageKind;
use crate::stream::{FrameSlot, StreamEvent};
use crate::wire::WireError;

const PAYLOAD: &str = "media.payload";

/// A stream of such messages.
pub(crate) trait Decode {
    /// What finds media messages in a hurry.
    fn quick(&mut self) -> &mut Quick;

    /// Audio, from the parts of a message.
    fn audio(
        &mut self,
        parts: &Parts<'_>,
        slot: &mut FrameSlot<'_>,
    ) -> Result<StreamEvent<'static>, WireError>;

    /// Audio, found in `message` by the quick look.
    #[inline]
    fn found(
        &mut self,
        message: &[u8],
        found: &scan::Media,
        slot: &mut FrameSlot<'_>,
    ) -> Result<StreamEvent<'static>, WireError> {
        self.audio(&Parts::found(message, found), slot)
    }

    /// Any message, by a full parser.
    fn parsed<'m>(
        &mut self,
        message: &'m mut [u8],
        slot: &mut FrameSlot<'_>,
    ) -> Result<StreamEvent<'m>, WireError>;
}

/// Reads one message of `stream`.
#[inline]
pub(crate) fn message<'m>(
    stream: &mut impl Decode,
    kind: MessageKind,
    message: &'m mut [u8],
    slot: &mut FrameSlot<'_>,
) -> Result<StreamEvent<'m>, WireError> {
    if kind == MessageKind::Binary {
        return Err(WireError::BadFrame("only text is spoken"));
    }
    // What is wrong with a message is for the full parser to say.
    if let Some(found) = stream.quick().media(message)
        && let Ok(event) = stream.found(message, &found, slot)
    {
        if !matches!(event, StreamEvent::Audio { .. }) {
            stream.quick().forget();
        }
        return Ok(event);
    }
    stream.quick().forget();
    stream.parsed(message, slot)
}

/// Puts the audio of a message into `slot`; how many bytes there are, which may be none.
///
/// # Errors
///
/// [`WireError::BadField`] for a payload that is missing or no base64, [`WireError::BadFrame`] for
/// one that ends within a sample or is longer than a frame may be.
#[inline]
pub(crate) fn payload(
    parts: &Parts<'_>,
    audio: AudioFormat,
    slot: &mut FrameSlot<'_>,
) -> Result<usize, WireError> {
    let text = parts.payload.ok_or_else(|| bad(PAYLOAD, "is missing"))?;
    let count = base64::decode_into(text, slot.room()).map_err(|why| bad(PAYLOAD, why))?;
    if count == 0 {
        return Ok(0);
    }
    if !count.is_multiple_of(audio.codec.sample_bytes()) {
        return Err(WireError::BadFrame("not whole samples"));
    }
    slot.set_len(count)?;
    Ok(count)
}

/// A mark was reached. Its name, read out of the field `field` of `message`, is lent from there.
///
/// # Errors
///
/// [`WireError::BadField`] if there is none.
pub(crate) fn mark<'m>(
    message: &'m mut [u8],
    field: &'static str,
    name: Option<String>,
) -> Result<StreamEvent<'m>, WireError> {
    let name = name.ok_or_else(|| bad(field, "is missing"))?;
    let [name] = lend(message, [&name]).ok_or_else(|| bad(field, "is too long"))?;
    Ok(StreamEvent::Mark(name))
}

/// Turns a carrier's times into those of the audio's clock. They are those of the wall or of the
/// stream: only differences mean something.
#[derive(Debug)]
pub(crate) struct Times {
    /// Ticks of the audio's clock in a millisecond.
    ticks_ms: u64,
    /// The carrier's time of the first message with audio.
    first_ms: Option<u64>,
}

impl Times {
    /// For audio of this format.
    pub(crate) fn new(audio: AudioFormat) -> Self {
        Self { ticks_ms: u64::from(audio.clock_hz() / 1_000), first_ms: None }
    }

    /// What is told of audio that a message brought.
    #[inline]
    pub(crate) fn event(&mut self, parts: &Parts<'_>) -> StreamEvent<'static> {
        let ts = parts.timestamp_ms.map(|ms| {
            let first = *self.first_ms.get_or_insert(ms);
            ms.saturating_sub(first).saturating_mul(self.ticks_ms)
        });
        StreamEvent::Audio { ts, seq: parts.number() }
    }
}
