//! What the media messages of several carriers have in common, as a full parser reads it.

use std::borrow::Cow;
use std::ops::Range;

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::scan::Media;
use crate::wire::WireError;

/// Samples a second where a carrier does not say.
const RATE_HZ: u32 = 8000;

/// What is wrong with a field.
pub(crate) fn bad(field: &'static str, problem: &str) -> WireError {
    WireError::BadField { field, problem: problem.to_owned() }
}

/// What a media message says.
#[derive(Debug, PartialEq)]
pub(crate) struct Parts<'m> {
    pub(crate) stream: Option<&'m [u8]>,
    pub(crate) track: Option<&'m [u8]>,
    pub(crate) chunk: Option<u64>,
    pub(crate) timestamp_ms: Option<u64>,
    pub(crate) payload: Option<&'m [u8]>,
}

impl<'m> Parts<'m> {
    /// As the quick look found them in `message`.
    pub(crate) fn found(message: &'m [u8], media: &Media) -> Self {
        let text = |place: &Option<Range<usize>>| message.get(place.clone()?);
        Self {
            stream: text(&media.stream),
            track: text(&media.track),
            chunk: media.chunk,
            timestamp_ms: media.timestamp,
            payload: text(&media.payload),
        }
    }

    /// Refuses what is of another stream than `id`; `field` is where messages name theirs.
    #[inline]
    pub(crate) fn check_stream(&self, field: &'static str, id: &str) -> Result<(), WireError> {
        match self.stream {
            Some(named) if named != id.as_bytes() => Err(bad(field, "is not of this stream")),
            _ => Ok(()),
        }
    }

    /// The number of the frame, counted from 0: carriers count from 1.
    pub(crate) fn number(&self) -> Option<u64> {
        self.chunk.map(|chunk| chunk.saturating_sub(1))
    }
}

/// The object `media`.
#[derive(Deserialize)]
pub(crate) struct Audio<'m> {
    #[serde(borrow)]
    track: Option<Cow<'m, str>>,
    #[serde(borrow)]
    chunk: Option<Number<'m>>,
    #[serde(borrow)]
    timestamp: Option<Number<'m>>,
    #[serde(borrow)]
    payload: Option<Cow<'m, str>>,
}

impl Audio<'_> {
    /// Its parts; `stream` stands outside of it.
    pub(crate) fn parts<'p>(&'p self, stream: Option<&'p str>) -> Parts<'p> {
        let number = |number: &Option<Number<'_>>| number.as_ref().and_then(Number::value);
        Parts {
            stream: stream.map(str::as_bytes),
            track: self.track.as_deref().map(str::as_bytes),
            chunk: number(&self.chunk),
            timestamp_ms: number(&self.timestamp),
            payload: self.payload.as_deref().map(str::as_bytes),
        }
    }
}

/// The format of audio.
#[derive(Deserialize)]
pub(crate) struct Format<'m> {
    #[serde(borrow)]
    encoding: Cow<'m, str>,
    #[serde(borrow, alias = "sampleRate")]
    sample_rate: Option<Number<'m>>,
}

impl Format<'_> {
    /// The carrier's word for the codec, and samples a second.
    pub(crate) fn own(self) -> (String, u32) {
        let rate = self.sample_rate.and_then(|rate| rate.value()?.try_into().ok());
        (self.encoding.into_owned(), rate.unwrap_or(RATE_HZ))
    }
}

/// A key that was pressed.
#[derive(Deserialize)]
pub(crate) struct Key<'m> {
    #[serde(borrow)]
    digit: Option<Number<'m>>,
    #[serde(borrow)]
    duration: Option<Number<'m>>,
}

