//! The media stream: audio as binary messages of plain samples, everything else as JSON.

use std::borrow::Cow;

use media::codec::AudioFormat;
use media::time::MonoTime;
use serde::Deserialize;

use super::fields;
use crate::agent::MessageKind;
use crate::stream::{FrameSlot, Stream, StreamCommand, StreamEvent, StreamStart};
use crate::wire::WireError;

/// Begins a stream.
pub(super) fn open(start: &StreamStart) -> Box<dyn Stream> {
    Box::new(Vonage { rate_hz: fields::rate_hz(&start.config) })
}

/// Frames bear neither number nor time: they are clocked by their arrival.
struct Vonage {
    rate_hz: u32,
}

/// What every text has. The names of our own headers stand beside it, so that no other field may be
/// relied on before the event is known.
#[derive(Deserialize)]
struct Head<'m> {
    #[serde(borrow)]
    event: Cow<'m, str>,
}

#[derive(Deserialize)]
struct Connected<'m> {
    #[serde(borrow, rename = "content-type")]
    content_type: Cow<'m, str>,
}

#[derive(Deserialize)]
struct Dtmf {
    digit: Option<char>,
    duration: Option<u32>,
    /// Another form, which no document has but others read.
    dtmf: Option<Inner>,
}

#[derive(Deserialize)]
struct Inner {
    digit: char,
}

#[derive(Deserialize)]
struct Notify<'m> {
    #[serde(borrow)]
    payload: Mark<'m>,
}

#[derive(Deserialize)]
struct Mark<'m> {
    #[serde(borrow)]
    mark: Option<Cow<'m, str>>,
}

impl Stream for Vonage {
    fn decode<'m>(
        &mut self,
        _: MonoTime,
        kind: MessageKind,
        message: &'m mut [u8],
        slot: &mut FrameSlot<'_>,
    ) -> Result<StreamEvent<'m>, WireError> {
        match kind {
            MessageKind::Binary => {
                if !AudioFormat::l16le(self.rate_hz).is_whole(message) {
                    return Err(WireError::BadFrame("not whole samples of 16 bits"));
                }
                slot.fill(message)?;
                Ok(StreamEvent::Audio { ts: None, seq: None })
            }
            MessageKind::Text => self.text(message),
        }
    }

    fn encode(&mut self, audio: &[u8], out: &mut Vec<u8>) -> MessageKind {
        out.extend_from_slice(audio);
        MessageKind::Binary
    }

    fn command(&mut self, command: StreamCommand<'_>, out: &mut Vec<u8>) -> Option<MessageKind> {
        match command {
            StreamCommand::Clear => out.extend_from_slice(br#"{"action":"clear"}"#),
            StreamCommand::Mark(name) => {
                let payload = serde_json::json!({"mark": name});
                let text = format!(r#"{{"action":"notify","payload":{payload}}}"#);
                out.extend_from_slice(text.as_bytes());
            }
            // Both are the REST API's.
            StreamCommand::Dtmf(_) | StreamCommand::Hangup => return None,
        }
        Some(MessageKind::Text)
    }
}

impl Vonage {
    fn text<'m>(&mut self, message: &'m mut [u8]) -> Result<StreamEvent<'m>, WireError> {
        let head: Head<'_> = read(message)?;
        match head.event.as_ref() {
            "websocket:connected" => {
                let connected: Connected<'_> = read(message)?;
                let rate_hz = rate_hz(&connected.content_type);
                self.rate_hz = rate_hz
                    .ok_or_else(|| WireError::UnknownCodec(connected.content_type.into_owned()))?;
                let format = AudioFormat::l16le(self.rate_hz);
                let (from_carrier, to_carrier) = (format, format);
                Ok(StreamEvent::Started { stream: None, call: None, from_carrier, to_carrier })
            }
            "websocket:dtmf" => {
                let dtmf: Dtmf = read(message)?;
                let digit = dtmf.digit.or(dtmf.dtmf.map(|inner| inner.digit));
                let digit = digit.map(|digit| digit.to_ascii_uppercase());
                let is_key = |digit: &char| matches!(digit, '0'..='9' | 'A'..='D' | '*' | '#');
                let digit = digit.filter(is_key).ok_or_else(|| WireError::BadField {
                    field: "digit",
                    problem: "missing, or no key of a telephone".to_owned(),
                })?;
                Ok(StreamEvent::Dtmf { digit, duration_ms: dtmf.duration })
            }
            "websocket:cleared" => Ok(StreamEvent::Cleared),
            "websocket:notify" => mark(message),
            _ => Ok(StreamEvent::Nothing),
        }
    }
}

/// The name of a mark of ours. What else may have been notified is nobody's.
fn mark(message: &mut [u8]) -> Result<StreamEvent<'_>, WireError> {
    let notify: Notify<'_> = read(message)?;
    let name = match notify.payload.mark {
        None => return Ok(StreamEvent::Nothing),
        Some(name) => name.into_owned(),
    };
    // Without its escapes a name is never longer than the message it stood in.
    let Some(place) = message.get_mut(..name.len()) else { return Ok(StreamEvent::Nothing) };
    place.copy_from_slice(name.as_bytes());
    let name = std::str::from_utf8(place).unwrap_or_default();
    Ok(StreamEvent::Mark(name))
}

/// Reads a message whole, whatever else stands in it.
fn read<'m, T: Deserialize<'m>>(message: &'m [u8]) -> Result<T, WireError> {
    serde_json::from_slice(message).map_err(|error| WireError::BadJson(error.to_string()))
}

/// The rate in `audio/l16;rate=16000`.
fn rate_hz(content_type: &str) -> Option<u32> {
    let (kind, parameters) = content_type.split_once(';')?;
    if !kind.trim().eq_ignore_ascii_case("audio/l16") {
        return None;
    }
    let mut rates = parameters.split(';').filter_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        if name.trim().eq_ignore_ascii_case("rate") { value.trim().parse().ok() } else { None }
    });
    rates.next().filter(|rate| matches!(rate, 8000 | 16_000 | 24_000))
}
