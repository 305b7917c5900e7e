//! The media dialect: JSON in text messages, audio in base64, both directions in one format.

use std::borrow::Cow;

use media::codec::AudioFormat;
use media::time::MonoTime;
use serde::Deserialize;

use super::fields;
use crate::agent::MessageKind;
use crate::config::RawConfig;
use crate::json::scan::{self, Media};
use crate::json::{append_string, base64, lend};
use crate::stream::{FrameSlot, Stream, StreamCommand, StreamEvent, StreamStart};
use crate::wire::WireError;

/// The field that names the stream.
const STREAM: &str = "streamId";
const PAYLOAD: &str = "media.payload";

/// One stream.
struct Plivo {
    config: RawConfig,
    started: Option<Started>,
}

struct Started {
    id: String,
    audio: AudioFormat,
    /// Ticks of the audio's clock in a millisecond.
    ticks_ms: u64,
    /// The carrier's time of the first frame.
    first_ms: Option<u64>,
    /// What stands before the payload of a message of ours.
    head: Vec<u8>,
}

pub(super) fn open(start: &StreamStart) -> Box<dyn Stream> {
    Box::new(Plivo { config: start.config.clone(), started: None })
}

impl Plivo {
    fn media<'m>(
        &mut self,
        message: &[u8],
        media: &Media,
        slot: &mut FrameSlot<'_>,
    ) -> Result<StreamEvent<'m>, WireError> {
        let text = |place: &Option<std::ops::Range<usize>>| {
            place.clone().and_then(|place| message.get(place))
        };
        let parts = Parts {
            stream: text(&media.stream),
            track: text(&media.track),
            chunk: media.chunk,
            timestamp_ms: media.timestamp,
            payload: text(&media.payload),
        };
        self.audio(&parts, slot)
    }

    fn audio<'m>(
        &mut self,
        parts: &Parts<'_>,
        slot: &mut FrameSlot<'_>,
    ) -> Result<StreamEvent<'m>, WireError> {
        let Some(started) = &mut self.started else {
            return Err(WireError::BadFrame("audio before the start of the stream"));
        };
        if parts.stream.is_some_and(|named| named != started.id.as_bytes()) {
            return Err(bad(STREAM, "is not of this stream"));
        }
        if parts.track.is_some_and(|track| track != b"inbound") {
            return Ok(StreamEvent::Nothing);
        }
        let text = parts.payload.ok_or_else(|| bad(PAYLOAD, "is missing"))?;
        let count = base64::decode_into(text, slot.room()).map_err(|why| bad(PAYLOAD, why))?;
        if count == 0 {
            return Ok(StreamEvent::Nothing);
        }
        if !count.is_multiple_of(started.audio.codec.sample_bytes()) {
            return Err(WireError::BadFrame("not whole samples"));
        }
        slot.set_len(count)?;
        // The time is that of the wall or of the stream: only differences mean something.
        let ts = parts.timestamp_ms.map(|ms| {
            let first = *started.first_ms.get_or_insert(ms);
            ms.saturating_sub(first).saturating_mul(started.ticks_ms)
        });
        Ok(StreamEvent::Audio { ts, seq: parts.chunk.map(|chunk| chunk.saturating_sub(1)) })
    }

    fn other<'m>(
        &mut self,
        message: &'m mut [u8],
        slot: &mut FrameSlot<'_>,
    ) -> Result<StreamEvent<'m>, WireError> {
        let parsed: Message<'_> = serde_json::from_slice(message)
            .map_err(|error| WireError::BadJson(error.to_string()))?;
        let own = |text: Option<Cow<'_, str>>| text.map(Cow::into_owned);
        match &*parsed.event {
            "start" => {
                let start = parsed.start.ok_or_else(|| bad("start", "is missing"))?;
                let (stream, call) = (own(start.stream_id), own(start.call_id));
                self.start(message, stream, call, start.media_format.map(Format::own))
            }
            "media" => {
                let media = parsed.media.ok_or_else(|| bad("media", "is missing"))?;
                let number = |number: Option<Number<'_>>| number.and_then(|number| number.value());
                let parts = Parts {
                    stream: parsed.stream_id.as_deref().map(str::as_bytes),
                    track: media.track.as_deref().map(str::as_bytes),
                    chunk: number(media.chunk),
                    timestamp_ms: number(media.timestamp),
                    payload: media.payload.as_deref().map(str::as_bytes),
                };
                self.audio(&parts, slot)
            }
            "dtmf" => {
                let digit = parsed.dtmf.and_then(|dtmf| dtmf.digit).unwrap_or_default();
                let mut digits = digit.chars();
                match (digits.next().map(|digit| digit.to_ascii_uppercase()), digits.next()) {
                    (Some(digit @ ('0'..='9' | 'A'..='D' | '*' | '#')), None) => {
                        Ok(StreamEvent::Dtmf { digit, duration_ms: None })
                    }
                    _ => Err(bad("dtmf.digit", "is no digit")),
                }
            }
            "playedStream" => {
                let name = own(parsed.name).ok_or_else(|| bad("name", "is missing"))?;
                let [name] = lend(message, [&name]).ok_or_else(|| bad("name", "is too long"))?;
                Ok(StreamEvent::Mark(name))
            }
            "clearedAudio" => Ok(StreamEvent::Cleared),
            "stop" => Ok(StreamEvent::Stopped(None)),
            _ => Ok(StreamEvent::Nothing),
        }
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
        let id = stream.ok_or_else(|| bad("start.streamId", "is missing"))?;
        let call = call.ok_or_else(|| bad("start.callId", "is missing"))?;
        let audio = match format {
            None => fields::audio(&self.config),
            Some((encoding, rate_hz)) => match (&*encoding, rate_hz) {
                ("audio/x-mulaw", 8000) => AudioFormat::PCMU,
                ("audio/x-l16", 8000 | 16_000 | 24_000) => fields::linear(&self.config, rate_hz),
                _ => return Err(WireError::UnknownCodec(format!("{encoding} at {rate_hz} Hz"))),
            },
        };
        let head = format!(
            r#"{{"event":"playAudio","media":{{"contentType":"{}","sampleRate":{},"payload":""#,
            fields::content_type(audio),
            audio.rate_hz
        );
        let [stream, call] =
            lend(message, [&id, &call]).ok_or_else(|| bad("start.streamId", "is too long"))?;
        let ticks_ms = u64::from(audio.clock_hz() / 1000);
        let head = head.into_bytes();
        self.started = Some(Started { id, audio, ticks_ms, first_ms: None, head });
        Ok(StreamEvent::Started {
            stream: Some(stream),
            call: Some(call),
            from_carrier: audio,
            to_carrier: audio,
        })
    }
}

