//! Messages out of a byte stream (RFC 3261 section 18.3, RFC 5626 section 3.5.1).

#[cfg(test)]
mod tests;

use bytes::Bytes;
use thiserror::Error;

use super::headers::{HeaderName, number_of};
use super::lex;
use super::message::{MESSAGE_BYTES_MAX, Message, ParseError};

/// The longest header, in octets: what must arrive before the size of a message is known.
pub const HEAD_BYTES_MAX: usize = 32 * 1024;

/// The most memory that a stream between messages keeps, in octets.
const IDLE_BYTES_MAX: usize = 8 * 1024;

/// Something that a stream carried.
#[derive(Debug, Clone)]
pub enum StreamItem {
    /// A message. It may still have a [`Message::fault`].
    Message(Message),
    /// A message whose end was found but that cannot be read; the stream goes on after it.
    Malformed(ParseError),
    /// CR LF CR LF between messages: answer with CR LF.
    Ping,
    /// CR LF between messages: the answer to our ping, or the first half of a ping. It needs
    /// nothing.
    Pong,
}

/// Why a stream cannot be read any further; the connection must be closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum StreamError {
    /// The header did not end within [`HEAD_BYTES_MAX`] octets.
    #[error("the header is too long")]
    HeadTooLong,
    /// Header and body together exceed [`MESSAGE_BYTES_MAX`].
    #[error("the message is too large")]
    TooLarge,
    /// There is no Content-Length, which streams require.
    #[error("Content-Length is missing")]
    NoContentLength,
    /// Content-Length is no number or stands twice with different values.
    #[error("Content-Length is malformed")]
    ContentLength,
}

/// Cuts a byte stream into messages. Bytes go in as they arrive; items come out in order.
///
/// The buffer holds at most one message more than what was pushed since the last drain, so callers
/// drain after each push and read a bounded amount at a time.
#[derive(Debug, Default)]
pub struct StreamDecoder {
    buffer: Vec<u8>,
    /// Octets of `buffer` that were handed out.
    consumed: usize,
    /// Octets after `consumed` that hold no end of the header.
    scanned: usize,
    /// The size of the message at `consumed`, once its header has arrived.
    total: Option<usize>,
    /// Whether the last octets were one CR LF between messages.
    half_ping: bool,
    failed: Option<StreamError>,
}

impl StreamDecoder {
    /// A decoder at the beginning of a stream.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes octets from the stream.
    pub fn push(&mut self, octets: &[u8]) {
        if self.failed.is_some() {
            return;
        }
        self.buffer.drain(..self.consumed);
        self.consumed = 0;
        if self.buffer.is_empty() && self.buffer.capacity() > IDLE_BYTES_MAX {
            self.buffer = Vec::new();
        }
        self.buffer.extend_from_slice(octets);
    }

    /// How many octets wait for the rest of their message.
    pub fn buffered_bytes(&self) -> usize {
        self.buffer.len() - self.consumed
    }

    /// The next item, `None` when more octets are needed.
    ///
    /// # Errors
    /// Why the stream cannot be read any further; every later call says the same.
    #[expect(clippy::should_implement_trait, reason = "fallible, and continues after None")]
    pub fn next(&mut self) -> Result<Option<StreamItem>, StreamError> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        let item = self.item();
        if let Err(error) = item {
            self.failed = Some(error);
            self.buffer = Vec::new();
            self.consumed = 0;
        }
        item
    }

    fn item(&mut self) -> Result<Option<StreamItem>, StreamError> {
        while self.buffer.get(self.consumed) == Some(&b'\n') {
            self.take(1);
        }
        let Some(pending) = self.buffer.get(self.consumed..) else { return Ok(None) };
        match pending {
            [b'\r', b'\n', ..] => {
                self.take(2);
                self.half_ping = !self.half_ping;
                let item = if self.half_ping { StreamItem::Pong } else { StreamItem::Ping };
                return Ok(Some(item));
            }
            [] | [b'\r'] => return Ok(None),
            _ => self.half_ping = false,
        }
        let total = match self.total {
            Some(total) => total,
            None => {
                let Some(total) = total(pending, self.scanned)? else {
                    self.scanned = pending.len();
                    return Ok(None);
                };
                *self.total.insert(total)
            }
        };
        let Some(octets) = pending.get(..total) else { return Ok(None) };
        // A copy of its own, so that a message that is kept does not keep the buffer of others.
        let octets = Bytes::copy_from_slice(octets);
        self.take(total);
        match Message::parse(octets) {
            // Whoever reads the same octets must find the same end, or requests can be smuggled.
            Ok(message) if message.bytes().len() != total => Err(StreamError::ContentLength),
            Ok(message) => Ok(Some(StreamItem::Message(message))),
            Err(error) => Ok(Some(StreamItem::Malformed(error))),
        }
    }

    fn take(&mut self, count: usize) {
        self.consumed += count;
        self.scanned = 0;
        self.total = None;
    }
}

