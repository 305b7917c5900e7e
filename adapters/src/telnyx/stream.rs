//! The media dialect: JSON in text messages, audio in base64, each direction with a codec of its
//! own.

use std::borrow::Cow;

use media::codec::{AudioFormat, Codec};
use media::time::MonoTime;
use serde::Deserialize;

use super::fields::{self, ByteOrder};
use super::order::{Order, exchange};
use crate::agent::MessageKind;
use crate::config::RawConfig;
use crate::json::decode::{self, Decode};
use crate::json::parts::{Audio, Format, Key, Mark, Parts, bad};
use crate::json::quick::Quick;
use crate::json::{append_string, base64, lend};
use crate::stream::{FrameSlot, Stream, StreamCommand, StreamEvent, StreamStart};
use crate::wire::WireError;

/// The field that names the stream.
const STREAM: &str = "stream_id";

/// One stream.
struct Telnyx {
    order_wanted: ByteOrder,
    to_carrier: AudioFormat,
    order: Order,
    quick: Quick,
    /// The id of the stream and the format of its audio, once it has started.
    started: Option<(String, AudioFormat)>,
}

pub(super) fn open(start: &StreamStart) -> Box<dyn Stream> {
    Box::new(Telnyx::new(&start.config))
}

impl Telnyx {
    fn new(config: &RawConfig) -> Self {
        let order_wanted = fields::byte_order(config);
        let (codec, rate_hz) = fields::to_carrier(config);
        let to_carrier = fields::format(codec, rate_hz, order_wanted).unwrap_or(AudioFormat::PCMU);
        let order = Order::new(order_wanted, false);
        Self { order_wanted, to_carrier, order, quick: Quick::new(STREAM), started: None }
    }

    fn start<'m>(
        &mut self,
        message: &'m mut [u8],
        stream: Option<String>,
        call: Option<String>,
        format: Option<(String, u32)>,
    ) -> Result<StreamEvent<'m>, WireError> {
        if self.started.is_some() {
            return Err(bad("event", "starts a stream that has started"));
        }
        let stream = stream.ok_or_else(|| bad(STREAM, "is missing"))?;
        let call = call.ok_or_else(|| bad("start.call_control_id", "is missing"))?;
        let (encoding, rate_hz) = format.unwrap_or_else(|| ("PCMU".to_owned(), 8000));
        let from_carrier = fields::format(&encoding, rate_hz, self.order_wanted)
            .ok_or_else(|| WireError::UnknownCodec(format!("{encoding} at {rate_hz} Hz")))?;
        self.order = Order::new(self.order_wanted, is_linear(from_carrier));
        let [stream_id, call] =
            lend(message, [&stream, &call]).ok_or_else(|| bad(STREAM, "is too long"))?;
        self.started = Some((stream, from_carrier));
        let to_carrier = self.to_carrier;
        Ok(StreamEvent::Started {
            stream: Some(stream_id),
            call: Some(call),
            from_carrier,
            to_carrier,
        })
    }
}

impl Decode for Telnyx {
    fn quick(&mut self) -> &mut Quick {
        &mut self.quick
    }