impl Stream for Plivo {
    fn decode<'m>(
        &mut self,
        _: MonoTime,
        kind: MessageKind,
        message: &'m mut [u8],
        slot: &mut FrameSlot<'_>,
    ) -> Result<StreamEvent<'m>, WireError> {
        if kind == MessageKind::Binary {
            return Err(WireError::BadFrame("only text is spoken"));
        }
        match scan::media(message, STREAM.as_bytes()) {
            Some(media) => self.media(message, &media, slot),
            None => self.other(message, slot),
        }
    }

    fn encode(&mut self, audio: &[u8], out: &mut Vec<u8>) -> MessageKind {
        // Nothing is sent before the start, which tells the format.
        if let Some(started) = &self.started {
            out.extend_from_slice(&started.head);
            base64::append(out, audio);
            out.extend_from_slice(br#""}}"#);
        }
        MessageKind::Text
    }

    fn command(&mut self, command: StreamCommand<'_>, out: &mut Vec<u8>) -> Option<MessageKind> {
        let id = self.started.as_ref().map(|started| &started.id);
        match command {
            StreamCommand::Clear => {
                let id = id?;
                out.extend_from_slice(br#"{"event":"clearAudio","streamId":"#);
                append_string(out, id);
            }
            StreamCommand::Mark(name) => {
                let id = id?;
                out.extend_from_slice(br#"{"event":"checkpoint","streamId":"#);
                append_string(out, id);
                out.extend_from_slice(br#","name":"#);
                append_string(out, name);
            }
            // Names no stream: that there is a way is known before there is one.
            StreamCommand::Dtmf(digit) => {
                out.extend_from_slice(br#"{"event":"sendDTMF","dtmf":"#);
                append_string(out, digit.encode_utf8(&mut [0; 4]));
            }
            // By a request to the API.
            StreamCommand::Hangup => return None,
        }
        out.push(b'}');
        Some(MessageKind::Text)
    }
}

fn bad(field: &'static str, problem: &str) -> WireError {
    WireError::BadField { field, problem: problem.to_owned() }
}

/// What a media message says.
struct Parts<'m> {
    stream: Option<&'m [u8]>,
    track: Option<&'m [u8]>,
    chunk: Option<u64>,
    timestamp_ms: Option<u64>,
    payload: Option<&'m [u8]>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Message<'m> {
    #[serde(borrow)]
    event: Cow<'m, str>,
    #[serde(borrow)]
    stream_id: Option<Cow<'m, str>>,
    #[serde(borrow)]
    name: Option<Cow<'m, str>>,
    #[serde(borrow)]
    start: Option<Start<'m>>,
    #[serde(borrow)]
    media: Option<Audio<'m>>,
    #[serde(borrow)]
    dtmf: Option<Dtmf<'m>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Start<'m> {
    #[serde(borrow)]
    stream_id: Option<Cow<'m, str>>,
    #[serde(borrow)]
    call_id: Option<Cow<'m, str>>,
    #[serde(borrow)]
    media_format: Option<Format<'m>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Format<'m> {
    #[serde(borrow)]
    encoding: Cow<'m, str>,
    #[serde(borrow)]
    sample_rate: Option<Number<'m>>,
}

impl Format<'_> {
    fn own(self) -> (String, u32) {
        let rate = self.sample_rate.and_then(|rate| rate.value());
        (self.encoding.into_owned(), rate.and_then(|rate| rate.try_into().ok()).unwrap_or(8000))
    }
}

#[derive(Deserialize)]
struct Audio<'m> {
    #[serde(borrow)]
    track: Option<Cow<'m, str>>,
    #[serde(borrow)]
    chunk: Option<Number<'m>>,
    #[serde(borrow)]
    timestamp: Option<Number<'m>>,
    #[serde(borrow)]
    payload: Option<Cow<'m, str>>,
}

#[derive(Deserialize)]
struct Dtmf<'m> {
    #[serde(borrow)]
    digit: Option<Cow<'m, str>>,
}

/// A number, bare or as a string.
#[derive(Deserialize)]
#[serde(untagged)]
enum Number<'m> {
    Bare(u64),
    #[serde(borrow)]
    Text(Cow<'m, str>),
}

impl Number<'_> {
    fn value(&self) -> Option<u64> {
        match self {
            Self::Bare(number) => Some(*number),
            Self::Text(text) => text.parse().ok(),
        }
    }
}
