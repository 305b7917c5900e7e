//! A quick look at a message: if it is a plain media message, where its parts lie.
//!
//! The scanner reads JSON's grammar, but only the part of it that media messages are made of:
//! objects whose values are plain strings, small whole numbers or words, one level of nesting, no
//! key of ours twice. Of a message it accepts, a full parser would make the same; about any other
//! it says nothing.

use std::ops::Range;

use super::quick::MARKS_MAX;

/// Bytes of a long string that are looked at in one step.
const STEP_BYTES: usize = 32;
/// Bytes of a short one.
const WORD_BYTES: usize = 8;
/// Words in which most strings end.
const SHORT_WORDS: usize = 2;
/// Whole numbers up to this long are the same for every parser.
pub(crate) const NUMBER_DIGITS: usize = 15;

/// Where the parts of a media message lie.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Media {
    /// Text of the stream's id.
    pub(crate) stream: Option<Range<usize>>,
    /// Text of `media.track`.
    pub(crate) track: Option<Range<usize>>,
    /// Value of `media.chunk`.
    pub(crate) chunk: Option<u64>,
    /// Value of `media.timestamp`.
    pub(crate) timestamp: Option<u64>,
    /// Text of `media.payload`.
    pub(crate) payload: Option<Range<usize>>,
    /// Stream and track are those of the message before, and not told again.
    pub(crate) again: bool,
}

/// What a number is, or that it is the payload.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Role {
    /// `media.chunk`.
    Chunk,
    /// `media.timestamp`.
    Timestamp,
    /// `media.payload`.
    Payload,
    /// Of no interest.
    #[default]
    Other,
}

/// Where a number or the payload lies: what differs from message to message.
#[derive(Clone, Debug, Default)]
pub(crate) struct Mark {
    pub(crate) at: Range<usize>,
    /// It stands there without quotes.
    pub(crate) bare: bool,
    pub(crate) role: Role,
}

/// The marks of a message, in order.
#[derive(Debug, Default)]
pub(crate) struct Marks {
    list: [Mark; MARKS_MAX],
    count: usize,
}

impl Marks {
    fn push(&mut self, at: Range<usize>, bare: bool, role: Role) {
        if let Some(place) = self.list.get_mut(self.count) {
            *place = Mark { at, bare, role };
        }
        self.count += 1;
    }

    /// All of them; `None` if there are more than it holds.
    pub(crate) fn all(&self) -> Option<&[Mark]> {
        self.list.get(..self.count)
    }
}

/// The parts of `message`, if it is a plain media message. `stream` is the name of the field that
/// holds the stream's id.
pub(crate) fn media(message: &[u8], stream: &[u8]) -> Option<Media> {
    media_marked(message, stream, &mut Marks::default())
}

/// The same, which also tells what may differ in the next such message.
pub(crate) fn media_marked(message: &[u8], stream: &[u8], marks: &mut Marks) -> Option<Media> {
    let mut scanner = Scanner { message, at: 0, marks };
    let (mut found, mut event, mut nested) = (Media::default(), None, false);
    scanner.object(|scanner, key| {
        match key {
            b"event" => once(&mut event, scanner.string()?)?,
            b"media" if !nested => {
                nested = true;
                scanner.object(|scanner, key| match key {
                    b"payload" => {
                        let text = scanner.string()?;
                        scanner.marks.push(text.clone(), false, Role::Payload);
                        once(&mut found.payload, text)
                    }
                    b"track" => once(&mut found.track, scanner.string()?),
                    b"chunk" => once(&mut found.chunk, scanner.number(Role::Chunk)?),
                    b"timestamp" => once(&mut found.timestamp, scanner.number(Role::Timestamp)?),
                    _ => scanner.skip_value(),
                })?;
            }
            b"media" => return None,
            key if key == stream => once(&mut found.stream, scanner.string()?)?,
            _ => scanner.skip_value()?,
        }
        Some(())
    })?;
    scanner.skip_space();
    let whole = scanner.at == message.len();
    (whole && message.get(event?)? == b"media").then_some(found)
}

