//! The media dialect: JSON in text messages, linear audio in base64, long messages both ways. Close
//! to others' in its words, and told from them by the route it came by.

use std::borrow::Cow;

use media::codec::AudioFormat;
use media::time::MonoTime;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::fields;
use crate::agent::MessageKind;
use crate::config::RawConfig;
use crate::event::HangupCause;
use crate::json::decode::{self, Decode, Times};
use crate::json::parts::{Audio, Key, Mark, Parts, bad};
use crate::json::quick::Quick;
use crate::json::{append_event, append_string, base64, lend};
use crate::stream::{FrameSlot, Manners, Stream, StreamCommand, StreamEvent, StreamStart};
use crate::wire::WireError;

/// The field that names the stream.
const STREAM: &str = "stream_sid";
/// The shortest message that the carrier plays without gaps. Longer ones are multiples of 320
/// bytes, as frames of 20 ms are at each of its rates.
const LEAST_BYTES: usize = 3_200;
/// Sampling rates that the carrier has.
const RATES_HZ: [u32; 3] = [8_000, 16_000, 24_000];

pub(super) fn open(start: &StreamStart) -> Box<dyn Stream> {
    Box::new(AgentStream {
        config: start.config.clone(),
        call: start.call.as_ref().map(|call| call.0.clone()),
        quick: Quick::new(STREAM),
        started: None,
    })
}

struct AgentStream {
    config: RawConfig,
    /// The call that it must be for.
    call: Option<String>,
    quick: Quick,
    started: Option<Started>,
}

struct Started {
    id: String,
    audio: AudioFormat,
    times: Times,
    /// What stands before the payload of a message of ours.
    head: Vec<u8>,
    /// The carrier has said that it is over.
    stopped: bool,
}

impl AgentStream {
    fn start<'m>(
        &mut self,
        message: &'m mut [u8],
        (stream, call, account): (Option<String>, Option<String>, Option<String>),
        format: Option<&Map<String, Value>>,
    ) -> Result<StreamEvent<'m>, WireError> {
        if self.started.is_some() {
            return Err(bad("event", "starts a stream that has started"));
        }
        let id = stream.ok_or_else(|| bad(STREAM, "is missing"))?;
        let call = call.ok_or_else(|| bad("start.call_sid", "is missing"))?;
        // The token has told which call it is; the carrier must mean the same.
        if self.call.as_ref().is_some_and(|expected| *expected != call) {
            return Err(bad("start.call_sid", "is not of this call"));
        }
        let ours = self.config.text("account_sid");
        if account.as_deref().zip(ours).is_some_and(|(told, ours)| told != ours) {
            return Err(bad("start.account_sid", "is not of this account"));
        }
        let audio = match format {
            None => fields::audio(&self.config),
            Some(format) => told_format(format, fields::audio(&self.config))?,
        };
        let mut head = br#"{"event":"media","stream_sid":"#.to_vec();
        append_string(&mut head, &id);
        head.extend_from_slice(br#","media":{"payload":""#);
        let [stream, call] =
            lend(message, [&id, &call]).ok_or_else(|| bad(STREAM, "is too long"))?;
        self.started = Some(Started { id, audio, times: Times::new(audio), head, stopped: false });
        let (stream, call) = (Some(stream), Some(call));
        Ok(StreamEvent::Started { stream, call, from_carrier: audio, to_carrier: audio })
    }
}

/// The format that the start of a stream tells. Its encoding has many names on as many pages, all
/// of linear audio; what is not that is known by its name.
fn told_format(
    format: &Map<String, Value>,
    otherwise: AudioFormat,
) -> Result<AudioFormat, WireError> {
    let encoding = format.get("encoding").and_then(Value::as_str).unwrap_or_default();
    let lower = encoding.to_ascii_lowercase();
    let coded = ["law", "pcmu", "pcma", "opus", "g7", "gsm"].iter().any(|it| lower.contains(it));
    let rate_hz = match format.get("sample_rate") {
        None | Some(Value::Null) => Some(otherwise.rate_hz),
        Some(Value::String(text)) => text.trim().parse().ok(),
        Some(other) => other.as_u64().and_then(|rate| rate.try_into().ok()),
    };
    match rate_hz.filter(|rate| RATES_HZ.contains(rate) && !coded) {
        Some(rate_hz) => Ok(AudioFormat::l16le(rate_hz)),
        None => {
            let encoding: String = encoding.chars().take(40).collect();
            Err(WireError::UnknownCodec(format!("{encoding} at {} Hz", rate_hz.unwrap_or(0))))
        }
    }
}

