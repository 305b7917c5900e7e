//! Media Streams: text messages of JSON, audio in base64, always µ-law at 8 kHz. Made by one
//! carrier, spoken by others with small differences, which are [`Rules`].

use media::codec::AudioFormat;
use media::time::MonoTime;
use serde_json::{Map, Value};

use crate::agent::MessageKind;
use crate::config::RawConfig;
use crate::json::decode::{self, Decode};
use crate::json::parts::Parts;
use crate::json::quick::Quick;
use crate::json::{append_event, append_string, base64, lend, scan};
use crate::stream::{FrameSlot, Stream, StreamCommand, StreamEvent, StreamStart};
use crate::wire::WireError;

const STREAM: &str = "streamSid";
const PAYLOAD: &str = "media.payload";
/// Samples a millisecond: what turns the carrier's time stamps into ours.
const SAMPLES_MS: u64 = 8;

/// What differs from one carrier to the other.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules {
    /// The field of `start` that holds the call's id, as the carrier's API knows it; dotted.
    pub(crate) call: &'static str,
    /// False if that field may be missing: then the call is the one that the stream was asked for.
    pub(crate) names_call: bool,
    /// False if messages after the start may come without the stream's id.
    pub(crate) names_stream: bool,
    /// True if the account that the stream names is that of the configuration.
    pub(crate) is_account: fn(&RawConfig, &str) -> bool,
    /// True if the carrier is asked to tell when it has played everything.
    pub(crate) marks: fn(&RawConfig) -> bool,
}

/// Begins a stream by these rules.
pub(crate) fn open(start: &StreamStart, rules: Rules) -> Box<dyn Stream> {
    Box::new(MediaStreams {
        rules,
        state: State::Waiting,
        quick: Quick::new(STREAM),
        call: start.call.as_ref().map(|call| call.0.clone()),
        marks: (rules.marks)(&start.config),
        config: start.config.clone(),
        sid: String::new(),
        media: Vec::new(),
    })
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Waiting,
    Started,
    Stopped,
}

struct MediaStreams {
    rules: Rules,
    state: State,
    quick: Quick,
    /// The call that it must be for.
    call: Option<String>,
    /// Whose account it must be of.
    config: RawConfig,
    marks: bool,
    /// The stream's id, once it has started.
    sid: String,
    /// What stands before the audio of our messages.
    media: Vec<u8>,
}

impl Stream for MediaStreams {
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
        debug_assert!(self.state != State::Waiting, "nothing is said before the start");
        out.extend_from_slice(&self.media);
        base64::append(out, audio);
        out.extend_from_slice(br#""}}"#);
        MessageKind::Text
    }

    fn command(&mut self, command: StreamCommand<'_>, out: &mut Vec<u8>) -> Option<MessageKind> {
        if self.state != State::Started {
            return None;
        }
        let (event, mark) = match command {
            StreamCommand::Clear => ("clear", None),
            StreamCommand::Mark(name) if self.marks => ("mark", Some(name)),
            // There is no word for either.
            StreamCommand::Mark(_) | StreamCommand::Dtmf(_) | StreamCommand::Hangup => return None,
        };
        append_event(out, event, (STREAM, &self.sid), mark);
        Some(MessageKind::Text)
    }
}

impl Decode for MediaStreams {
    fn quick(&mut self) -> &mut Quick {
        &mut self.quick
    }

    fn audio(
        &mut self,
        parts: &Parts<'_>,
        slot: &mut FrameSlot<'_>,
    ) -> Result<StreamEvent<'static>, WireError> {
        self.check_stream(parts.stream)?;
        if !self.is_heard(parts.track)? {
            return Ok(StreamEvent::Nothing);
        }
        audio(parts, slot)
    }

    #[inline]
    fn found(
        &mut self,
        message: &[u8],
        found: &scan::Media,
        slot: &mut FrameSlot<'_>,
    ) -> Result<StreamEvent<'static>, WireError> {
        let parts = Parts::found(message, found);
        // What is told once has been looked at.
        if found.again { audio(&parts, slot) } else { self.audio(&parts, slot) }
    }

    fn parsed<'m>(
        &mut self,
        message: &'m mut [u8],
        slot: &mut FrameSlot<'_>,
    ) -> Result<StreamEvent<'m>, WireError> {
        let fields: Map<String, Value> = serde_json::from_slice(message)
            .map_err(|error| WireError::BadJson(error.to_string()))?;
        let event = fields.get("event").ok_or_else(|| missing("event"))?;
        let event = event.as_str().ok_or_else(|| bad("event", "is not a string"))?;
        let detail = fields.get(event);
        let text = |name: &str| detail.and_then(|detail| detail.get(name)?.as_str());
        let sid = fields.get(STREAM).and_then(Value::as_str);
        match event {
            "start" => self.start(message, &fields),
            "media" => {
                let bytes = |name: &str| text(name).map(str::as_bytes);
                let number = |name: &str| match detail.and_then(|detail| detail.get(name))? {
                    Value::String(text) => text.parse().ok(),
                    other => other.as_u64(),
                };
                let parts = Parts {
                    stream: sid.map(str::as_bytes),
                    track: bytes("track"),
                    chunk: number("chunk"),
                    timestamp_ms: number("timestamp"),
                    payload: bytes("payload"),
                };
                self.audio(&parts, slot)
            }
            "dtmf" => {
                self.check_stream(sid.map(str::as_bytes))?;
                let digit = match detail.and_then(|detail| detail.get("digit")) {
                    Some(Value::Number(number)) => number.to_string(),
                    Some(Value::String(text)) => text.clone(),
                    _ => return Err(missing("dtmf.digit")),
                };
                let mut digit = digit.trim().chars();
                let digit = (digit.next(), digit.next());
                let (Some(digit @ ('0'..='9' | 'A'..='D' | 'a'..='d' | '*' | '#')), None) = digit
                else {
                    return Err(bad("dtmf.digit", "is no key of a telephone"));
                };
                Ok(StreamEvent::Dtmf { digit: digit.to_ascii_uppercase(), duration_ms: None })
            }
            "mark" => {
                self.check_stream(sid.map(str::as_bytes))?;
                let name = text("name").ok_or_else(|| missing("mark.name"))?;
                let [name] =
                    lend(message, [name]).ok_or_else(|| bad("mark.name", "is too long"))?;
                Ok(StreamEvent::Mark(name))
            }
            "stop" => {
                self.check_stream(sid.map(str::as_bytes))?;
                self.state = State::Stopped;
                Ok(StreamEvent::Stopped(None))
            }
            _ => Ok(StreamEvent::Nothing),
        }
    }
}