/// Puts `value` into an empty `place`.
fn once<T>(place: &mut Option<T>, value: T) -> Option<()> {
    place.replace(value).is_none().then_some(())
}

struct Scanner<'m, 'k> {
    message: &'m [u8],
    at: usize,
    marks: &'k mut Marks,
}

impl<'m> Scanner<'m, '_> {
    fn rest(&self) -> &'m [u8] {
        self.message.get(self.at..).unwrap_or(&[])
    }

    fn skip_space(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.message.get(self.at) {
            self.at += 1;
        }
    }

    /// Skips white space and takes `byte` if it is next.
    #[inline]
    fn take(&mut self, byte: u8) -> Option<()> {
        // Most write none.
        if self.message.get(self.at) == Some(&byte) {
            self.at += 1;
            return Some(());
        }
        self.skip_space();
        (self.message.get(self.at) == Some(&byte)).then(|| self.at += 1)
    }

    /// Reads an object, calling `value` at each value.
    fn object(&mut self, mut value: impl FnMut(&mut Self, &'m [u8]) -> Option<()>) -> Option<()> {
        self.take(b'{')?;
        if self.take(b'}').is_some() {
            return Some(());
        }
        loop {
            let key = self.string()?;
            self.take(b':')?;
            value(self, self.message.get(key)?)?;
            if self.take(b',').is_none() {
                return self.take(b'}');
            }
        }
    }

    /// Reads a string of printable ASCII without escapes; tells where its text lies.
    fn string(&mut self) -> Option<Range<usize>> {
        self.take(b'"')?;
        let start = self.at;
        self.at += plain_length(self.rest())?;
        let text = start..self.at;
        // Not `take`: white space would be part of the text.
        (self.message.get(self.at) == Some(&b'"')).then(|| self.at += 1)?;
        Some(text)
    }

    /// Reads a small whole number, bare or as a string: carriers write both.
    fn number(&mut self, role: Role) -> Option<u64> {
        self.skip_space();
        let bare = self.rest().first() != Some(&b'"');
        let at = if bare { self.digits()? } else { self.string()? };
        let text = self.message.get(at.clone())?;
        if !is_number(text) {
            return None;
        }
        self.marks.push(at, bare, role);
        let value = |sum: u64, digit: &u8| sum * 10 + u64::from(digit - b'0');
        Some(text.iter().fold(0, value))
    }

    /// Skips a string, a small whole number, `true`, `false` or `null`.
    fn skip_value(&mut self) -> Option<()> {
        self.skip_space();
        let rest = self.rest();
        if rest.first() == Some(&b'"') {
            let at = self.string()?;
            if self.message.get(at.clone()).is_some_and(is_number) {
                self.marks.push(at, false, Role::Other);
            }
            return Some(());
        }
        for word in [&b"true"[..], b"false", b"null"] {
            if rest.starts_with(word) {
                self.at += word.len();
                return Some(());
            }
        }
        let at = self.digits()?;
        self.marks.push(at, true, Role::Other);
        Some(())
    }

    /// Reads a small whole number without quotes; tells where it lies.
    fn digits(&mut self) -> Option<Range<usize>> {
        let (start, rest) = (self.at, self.rest());
        let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let fits = (1..=NUMBER_DIGITS).contains(&digits);
        let leading_zero = digits > 1 && rest.first() == Some(&b'0');
        // What may follow a number besides these is for a full parser.
        let ends = matches!(rest.get(digits), Some(b',' | b'}' | b' ' | b'\t' | b'\n' | b'\r'));
        (fits && !leading_zero && ends).then(|| {
            self.at += digits;
            start..self.at
        })
    }
}

/// True for digits alone, as many as a small number has at most.
fn is_number(text: &[u8]) -> bool {
    (1..=NUMBER_DIGITS).contains(&text.len()) && text.iter().all(u8::is_ascii_digit)
}

