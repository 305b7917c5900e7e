//! A still quicker look: media messages of one stream are alike but for their numbers and their
//! payload, so that the next one is compared with the last.

use super::scan::{self, Marks, Media, NUMBER_DIGITS, Role};

/// Numbers and payload of a message, at most.
pub(crate) const MARKS_MAX: usize = 6;

/// Finds the parts of one stream's media messages.
///
/// Of the payload of a message that is like the last it only tells where it lies: whether that is a
/// plain string is for the reader of base64 to find out, which knows no other. What it does not
/// take is for a full parser.
#[derive(Debug)]
pub(crate) struct Quick {
    /// The name of the field that holds the stream's id.
    stream: &'static [u8],
    shape: Shape,
}

/// What one message looked like.
#[derive(Debug, Default)]
struct Shape {
    /// All of it but numbers and payload.
    fixed: Vec<u8>,
    /// What of `fixed` comes before each mark, and what the mark is.
    parts: [Part; MARKS_MAX],
    count: usize,
}

#[derive(Clone, Copy, Debug, Default)]
struct Part {
    fixed: usize,
    bare: bool,
    role: Role,
}

impl Quick {
    /// For messages in which the field `stream` holds the stream's id.
    pub(crate) fn new(stream: &'static str) -> Self {
        Self { stream: stream.as_bytes(), shape: Shape::default() }
    }

    /// The parts of `message`, if it is a media message of the plain form.
    #[inline]
    pub(crate) fn media(&mut self, message: &[u8]) -> Option<Media> {
        match self.shape.fits(message) {
            None => self.scan(message),
            found => found,
        }
    }

    /// The last message was not heard, or there was another: the next one is looked at anew.
    pub(crate) const fn forget(&mut self) {
        self.shape.count = 0;
    }

    /// Reads a message that differs from the last, and remembers it.
    #[inline(never)]
    fn scan(&mut self, message: &[u8]) -> Option<Media> {
        let mut marks = Marks::default();
        let found = scan::media_marked(message, self.stream, &mut marks)?;
        if self.shape.learn(message, &marks).is_none() {
            self.forget();
        }
        Some(found)
    }
}

impl Shape {
    /// Remembers a message; `None` if it has no shape that could come again.
    fn learn(&mut self, message: &[u8], marks: &Marks) -> Option<()> {
        self.fixed.clear();
        let marks = marks.all()?;
        // What follows the payload has to be fixed: that tells where it ends.
        if marks.last()?.role != Role::Payload {
            return None;
        }
        let mut from = 0;
        for (mark, part) in marks.iter().zip(&mut self.parts) {
            self.fixed.extend_from_slice(message.get(from..mark.at.start)?);
            *part = Part { fixed: mark.at.start - from, bare: mark.bare, role: mark.role };
            from = mark.at.end;
        }
        self.fixed.extend_from_slice(message.get(from..)?);
        self.count = marks.len();
        Some(())
    }

    /// The parts of a message of this shape.
    #[inline]
    fn fits(&self, message: &[u8]) -> Option<Media> {
        let (mut fixed, mut rest) = (self.fixed.as_slice(), message);
        let (mut chunk, mut timestamp) = (None, None);
        for part in self.parts.get(..self.count)? {
            let (wanted, others) = fixed.split_at_checked(part.fixed)?;
            fixed = others;
            rest = rest.strip_prefix(wanted)?;
            if part.role == Role::Payload {
                let at = message.len() - rest.len();
                let payload = Some(at..at + rest.strip_suffix(fixed)?.len());
                let (stream, track, again) = (None, None, true);
                return Some(Media { stream, track, chunk, timestamp, payload, again });
            }
            let (value, behind) = number(rest, part.bare)?;
            rest = behind;
            match part.role {
                Role::Chunk => chunk = Some(value),
                Role::Timestamp => timestamp = Some(value),
                Role::Other | Role::Payload => {}
            }
        }
        None
    }
}

/// Takes a whole number off the beginning of `text`.
#[inline]
fn number(text: &[u8], bare: bool) -> Option<(u64, &[u8])> {
    let (mut value, mut rest) = (0, text);
    while let Some((digit @ b'0'..=b'9', behind)) = rest.split_first() {
        value = value * 10 + u64::from(digit - b'0');
        rest = behind;
        if text.len() - rest.len() > NUMBER_DIGITS {
            return None;
        }
    }
    let digits = text.len() - rest.len();
    let leading_zero = bare && digits > 1 && text.first() == Some(&b'0');
    (digits > 0 && !leading_zero).then_some((value, rest))
}

