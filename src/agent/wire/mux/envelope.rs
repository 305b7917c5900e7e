//! Whose a text message is.

use adapters::wire::WireError;
use serde::Deserialize;

use super::super::fields::{Scalar, bad};
use super::super::read::json_error;

/// The name of the event by which either side closes one stream of a link.
const CLOSE: &str = "close";

/// What of a text message is looked at before its stream gets it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Envelope {
    /// Its stream.
    pub stream: u32,
    /// It closes the stream: with this code, or without one.
    pub close: Option<Option<u16>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Fields<'a> {
    #[serde(borrow)]
    event: Scalar<'a>,
    #[serde(borrow)]
    stream: Scalar<'a>,
    #[serde(borrow)]
    code: Scalar<'a>,
}

/// Looks whose `text` is, and whether it closes its stream.
///
/// # Errors
///
/// [`WireError::BadJson`] if it is no JSON object, [`WireError::BadField`] if it names no stream.
pub fn envelope(text: &[u8]) -> Result<Envelope, WireError> {
    let text = std::str::from_utf8(text).map_err(|_| WireError::BadJson("not UTF-8".to_owned()))?;
    if !text.trim_ascii_start().starts_with('{') {
        return Err(WireError::BadJson("not an object".to_owned()));
    }
    let fields: Fields<'_> = serde_json::from_str(text).map_err(|error| json_error(&error))?;
    let stream = match fields.stream {
        Scalar::Whole(number) => u32::try_from(number).ok(),
        Scalar::Absent => return Err(bad("stream", "is missing")),
        _ => None,
    };
    let stream = stream.ok_or_else(|| bad("stream", "is not the number of a stream"))?;
    let closes = matches!(&fields.event, Scalar::Text(event) if event == CLOSE);
    let code = || match fields.code {
        Scalar::Whole(code) => u16::try_from(code).ok(),
        _ => None,
    };
    Ok(Envelope { stream, close: closes.then(code) })
}