impl Key<'_> {
    /// How long it was pressed, in milliseconds, if that is told.
    pub(crate) fn duration_ms(&self) -> Option<u32> {
        let ms = self.duration.as_ref().and_then(Number::value)?;
        u32::try_from(ms).ok().filter(|ms| *ms > 0)
    }

    /// The key: `0-9`, `A-D`, `*`, `#`. Blanks around it are none.
    ///
    /// # Errors
    ///
    /// [`WireError::BadField`] for anything else.
    pub(crate) fn digit(&self) -> Result<char, WireError> {
        let written = match &self.digit {
            Some(Number::Text(text)) => Cow::Borrowed(text.trim()),
            Some(Number::Bare(number)) => Cow::Owned(number.to_string()),
            Some(Number::Other(_)) | None => Cow::Borrowed(""),
        };
        let mut keys = written.chars();
        match (keys.next().map(|key| key.to_ascii_uppercase()), keys.next()) {
            (Some(key @ ('0'..='9' | 'A'..='D' | '*' | '#')), None) => Ok(key),
            _ => Err(bad("dtmf.digit", "is no digit")),
        }
    }
}

/// A mark that was reached.
#[derive(Deserialize)]
pub(crate) struct Mark<'m> {
    #[serde(borrow)]
    name: Option<Cow<'m, str>>,
}

impl Mark<'_> {
    /// Its name.
    pub(crate) fn own(self) -> Option<String> {
        self.name.map(Cow::into_owned)
    }
}

/// A number, bare or as a string. What is something else is none, and no reason to lose what else
/// the message says.
#[derive(Deserialize)]
#[serde(untagged)]
enum Number<'m> {
    Bare(u64),
    #[serde(borrow)]
    Text(Cow<'m, str>),
    Other(IgnoredAny),
}

impl Number<'_> {
    fn value(&self) -> Option<u64> {
        match self {
            Self::Bare(number) => Some(*number),
            Self::Text(text) => text.parse().ok(),
            Self::Other(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::scan;
    use super::*;

    #[derive(Deserialize)]
    struct Message<'m> {
        #[serde(borrow)]
        id: Option<Cow<'m, str>>,
        #[serde(borrow)]
        media: Audio<'m>,
    }

    /// Of a plain message the parser finds what the quick look does, numbers bare or as strings.
    #[test]
    fn both_ways_find_the_same() {
        for text in [
            r#"{"event":"media","id":"s","media":{"track":"inbound","chunk":7,"timestamp":"140",
                "payload":"//8="}}"#,
            r#"{"event":"media","media":{"chunk":"7","timestamp":140,"payload":""}}"#,
            r#"{"event":"media","media":{}}"#,
        ] {
            let found = scan::media(text.as_bytes(), b"id").unwrap();
            let parsed: Message<'_> = serde_json::from_str(text).unwrap();
            let parts = parsed.media.parts(parsed.id.as_deref());
            assert_eq!(parts, Parts::found(text.as_bytes(), &found), "{text}");
        }
    }

    /// Keys are single, in capitals, and nothing else; formats have a rate.
    #[test]
    fn keys_and_formats() {
        let key = |text: &str| serde_json::from_str::<Key<'_>>(text).unwrap().digit().ok();
        assert_eq!(key(r#"{"digit":"5"}"#), Some('5'));
        assert_eq!(key(r#"{"digit":" #"}"#), Some('#'));
        assert_eq!(key(r#"{"digit":"b"}"#), Some('B'));
        assert_eq!(key(r#"{"digit":0}"#), Some('0'));
        for none in [
            r#"{"digit":12}"#,
            r#"{"digit":[5]}"#,
            r#"{"digit":"12"}"#,
            r#"{"digit":"E"}"#,
            r#"{"digit":""}"#,
            "{}",
        ] {
            assert_eq!(key(none), None, "{none}");
        }
        let format = |text: &str| serde_json::from_str::<Format<'_>>(text).unwrap().own();
        for rate in [r#""sampleRate":16000"#, r#""sample_rate":"16000""#] {
            let text = format!(r#"{{"encoding":"L16",{rate}}}"#);
            assert_eq!(format(&text), ("L16".to_owned(), 16_000));
        }
        assert_eq!(format(r#"{"encoding":"PCMU"}"#), ("PCMU".to_owned(), 8000));
        let odd: Audio<'_> =
            serde_json::from_str(r#"{"chunk":-1,"timestamp":1.5,"payload":"AA=="}"#).unwrap();
        let parts = odd.parts(None);
        assert_eq!((parts.chunk, parts.timestamp_ms, parts.payload.is_some()), (None, None, true));
    }
}