#[cfg(test)]
mod tests {
    use std::ops::Range;

    use proptest::prelude::*;

    use super::*;

    fn text(number: u64, payload: &str, style: usize) -> String {
        let sid = "MZ18ad3ab5a668481ce02b83e7395059f0";
        match style {
            0 => format!(
                r#"{{"event":"media","sequenceNumber":"{number}","media":{{"track":"inbound","chunk":"{number}","timestamp":"{}","payload":"{payload}"}},"id":"{sid}"}}"#,
                number * 20
            ),
            1 => format!(
                r#"{{"event": "media", "n": {number}, "id": "{sid}", "media": {{"timestamp": {number}, "chunk": 7, "payload": "{payload}"}} }}"#
            ),
            2 => {
                format!(r#"{{"id":"{number}","event":"media","media":{{"payload":"{payload}"}}}}"#)
            }
            _ => format!(
                r#"{{"event":"media","media":{{"payload":"{payload}","chunk":"{number}"}},"id":"{sid}"}}"#
            ),
        }
    }

    /// What differs from message to message.
    fn parts(found: Option<&Media>) -> Option<(Option<Range<usize>>, Option<u64>, Option<u64>)> {
        found.map(|found| (found.payload.clone(), found.chunk, found.timestamp))
    }

    /// What is learnt of one message finds the parts of the next, however long its numbers are,
    /// until it is forgotten.
    #[test]
    fn the_next_message_fits() {
        for style in 0..2 {
            let mut quick = Quick::new("id");
            for number in [8, 9, 10, 99, 100, 12_345, 1_772_600_767_123] {
                for payload in ["", "AAAA", "//8=", &"AbCd".repeat(60)] {
                    let message = text(number, payload, style);
                    let found = quick.media(message.as_bytes());
                    let wanted = scan::media(message.as_bytes(), b"id");
                    assert!(found.is_some(), "{message}");
                    assert_eq!(parts(found.as_ref()), parts(wanted.as_ref()), "{message}");
                    let again = found.unwrap().again;
                    assert_eq!(again, number > 8 || !payload.is_empty(), "{message}");
                }
            }
            quick.forget();
            assert!(!quick.media(text(7, "AAAA", style).as_bytes()).unwrap().again);
        }
    }

    /// What has no shape is read anew each time.
    #[test]
    fn without_a_shape() {
        for style in 2..4 {
            let mut quick = Quick::new("id");
            for number in 0..3 {
                let message = text(number, "AAAA", style);
                assert_eq!(quick.shape.fits(message.as_bytes()), None);
                let found = quick.media(message.as_bytes());
                assert!(found.is_some());
                assert_eq!(found, scan::media(message.as_bytes(), b"id"), "{message}");
            }
        }
    }

    proptest! {
        /// Of any change to a message the quick look makes what the scanner makes, but for a
        /// payload that is no plain string, and no base64 either; stream and track are those of
        /// the message before.
        #[test]
        fn changes_are_seen(
            style in 0..4_usize,
            numbers in (0..2_000_000_u64, 0..2_000_000_u64),
            at in any::<usize>(),
            byte in any::<u8>(),
            how in 0..3,
        ) {
            let mut quick = Quick::new("id");
            let first = text(numbers.0, "AbCdEf0+", style);
            quick.media(first.as_bytes());
            let mut message = text(numbers.1, "AbCd/+==", style).into_bytes();
            let at = at % message.len();
            match how {
                0 => message[at] = byte,
                1 => message.insert(at, byte),
                _ => drop(message.remove(at)),
            }
            let found = quick.media(&message);
            let wanted = scan::media(&message, b"id");
            let Some(found) = found.filter(|found| found.again) else { return Ok(()) };
            let same = parts(Some(&found)) == parts(wanted.as_ref());
            let payload = &message[found.payload.unwrap()];
            let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"+/=".contains(byte);
            prop_assert!(same || !payload.iter().all(plain), "{wanted:?}");
            if let (Some(wanted), true) = (wanted, same) {
                let learnt = scan::media(first.as_bytes(), b"id").unwrap();
                let now = wanted.stream.map(|at| &message[at]);
                prop_assert_eq!(now, learnt.stream.map(|at| &first.as_bytes()[at]));
                let now = wanted.track.map(|at| &message[at]);
                prop_assert_eq!(now, learnt.track.map(|at| &first.as_bytes()[at]));
            }
        }
    }
}
