//! Media Streams: text messages of JSON, audio in base64, always µ-law at 8 kHz.

use std::ops::Range;

use media::codec::AudioFormat;
use media::time::MonoTime;
use serde_json::{Map, Value};

use crate::agent::MessageKind;
use crate::json::quick::Quick;
use crate::json::{append_string, base64, lend, scan};
use crate::stream::{FrameSlot, Stream, StreamCommand, StreamEvent, StreamStart};
use crate::wire::WireError;

const STREAM: &str = "streamSid";
const PAYLOAD: &str = "media.payload";
/// Samples a millisecond: what turns the carrier's time stamps into ours.
const SAMPLES_MS: u64 = 8;

pub(super) fn open(start: &StreamStart) -> Box<dyn Stream> {
    Box::new(Twilio {
        state: State::Waiting,
        quick: Quick::new(STREAM),
        call: start.call.as_ref().map(|call| call.0.clone()),
        account: start.config.text("account_sid").map(str::to_owned),
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

struct Twilio {
    state: State,
    quick: Quick,
    /// The call that it must be for.
    call: Option<String>,
    /// The account that it must be of.
    account: Option<String>,
    /// The stream's id, once it has started.
    sid: String,
    /// What stands before the audio of our messages.
    media: Vec<u8>,
}

impl Stream for Twilio {
    fn decode<'m>(
        &mut self,
        _: MonoTime,
        kind: MessageKind,
        message: &'m mut [u8],
        slot: &mut FrameSlot<'_>,
    ) -> Result<StreamEvent<'m>, WireError> {
        if kind == MessageKind::Binary {
            return Err(WireError::BadFrame("this dialect speaks text only"));
        }
        // What is wrong with a message is for the full parser to say.
        if let Some(found) = self.quick.media(message)
            && let Ok(event) = self.audio(message, &found, slot)
        {
            if !matches!(event, StreamEvent::Audio { .. }) {
                self.quick.forget();
            }
            return Ok(event);
        }
        self.quick.forget();
        self.parsed(message, slot)
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
            StreamCommand::Mark(name) => ("mark", Some(name)),
            // There is no word for either.
            StreamCommand::Dtmf(_) | StreamCommand::Hangup => return None,
        };
        out.extend_from_slice(br#"{"event":""#);
        out.extend_from_slice(event.as_bytes());
        out.extend_from_slice(br#"","streamSid":"#);
        append_string(out, &self.sid);
        if let Some(name) = mark {
            out.extend_from_slice(br#","mark":{"name":"#);
            append_string(out, name);
            out.push(b'}');
        }
        out.push(b'}');
        Some(MessageKind::Text)
    }
}

impl Twilio {
    /// Audio, found by the quick look: a plain message and nothing else.
    fn audio<'m>(
        &self,
        message: &[u8],
        found: &scan::Media,
        slot: &mut FrameSlot<'_>,
    ) -> Result<StreamEvent<'m>, WireError> {
        let text = |range: &Option<Range<usize>>| message.get(range.clone()?);
        if !found.again {
            self.check_stream(text(&found.stream))?;
            if !self.is_heard(text(&found.track))? {
                return Ok(StreamEvent::Nothing);
            }
        }
        let payload = text(&found.payload).ok_or_else(|| missing(PAYLOAD))?;
        decode(payload, slot, found.chunk, found.timestamp)
    }

    /// Whatever else is said, by a full parser.
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
                self.check_stream(sid.map(str::as_bytes))?;
                if !self.is_heard(text("track").map(str::as_bytes))? {
                    return Ok(StreamEvent::Nothing);
                }
                let payload = text("payload").ok_or_else(|| missing(PAYLOAD))?;
                let number = |name: &str| match detail.and_then(|detail| detail.get(name))? {
                    Value::String(text) => text.parse().ok(),
                    other => other.as_u64(),
                };
                decode(payload.as_bytes(), slot, number("chunk"), number("timestamp"))
            }
            "dtmf" => {
                self.check_stream(sid.map(str::as_bytes))?;
                let mut digit = text("digit").ok_or_else(|| missing("dtmf.digit"))?.chars();
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

    fn start<'m>(
        &mut self,
        message: &'m mut [u8],
        fields: &Map<String, Value>,
    ) -> Result<StreamEvent<'m>, WireError> {
        let start = fields.get("start").ok_or_else(|| missing("start"))?;
        let text = |name: &str| start.get(name).and_then(Value::as_str);
        let sid = fields.get(STREAM).and_then(Value::as_str).or_else(|| text(STREAM));
        let sid = sid.filter(|sid| !sid.is_empty()).ok_or_else(|| missing(STREAM))?;
        let call = text("callSid").ok_or_else(|| missing("start.callSid"))?;
        let account = text("accountSid");
        // The token has told which call it is; the carrier must mean the same.
        if self.call.as_deref().is_some_and(|expected| expected != call) {
            return Err(bad("start.callSid", "is not of this call"));
        }
        if let (Some(expected), Some(account)) = (&self.account, account)
            && expected != account
        {
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
        let [stream, call] =
            lend(message, [sid, call]).ok_or_else(|| bad(STREAM, "is too long"))?;
        Ok(StreamEvent::Started {
            stream: Some(stream),
            call: Some(call),
            from_carrier: AudioFormat::PCMU,
            to_carrier: AudioFormat::PCMU,
        })
    }

    /// A message of another stream has got here by mistake: nothing of it may be heard.
    fn check_stream(&self, sid: Option<&[u8]>) -> Result<(), WireError> {
        match (self.state, sid) {
            (State::Waiting, _) => Err(bad("event", "comes before the start")),
            (_, None) => Err(missing(STREAM)),
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

fn decode<'m>(
    payload: &[u8],
    slot: &mut FrameSlot<'_>,
    chunk: Option<u64>,
    timestamp_ms: Option<u64>,
) -> Result<StreamEvent<'m>, WireError> {
    let length = base64::decode_into(payload, slot.room()).map_err(|what| bad(PAYLOAD, what))?;
    slot.set_len(length)?;
    if length == 0 {
        return Ok(StreamEvent::Nothing);
    }
    Ok(StreamEvent::Audio {
        ts: timestamp_ms.and_then(|ms| ms.checked_mul(SAMPLES_MS)),
        // The carrier counts from 1.
        seq: chunk.and_then(|chunk| chunk.checked_sub(1)),
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