    /// Audio of the caller; what the carrier plays to him is of no interest.
    #[inline]
    fn audio(
        &mut self,
        parts: &Parts<'_>,
        slot: &mut FrameSlot<'_>,
    ) -> Result<StreamEvent<'static>, WireError> {
        let Some((stream, format)) = &self.started else {
            return Err(WireError::BadFrame("audio before the start of the stream"));
        };
        parts.check_stream(STREAM, stream)?;
        if parts.track.is_some_and(|track| !track.starts_with(b"inbound")) {
            return Ok(StreamEvent::Nothing);
        }
        let count = decode::payload(parts, *format, slot)?;
        if count == 0 {
            return Ok(StreamEvent::Nothing);
        }
        self.order.observe(slot.filled());
        if self.order.exchanged() && is_linear(*format) {
            exchange(slot.room().get_mut(..count).unwrap_or_default());
        }
        let ticks_ms = u64::from(format.clock_hz() / 1000);
        Ok(StreamEvent::Audio {
            ts: parts.timestamp_ms.map(|ms| ms.saturating_mul(ticks_ms)),
            seq: parts.number(),
        })
    }

    fn parsed<'m>(
        &mut self,
        message: &'m mut [u8],
        slot: &mut FrameSlot<'_>,
    ) -> Result<StreamEvent<'m>, WireError> {
        let parsed: Message<'_> = serde_json::from_slice(message)
            .map_err(|error| WireError::BadJson(error.to_string()))?;
        let own = |text: Option<Cow<'_, str>>| text.map(Cow::into_owned);
        match &*parsed.event {
            "start" => {
                let (stream, start) = (own(parsed.stream_id), parsed.start);
                let start = start.ok_or_else(|| bad("start", "is missing"))?;
                let (call, format) = (own(start.call_control_id), start.media_format);
                self.start(message, stream, call, format.map(Format::own))
            }
            "media" => {
                let media = parsed.media.ok_or_else(|| bad("media", "is missing"))?;
                self.audio(&media.parts(parsed.stream_id.as_deref()), slot)
            }
            "dtmf" => {
                let key = parsed.dtmf.ok_or_else(|| bad("dtmf", "is missing"))?;
                Ok(StreamEvent::Dtmf { digit: key.digit()?, duration_ms: None })
            }
            "mark" => {
                let name = parsed.mark.and_then(Mark::own);
                decode::mark(message, "mark.name", name)
            }
            "stop" => Ok(StreamEvent::Stopped(None)),
            _ => Ok(StreamEvent::Nothing),
        }
    }
}

impl Stream for Telnyx {
    fn decode<'m>(
        &mut self,
        _: MonoTime,
        kind: MessageKind,
        message: &'m mut [u8],
        slot: &mut FrameSlot<'_>,
    ) -> Result<StreamEvent<'m>, WireError> {
        decode::message(self, kind, message, slot)
    }

    fn encode(&mut self, audio: &[u8], out: &mut Vec<u8>) -> MessageKind {
        out.extend_from_slice(br#"{"event":"media","media":{"payload":""#);
        if self.order.exchanged() && is_linear(self.to_carrier) {
            append_exchanged(out, audio);
        } else {
            base64::append(out, audio);
        }
        out.extend_from_slice(br#""}}"#);
        MessageKind::Text
    }

    fn command(&mut self, command: StreamCommand<'_>, out: &mut Vec<u8>) -> Option<MessageKind> {
        match command {
            StreamCommand::Clear => out.extend_from_slice(br#"{"event":"clear"}"#),
            StreamCommand::Mark(name) => {
                out.extend_from_slice(br#"{"event":"mark","mark":{"name":"#);
                append_string(out, name);
                out.extend_from_slice(b"}}");
            }
            // By requests to the API.
            StreamCommand::Dtmf(_) | StreamCommand::Hangup => return None,
        }
        Some(MessageKind::Text)
    }
}

/// Bytes of linear audio that are exchanged at a time; a multiple of three, so that the pieces of
/// base64 join.
const STEP_BYTES: usize = 960;

/// Appends `audio` as base64 with the bytes of each sample exchanged.
fn append_exchanged(out: &mut Vec<u8>, audio: &[u8]) {
    for part in audio.chunks(STEP_BYTES) {
        let mut step = [0; STEP_BYTES];
        let step = step.get_mut(..part.len()).unwrap_or_default();
        step.copy_from_slice(part);
        exchange(step);
        base64::append(out, step);
    }
}

fn is_linear(format: AudioFormat) -> bool {
    matches!(format.codec, Codec::L16Be | Codec::L16Le)
}

#[derive(Deserialize)]
struct Message<'m> {
    #[serde(borrow)]
    event: Cow<'m, str>,
    #[serde(borrow)]
    stream_id: Option<Cow<'m, str>>,
    #[serde(borrow)]
    start: Option<Start<'m>>,
    #[serde(borrow)]
    media: Option<Audio<'m>>,
    #[serde(borrow)]
    dtmf: Option<Key<'m>>,
    #[serde(borrow)]
    mark: Option<Mark<'m>>,
}

#[derive(Deserialize)]
struct Start<'m> {
    #[serde(borrow)]
    call_control_id: Option<Cow<'m, str>>,
    #[serde(borrow)]
    media_format: Option<Format<'m>>,
}