impl Decode for AgentStream {
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
        // What comes behind the end is not heard.
        if started.stopped || decode::payload(parts, started.audio, slot)? == 0 {
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
                let told = parsed.start.ok_or_else(|| bad("start", "is missing"))?;
                let stream = own(parsed.stream_sid).or_else(|| own(told.stream_sid));
                let (call, account) = (own(told.call_sid), own(told.account_sid));
                let format = told.media_format;
                self.start(message, (stream, call, account), format.as_ref())
            }
            "media" => {
                let media = parsed.media.ok_or_else(|| bad("media", "is missing"))?;
                self.audio(&media.parts(parsed.stream_sid.as_deref()), slot)
            }
            "dtmf" => {
                let key = parsed.dtmf.ok_or_else(|| bad("dtmf", "is missing"))?;
                Ok(StreamEvent::Dtmf { digit: key.digit()?, duration_ms: key.duration_ms() })
            }
            "mark" => {
                let name = parsed.mark.and_then(Mark::own);
                decode::mark(message, "mark.name", name)
            }
            "stop" => {
                if let Some(started) = &mut self.started {
                    started.stopped = true;
                }
                let reason = parsed.stop.and_then(|stop| stop.reason);
                // Otherwise the flow goes on, and the call with it.
                let over = reason.is_some_and(|reason| &*reason == "callended");
                Ok(StreamEvent::Stopped(over.then_some(HangupCause::Normal)))
            }
            _ => Ok(StreamEvent::Nothing),
        }
    }
}

impl Stream for AgentStream {
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
        // Nothing is sent before the start, which names the stream.
        if let Some(started) = &self.started {
            out.extend_from_slice(&started.head);
            base64::append(out, audio);
            out.extend_from_slice(br#""}}"#);
        }
        MessageKind::Text
    }

    fn manners(&self) -> Manners {
        Manners { least_bytes: LEAST_BYTES, ..Manners::WEBSOCKET }
    }

    fn command(&mut self, command: StreamCommand<'_>, out: &mut Vec<u8>) -> Option<MessageKind> {
        let started = self.started.as_ref().filter(|started| !started.stopped)?;
        let (event, mark) = match command {
            StreamCommand::Clear => ("clear", None),
            StreamCommand::Mark(name) => ("mark", Some(name)),
            // There is no word for either: keys are tones, and the socket is closed.
            StreamCommand::Dtmf(_) | StreamCommand::Hangup => return None,
        };
        append_event(out, event, (STREAM, &started.id), mark);
        Some(MessageKind::Text)
    }
}

#[derive(Deserialize)]
struct Message<'m> {
    #[serde(borrow)]
    event: Cow<'m, str>,
    #[serde(borrow)]
    stream_sid: Option<Cow<'m, str>>,
    #[serde(borrow)]
    start: Option<Start<'m>>,
    #[serde(borrow)]
    media: Option<Audio<'m>>,
    #[serde(borrow)]
    dtmf: Option<Key<'m>>,
    #[serde(borrow)]
    mark: Option<Mark<'m>>,
    #[serde(borrow)]
    stop: Option<Stop<'m>>,
}

#[derive(Deserialize)]
struct Start<'m> {
    #[serde(borrow)]
    stream_sid: Option<Cow<'m, str>>,
    #[serde(borrow)]
    call_sid: Option<Cow<'m, str>>,
    #[serde(borrow)]
    account_sid: Option<Cow<'m, str>>,
    media_format: Option<Map<String, Value>>,
}

#[derive(Deserialize)]
struct Stop<'m> {
    #[serde(borrow)]
    reason: Option<Cow<'m, str>>,
}