/// How many bytes of `text` stand before the first special one; `None` if none is special.
#[inline]
fn plain_length(text: &[u8]) -> Option<usize> {
    let mut rest = text;
    for _ in 0..SHORT_WORDS {
        let Some((word, behind)) = rest.split_first_chunk() else { break };
        if let Some(at) = special_at(*word) {
            return Some(text.len() - rest.len() + at);
        }
        rest = behind;
    }
    while let Some((step, behind)) = rest.split_first_chunk::<STEP_BYTES>() {
        // Without branches, which the compiler turns into vector instructions.
        if step.iter().fold(false, |special, byte| special | is_special(*byte)) {
            break;
        }
        rest = behind;
    }
    while let Some((word, behind)) = rest.split_first_chunk() {
        if let Some(at) = special_at(*word) {
            return Some(text.len() - rest.len() + at);
        }
        rest = behind;
    }
    let at = rest.iter().position(|byte| is_special(*byte))?;
    Some(text.len() - rest.len() + at)
}

/// Where the first special byte of a word is.
#[inline]
const fn special_at(word: [u8; WORD_BYTES]) -> Option<usize> {
    const ONES: u64 = u64::MAX / 0xff;
    const HIGH: u64 = ONES << 7;
    /// Sets the high bit of the lowest byte that is zero. What it says of bytes above that may be
    /// wrong, and does not matter.
    const fn zeros(word: u64) -> u64 {
        word.wrapping_sub(ONES) & !word
    }
    let word = u64::from_le_bytes(word);
    let quote = zeros(word ^ (ONES * b'"' as u64));
    let backslash = zeros(word ^ (ONES * b'\\' as u64));
    let delete = zeros(word ^ (ONES * 0x7f));
    let control = word.wrapping_sub(ONES * 0x20) & !word;
    let special = (quote | backslash | delete | control | word) & HIGH;
    if special == 0 { None } else { Some((special.trailing_zeros() / u8::BITS) as usize) }
}

/// True for bytes that end a string or make it other than plain.
const fn is_special(byte: u8) -> bool {
    // No short cuts, so that it can be done to many bytes at once.
    (byte == b'"') | (byte == b'\\') | (byte < 0x20) | (byte >= 0x7f)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first special byte is found wherever it stands, whichever it is, whatever stands around
    /// it.
    #[test]
    fn special_bytes_are_found() {
        for around in [b'a', b' ', b'!', b'#', b'[', b']', b'~'] {
            for len in (0..20).chain([31, 32, 33, 47, 48, 49, 57, 64]) {
                assert_eq!(plain_length(&vec![around; len]), None);
                for at in 0..len {
                    for byte in 0..=u8::MAX {
                        let mut text = vec![around; len];
                        text[at] = byte;
                        let wanted = is_special(byte).then_some(at);
                        assert_eq!(plain_length(&text), wanted, "{byte} at {at} of {len}");
                        if at + 1 < len {
                            text[at + 1] = b'"';
                            let wanted = if is_special(byte) { at } else { at + 1 };
                            assert_eq!(plain_length(&text), Some(wanted), "{byte} at {at}");
                        }
                    }
                }
            }
        }
    }

    /// Numbers are read bare and as strings; what is none leaves the message to a full parser, as
    /// does whatever occurs twice.
    #[test]
    fn numbers_are_read_as_carriers_write_them() {
        let read = |chunk: &str| {
            let text = format!(r#"{{"event":"media","id":"s","media":{{"chunk":{chunk}}}}}"#);
            media(text.as_bytes(), b"id").map(|media| media.chunk)
        };
        assert_eq!(read("7"), Some(Some(7)));
        assert_eq!(read("\"0042\""), Some(Some(42)));
        for other in ["\"\"", "\"7a\"", "-1", "7.0", "null", "1234567890123456", "7,\"chunk\":8"] {
            assert_eq!(read(other), None, "{other}");
        }
    }
}