impl MediaStreams {
    fn start<'m>(
        &mut self,
        message: &'m mut [u8],
        fields: &Map<String, Value>,
    ) -> Result<StreamEvent<'m>, WireError> {
        let start = fields.get("start").ok_or_else(|| missing("start"))?;
        let text = |name: &str| start.get(name).and_then(Value::as_str);
        let sid = fields.get(STREAM).and_then(Value::as_str).or_else(|| text(STREAM));
        let sid = sid.filter(|sid| !sid.is_empty()).ok_or_else(|| missing(STREAM))?;
        let field = self.rules.call;
        let told = text(field.strip_prefix("start.").unwrap_or(field));
        let known = self.call.as_deref().filter(|_| !self.rules.names_call);
        let call = told.or(known).ok_or_else(|| missing(field))?;
        // The token has told which call it is; the carrier must mean the same.
        if self.call.as_deref().is_some_and(|expected| expected != call) {
            return Err(bad(field, "is not of this call"));
        }
        let others = |account: &str| !(self.rules.is_account)(&self.config, account);
        if text("accountSid").is_some_and(others) {
            return Err(bad("start.accountSid", "is not of this account"));
        }
        if self.state != State::Waiting {
            let same = self.sid == sid;
            return if same { Ok(StreamEvent::Nothing) } else { Err(bad(STREAM, "has changed")) };
        }
        if let Some(format) = start.get("mediaFormat") {
            check_format(format)?;
        }
        sid.clone_into(&mut self.sid);
        self.media.clear();
        self.media.extend_from_slice(br#"{"event":"media","streamSid":"#);
        append_string(&mut self.media, sid);
        self.media.extend_from_slice(br#","media":{"payload":""#);
        self.state = State::Started;
        let [stream, call] = lend(message, [sid, told.unwrap_or_default()])
            .ok_or_else(|| bad(STREAM, "is too long"))?;
        Ok(StreamEvent::Started {
            stream: Some(stream),
            call: told.map(|_| call),
            from_carrier: AudioFormat::PCMU,
            to_carrier: AudioFormat::PCMU,
        })
    }

    /// A message of another stream has got here by mistake: nothing of it may be heard.
    fn check_stream(&self, sid: Option<&[u8]>) -> Result<(), WireError> {
        match (self.state, sid) {
            (State::Waiting, _) => Err(bad("event", "comes before the start")),
            (_, None) if self.rules.names_stream => Err(missing(STREAM)),
            (_, Some(sid)) if sid != self.sid.as_bytes() => Err(bad(STREAM, "is not of this one")),
            _ => Ok(()),
        }
    }

    /// True for what the caller says; false for our own words, and what comes after the end.
    fn is_heard(&self, track: Option<&[u8]>) -> Result<bool, WireError> {
        match track {
            None | Some(b"inbound" | b"inbound_track") => Ok(self.state == State::Started),
            Some(b"outbound" | b"outbound_track") => Ok(false),
            Some(_) => Err(bad("media.track", "is unknown")),
        }
    }
}

/// The audio of a message that is of this stream and the caller's.
fn audio(parts: &Parts<'_>, slot: &mut FrameSlot<'_>) -> Result<StreamEvent<'static>, WireError> {
    let payload = parts.payload.ok_or_else(|| missing(PAYLOAD))?;
    let length = base64::decode_into(payload, slot.room()).map_err(|what| bad(PAYLOAD, what))?;
    slot.set_len(length)?;
    if length == 0 {
        return Ok(StreamEvent::Nothing);
    }
    Ok(StreamEvent::Audio {
        ts: parts.timestamp_ms.and_then(|ms| ms.checked_mul(SAMPLES_MS)),
        // The carrier counts from 1.
        seq: parts.chunk.and_then(|chunk| chunk.checked_sub(1)),
    })
}

/// The format is always the same; what says otherwise would be heard as noise.
fn check_format(format: &Value) -> Result<(), WireError> {
    let number = |name: &str| match format.get(name) {
        Some(Value::String(text)) => text.parse().ok(),
        other => other.and_then(Value::as_u64),
    };
    let encoding = format.get("encoding").and_then(Value::as_str);
    let rate = number("sampleRate");
    if encoding.is_none_or(|encoding| encoding == "audio/x-mulaw")
        && rate.is_none_or(|rate| rate == 8_000)
        && number("channels").is_none_or(|channels| channels == 1)
    {
        return Ok(());
    }
    let encoding: String = encoding.unwrap_or("audio").chars().take(40).collect();
    Err(WireError::UnknownCodec(format!("{encoding} at {} Hz", rate.unwrap_or(0))))
}

fn missing(field: &'static str) -> WireError {
    bad(field, "is missing")
}

fn bad(field: &'static str, problem: &str) -> WireError {
    WireError::BadField { field, problem: problem.to_owned() }
}
