//! The plain form of a text: a name, then `key:value` pairs or, of some, a bare id.

use std::borrow::Cow;

use super::Said;
use crate::wire::WireError;

/// Reads a text. Keys that are unknown, and words that are no pairs, mean nothing.
///
/// # Errors
///
/// [`WireError::BadFrame`] if it is no UTF-8 or names nothing.
pub(super) fn read(text: &[u8]) -> Result<Said<'_>, WireError> {
    let text = str::from_utf8(text).map_err(|_| WireError::BadFrame("text is not UTF-8"))?;
    let text = text.trim_end_matches(['\r', '\n']);
    let (name, rest) = text.split_once(' ').unwrap_or((text, ""));
    let is_name = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_';
    if name.is_empty() || !name.bytes().all(is_name) {
        return Err(WireError::BadFrame("a text without a name"));
    }
    let mut said = Said { event: Cow::Borrowed(name), ..Said::default() };
    if matches!(name, "MEDIA_MARK_PROCESSED" | "MEDIA_BUFFERING_COMPLETED") {
        said.correlation_id = Some(Cow::Borrowed(rest));
        return Ok(said);
    }
    for pair in rest.split(' ') {
        let Some((key, value)) = pair.split_once(':') else { continue };
        let value = Cow::Borrowed(value);
        match key {
            "connection_id" => said.connection_id = Some(value),
            "channel_id" => said.channel_id = Some(value),
            "format" => said.format = Some(value),
            "optimal_frame_size" => said.optimal_frame_size = value.parse().ok(),
            "queue_length" => said.queue_length = value.parse().ok(),
            "digit" => said.digit = Some(value),
            _ => {}
        }
    }
    Ok(said)
}
