//! Messages of the agent.

use std::ops::Range;

use serde_json::{Map, Value};

use crate::agent::{AgentCommand, AgentInput};
use crate::json::{base64, scan};
use crate::wire::WireError;

const EVENT: &str = "event";
const STREAM: &str = "streamSid";
const PAYLOAD: &str = "media.payload";
const MARK: &str = "mark.name";

/// Reads a text message on the stream `stream`, decoding audio in place.
pub(super) fn text<'m>(stream: &str, message: &'m mut [u8]) -> Result<AgentInput<'m>, WireError> {
    match scan::media(message, STREAM.as_bytes()) {
        Some(media) => {
            let sid = media.stream.and_then(|place| message.get(place));
            check_stream(stream, sid.map(Some))?;
            audio(message, media.payload.ok_or_else(|| missing(PAYLOAD))?)
        }
        None => parsed(stream, message),
    }
}

/// Reads a message of any form with a full parser.
pub(super) fn parsed<'m>(stream: &str, message: &'m mut [u8]) -> Result<AgentInput<'m>, WireError> {
    let fields: Map<String, Value> =
        serde_json::from_slice(message).map_err(|error| WireError::BadJson(error.to_string()))?;
    let event = string(fields.get(EVENT), EVENT)?;
    let sid = fields.get(STREAM).map(|sid| sid.as_str().map(str::as_bytes));
    let detail = |name| fields.get(event).and_then(|detail| detail.get(name));
    match event {
        "media" => {
            check_stream(stream, sid)?;
            let payload = string(detail("payload"), PAYLOAD)?.as_bytes();
            // The text as the parser saw it takes the place of the text as it was written, which is
            // never shorter.
            let start = message.len() - payload.len();
            let place = message.get_mut(start..).unwrap_or(&mut []);
            place.copy_from_slice(payload);
            audio(message, start..message.len())
        }
        "mark" => {
            check_stream(stream, sid)?;
            let name = string(detail("name"), MARK)?.to_owned();
            Ok(AgentInput::Command(AgentCommand::Mark { name }))
        }
        "clear" => {
            check_stream(stream, sid)?;
            Ok(AgentInput::Command(AgentCommand::Clear))
        }
        _ => Ok(AgentInput::Nothing),
    }
}

/// Decodes the audio whose base64 lies at `payload`.
fn audio(message: &mut [u8], payload: Range<usize>) -> Result<AgentInput<'_>, WireError> {
    let text = message.get_mut(payload).unwrap_or(&mut []);
    let count = base64::decode_in_place(text).ok_or_else(|| bad(PAYLOAD, "is not base64"))?;
    match text.get(..count) {
        None | Some([]) => Ok(AgentInput::Nothing),
        Some(audio) => Ok(AgentInput::Audio(audio)),
    }
}

/// `sid` is the field of the message: absent, of another type than string, or its text. An agent
/// that names another stream has mixed up its calls: nothing of it may be heard here.
fn check_stream(stream: &str, sid: Option<Option<&[u8]>>) -> Result<(), WireError> {
    match sid {
        None => Err(missing(STREAM)),
        Some(None) => Err(bad(STREAM, "is not a string")),
        Some(Some(sid)) if sid != stream.as_bytes() => Err(bad(STREAM, "is not of this stream")),
        Some(Some(_)) => Ok(()),
    }
}

fn string<'v>(value: Option<&'v Value>, field: &'static str) -> Result<&'v str, WireError> {
    let value = value.ok_or_else(|| missing(field))?;
    value.as_str().ok_or_else(|| bad(field, "is not a string"))
}

fn missing(field: &'static str) -> WireError {
    bad(field, "is missing")
}

fn bad(field: &'static str, problem: &str) -> WireError {
    WireError::BadField { field, problem: problem.to_owned() }
}
