//! A media dialect of which there are several copies: `start`, `media`, `dtmf`, `playedStream`,
//! `clearedAudio` from the carrier; `playAudio`, `checkpoint`, `clearAudio` from us. JSON in text
//! messages, audio in base64.

use std::borrow::Cow;

use media::codec::AudioFormat;
use media::time::MonoTime;
use serde::Deserialize;

use crate::agent::MessageKind;
use crate::config::RawConfig;
use crate::json::decode::{self, Decode, Times};
use crate::json::parts::{Audio, Format, Key, Parts, bad};
use crate::json::quick::Quick;
use crate::json::{append_string, base64, lend};
use crate::stream::{FrameSlot, Stream, StreamCommand, StreamEvent, StreamStart};
use crate::wire::WireError;

/// The field that names the stream.
const STREAM: &str = "streamId";

/// In what the carriers that speak it differ.
#[derive(Debug)]
pub(crate) struct Variant {
    /// The format of callers' audio, by what the start of a stream says of it (the carrier's word
    /// and the rate), if anything, and by the configuration. `None` for one that is unknown.
    pub(crate) heard: fn(&RawConfig, Option<(&str, u32)>) -> Option<AudioFormat>,
    /// The format of what callers hear, by the configuration and the format of their own audio.
    pub(crate) said: fn(&RawConfig, AudioFormat) -> AudioFormat,
    /// The carrier's word for a format, without the rate.
    pub(crate) content_type: fn(AudioFormat) -> &'static str,
    /// Audio of ours names its stream.
    pub(crate) names_stream: bool,
    /// There is a word for the end of a stream.
    pub(crate) says_stop: bool,
    /// There is a word that presses keys towards the far end.
    pub(crate) presses_keys: bool,
    /// What is sent behind a clear is dropped too, until it was carried out.
    pub(crate) clears_late: bool,
}

/// One stream.
struct PlayAudio {
    variant: &'static Variant,
    config: RawConfig,
    quick: Quick,
    started: Option<Started>,
}

struct Started {
    id: String,
    /// The format of callers' audio.
    heard: AudioFormat,
    times: Times,
    /// What stands before the payload of a message of ours.
    head: Vec<u8>,
}

/// Begins a stream in this variant of the dialect.
pub(crate) fn open(start: &StreamStart, variant: &'static Variant) -> Box<dyn Stream> {
    Box::new(PlayAudio {
        variant,
        config: start.config.clone(),
        quick: Quick::new(STREAM),
        started: None,
    })
}

impl PlayAudio {
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
        let told = format.as_ref().map(|(encoding, rate_hz)| (encoding.as_str(), *rate_hz));
        let Some(heard) = (self.variant.heard)(&self.config, told) else {
            let (encoding, rate_hz) = told.unwrap_or_default();
            return Err(WireError::UnknownCodec(format!("{encoding} at {rate_hz} Hz")));
        };
        let said = (self.variant.said)(&self.config, heard);
        let head = self.head(&id, said);
        let [stream, call] =
            lend(message, [&id, &call]).ok_or_else(|| bad("start.streamId", "is too long"))?;
        self.started = Some(Started { id, heard, times: Times::new(heard), head });
        Ok(StreamEvent::Started {
            stream: Some(stream),
            call: Some(call),
            from_carrier: heard,
            to_carrier: said,
        })
    }

    /// What stands before the payload of each message with audio.
    fn head(&self, id: &str, said: AudioFormat) -> Vec<u8> {
        let mut head = br#"{"event":"playAudio""#.to_vec();
        if self.variant.names_stream {
            head.extend_from_slice(br#","streamId":"#);
            append_string(&mut head, id);
        }
        let format = format!(
            r#","media":{{"contentType":"{}","sampleRate":{},"payload":""#,
            (self.variant.content_type)(said),
            said.rate_hz
        );
        head.extend_from_slice(format.as_bytes());
        head
    }
}

impl Decode for PlayAudio {
    fn quick(&mut self) -> &mut Quick {
        &mut self.quick
    }

    #[inline]
    fn audio(
        &mut self,
        parts: &Parts<'_>,
        slot: &mut FrameSlot<'_>,
    ) -> Result<StreamEvent<'static>, WireError> {
        let Some(started) = &mut self.started else {
            return Err(WireError::BadFrame("audio before the start of the stream"));
        };
        parts.check_stream(STREAM, &started.id)?;
        if parts.track.is_some_and(|track| track != b"inbound") {
            return Ok(StreamEvent::Nothing);
        }
        if decode::payload(parts, started.heard, slot)? == 0 {
            return Ok(StreamEvent::Nothing);
        }
        Ok(started.times.event(parts))
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
                let start = parsed.start.ok_or_else(|| bad("start", "is missing"))?;
                let (stream, call) = (own(start.stream_id), own(start.call_id));
                self.start(message, stream, call, start.media_format.map(Format::own))
            }
            "media" => {
                let media = parsed.media.ok_or_else(|| bad("media", "is missing"))?;
                self.audio(&media.parts(parsed.stream_id.as_deref()), slot)
            }
            "dtmf" => {
                let key = parsed.dtmf.ok_or_else(|| bad("dtmf", "is missing"))?;
                Ok(StreamEvent::Dtmf { digit: key.digit()?, duration_ms: None })
            }
            "playedStream" => {
                let name = own(parsed.name);
                decode::mark(message, "name", name)
            }
            "clearedAudio" => Ok(StreamEvent::Cleared),
            "stop" if self.variant.says_stop => Ok(StreamEvent::Stopped(None)),
            _ => Ok(StreamEvent::Nothing),
        }
    }
}

impl Stream for PlayAudio {
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
        // Nothing is sent before the start, which tells the format.
        if let Some(started) = &self.started {
            out.extend_from_slice(&started.head);
            base64::append(out, audio);
            out.extend_from_slice(br#""}}"#);
        }
        MessageKind::Text
    }

    fn clears_late(&self) -> bool {
        self.variant.clears_late
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
            StreamCommand::Dtmf(digit) if self.variant.presses_keys => {
                out.extend_from_slice(br#"{"event":"sendDTMF","dtmf":"#);
                append_string(out, digit.encode_utf8(&mut [0; 4]));
            }
            // By requests to the API.
            StreamCommand::Dtmf(_) | StreamCommand::Hangup => return None,
        }
        out.push(b'}');
        Some(MessageKind::Text)
    }
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
    dtmf: Option<Key<'m>>,
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