/// The size of the message that `pending` begins with, when its header has arrived. The first
/// `scanned` octets were searched before.
fn total(pending: &[u8], scanned: usize) -> Result<Option<usize>, StreamError> {
    let head = match head_end(pending, scanned) {
        Some(head) if head <= HEAD_BYTES_MAX => head,
        None if pending.len() <= HEAD_BYTES_MAX => return Ok(None),
        _ => return Err(StreamError::HeadTooLong),
    };
    let length = content_length(pending.get(..head).unwrap_or_default())?;
    let total = head.saturating_add(length);
    if total > MESSAGE_BYTES_MAX { Err(StreamError::TooLarge) } else { Ok(Some(total)) }
}

/// Where the empty line after the header ends, when the first `scanned` octets do not hold it.
fn head_end(octets: &[u8], scanned: usize) -> Option<usize> {
    let mut at = scanned.saturating_sub(3);
    loop {
        at += lex::find_line_end(octets.get(at..)?)? + 1;
        if octets.get(at - 1) == Some(&b'\n') {
            match octets.get(at..)? {
                [b'\n', ..] => return Some(at + 1),
                [b'\r', b'\n', ..] => return Some(at + 2),
                _ => {}
            }
        }
    }
}

/// Content-Length of a header, which streams require (RFC 3261 section 20.14).
fn content_length(head: &[u8]) -> Result<usize, StreamError> {
    let mut length = None;
    let mut lines = Lines { rest: head }.peekable();
    while let Some(line) = lines.next() {
        let Some(value) = content_length_field(line) else {
            // The reader of the message finds the colon of a name on the next line, too.
            if is_bare_name(line) && lines.next_if(|next| is_folded(next)).is_some() {
                return Err(StreamError::ContentLength);
            }
            continue;
        };
        let mut value = trim(value);
        // Folded: the number may stand on a further line, but only on one.
        while let Some(more) = lines.next_if(|next| is_folded(next)) {
            match (value, trim(more)) {
                (_, []) => {}
                ([], more) => value = more,
                _ => return Err(StreamError::ContentLength),
            }
        }
        let value = str::from_utf8(value).map_err(|_| StreamError::ContentLength)?;
        let value = lex::number(value, u64::MAX).map_err(|_| StreamError::ContentLength)?;
        let value = usize::try_from(value).map_err(|_| StreamError::ContentLength)?;
        if length.is_some_and(|other| other != value) {
            return Err(StreamError::ContentLength);
        }
        length = Some(value);
    }
    length.ok_or(StreamError::NoContentLength)
}

/// Without the blanks of RFC 3261 25.1 around it. Other white space is part of a value here as it
/// is for [`lex::trim`]: where a message ends, all readers must agree.
fn trim(mut bytes: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = bytes {
        bytes = rest;
    }
    bytes
}

/// Whether a line goes on with the one before.
const fn is_folded(line: &[u8]) -> bool {
    matches!(line, [b' ' | b'\t', ..])
}

/// Whether a line is the name of a Content-Length field and nothing else.
fn is_bare_name(line: &[u8]) -> bool {
    let [b'C' | b'c' | b'L' | b'l', ..] = line else { return false };
    let name = str::from_utf8(line).unwrap_or_default();
    number_of(lex::trim(name)) == HeaderName::ContentLength.table_number()
}

/// The value of a line when it is a Content-Length field.
fn content_length_field(line: &[u8]) -> Option<&[u8]> {
    let [b'C' | b'c' | b'L' | b'l', ..] = line else { return None };
    let colon = line.iter().position(|&byte| byte == b':')?;
    let name = str::from_utf8(line.get(..colon)?).ok()?;
    let is_it = number_of(lex::trim(name)) == HeaderName::ContentLength.table_number();
    if is_it { line.get(colon + 1..) } else { None }
}

/// The lines of a header without their line ends.
struct Lines<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Lines<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let end = lex::find_line_end(self.rest)?;
        let (line, tail) = self.rest.split_at_checked(end)?;
        // A stray CR ends a line here too; the reader of the message refuses it.
        self.rest = match tail {
            [b'\r', b'\n', rest @ ..] | [_, rest @ ..] => rest,
            [] => &[],
        };
        Some(line)
    }
}
