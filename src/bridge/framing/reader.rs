//! Reading frames.

use adapters::agent::MessageKind;

use super::header::{Header, Opcode};
use super::{FrameError, MESSAGE_LIMIT_BYTES, Role, is_close_code};
use crate::bridge::mask::mask_in_place;

/// A buffer with more capacity than this is given back as soon as it is empty, so that a
/// connection that once sent something long does not keep memory for it.
const KEEP_BYTES: usize = 1024;

/// Bytes that were just received, on their way through a [`Reader`].
///
/// The buffer belongs to the caller, who reads every socket of a worker into the same one.
#[derive(Debug)]
pub struct Input<'b> {
    bytes: &'b mut [u8],
    at: usize,
}

impl<'b> Input<'b> {
    /// Starts with the first of `bytes`.
    pub fn new(bytes: &'b mut [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// The bytes that were not yet consumed.
    pub(super) fn rest(&self) -> &[u8] {
        self.bytes.get(self.at..).unwrap_or(&[])
    }

    /// Consumes and returns the next `len` bytes (fewer if there are fewer).
    pub(super) fn take(&mut self, len: usize) -> &mut [u8] {
        let start = self.at;
        let end = start.saturating_add(len).min(self.bytes.len());
        self.at = end;
        self.bytes.get_mut(start..end).unwrap_or(&mut [])
    }
}

/// What a peer sent. Payloads are unmasked, in place, and may be written to.
#[derive(Debug, PartialEq, Eq)]
pub enum Message<'m> {
    /// A whole message. Text is UTF-8.
    Data(MessageKind, &'m mut [u8]),
    /// A ping; answer it with [`ControlFrame::pong`](super::ControlFrame::pong) of the payload.
    Ping(&'m [u8]),
    /// A pong.
    Pong(&'m [u8]),
    /// The peer's last frame: nothing is read after it. Answer with a close of the same code and
    /// shut the connection down (RFC 6455 5.5.1), unless this is the answer to ours.
    Close {
        /// The peer's code, if it gave one; one of those allowed on the wire.
        code: Option<u16>,
        /// The peer's words; often empty.
        reason: &'m str,
    },
}

/// Reads one connection's frames.
///
/// Received bytes are handed over as they come, split anywhere:
///
/// ```ignore
/// let mut input = Input::new(&mut scratch[..received]);
/// while let Some(message) = reader.next(&mut input)? {
///     // …
/// }
/// ```
///
/// A frame that arrived whole is delivered where it lies. Only a frame cut by the end of the input,
/// and fragments of a message, are copied into buffers of the reader's own; they grow with what
/// arrives, never with what a header claims, stay below the message limit plus one header each,
/// and are given back when empty. An idle connection owns no buffer.
#[derive(Debug)]
pub struct Reader {
    role: Role,
    limit_bytes: usize,
    /// Most bytes of a buffer that is kept empty.
    keep_bytes: usize,
    /// The beginning of a frame whose end has not arrived.
    partial: Vec<u8>,
    /// Payloads, unmasked, of the fragments so far.
    message: Vec<u8>,
    /// Bytes of `message` known to be whole characters, if it is text.
    utf8_bytes: usize,
    /// Kind of the fragmented message under way.
    fragmented: Option<MessageKind>,
    /// `partial` or `message` was delivered and can be emptied.
    delivered: Delivered,
    /// A close frame or an error ended the connection.
    ended: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Delivered {
    Nothing,
    Partial,
    Message,
}

/// Where a frame's payload lies.
enum Place {
    /// In the input, from here.
    Input(usize),
    /// In `partial`, behind the header.
    Partial,
}

impl Reader {
    /// A reader for our side of a connection, with the usual message limit.
    pub const fn new(role: Role) -> Self {
        Self::with_limit(role, MESSAGE_LIMIT_BYTES)
    }

    /// A reader that takes messages up to `limit_bytes`.
    pub const fn with_limit(role: Role, limit_bytes: usize) -> Self {
        Self {
            role,
            limit_bytes,
            keep_bytes: KEEP_BYTES,
            partial: Vec::new(),
            message: Vec::new(),
            utf8_bytes: 0,
            fragmented: None,
            delivered: Delivered::Nothing,
            ended: false,
        }
    }

    /// The same for a connection whose messages are many and long: it keeps its buffers.
    #[must_use]
    pub const fn keeping_buffers(mut self) -> Self {
        self.keep_bytes = usize::MAX;
        self
    }

    /// The next message in `input`. `None` if the input is used up; what remained of it is kept for
    /// the next one, so call until `None`. After a close frame or an error it stays `None`.
    ///
    /// # Errors
    ///
    /// A [`FrameError`] with the code to close the connection with.
    #[inline]
    pub fn next<'m>(
        &'m mut self,
        input: &'m mut Input<'_>,
    ) -> Result<Option<Message<'m>>, FrameError> {
        self.tidy();
        if self.ended {
            input.take(usize::MAX);
            return Ok(None);
        }
        let (header, place) = loop {
            let Some((header, place)) = self.next_frame(input).inspect_err(|_| self.end())? else {
                return Ok(None);
            };
            self.check_order(&header).inspect_err(|_| self.end())?;
            // Fragments but the last are only collected; everything else is delivered.
            if header.opcode.is_control() || (header.fin && self.fragmented.is_none()) {
                break (header, place);
            }
            self.collect(&header, &place, input).inspect_err(|_| self.end())?;
            if header.fin {
                return Ok(self.deliver_collected());
            }
        };
        if matches!(place, Place::Partial) {
            self.delivered = Delivered::Partial;
        }
        let payload = match place {
            Place::Input(start) => input.bytes.get_mut(start..start + header.payload_len),
            Place::Partial => self.partial.get_mut(header.header_len..),
        };
        let payload = payload.unwrap_or(&mut []);
        if let Some(key) = header.mask {
            mask_in_place(payload, key, 0);
        }
        let message = match header.opcode {
            Opcode::Text => text(payload),
            Opcode::Binary | Opcode::Continuation => {
                Ok(Message::Data(MessageKind::Binary, payload))
            }
            Opcode::Ping => Ok(Message::Ping(payload)),
            Opcode::Pong => Ok(Message::Pong(payload)),
            Opcode::Close => close(payload),
        };
        self.ended = message.is_err() || header.opcode == Opcode::Close;
        message.map(Some)
    }

    /// Bytes of memory this connection's buffers hold.
    pub fn buffered_bytes(&self) -> usize {
        self.partial.capacity() + self.message.capacity()
    }

    /// The next whole frame; `None` if the input ends before it does.
    #[inline]
    fn next_frame(&mut self, input: &mut Input<'_>) -> Result<Option<(Header, Place)>, FrameError> {
        if self.partial.is_empty() {
            let rest = input.rest();
            if let Some(header) = Header::parse(rest, self.role, self.limit_bytes)?
                && header.frame_len() <= rest.len()
            {
                let start = input.at + header.header_len;
                input.take(header.frame_len());
                return Ok(Some((header, Place::Input(start))));
            }
            // What comes after the cut is appended below, byte for byte as a header demands.
        }
        self.next_partial(input)
    }

    /// Moves input behind the beginning of a cut frame until the frame is whole.
    fn next_partial(
        &mut self,
        input: &mut Input<'_>,
    ) -> Result<Option<(Header, Place)>, FrameError> {
        loop {
            let header = Header::parse(&self.partial, self.role, self.limit_bytes)?;
            let missing = match header {
                Some(header) => header.frame_len() - self.partial.len(),
                // One at a time until the header's end: it must not take bytes of the next frame.
                None => 1,
            };
            if let (Some(header), 0) = (header, missing) {
                return Ok(Some((header, Place::Partial)));
            }
            let bytes = input.take(missing);
            if bytes.is_empty() {
                return Ok(None);
            }
            self.partial.extend_from_slice(bytes);
        }
    }

    /// RFC 6455 5.4: continuation frames continue, and nothing but control frames comes between.
    #[inline]
    fn check_order(&self, header: &Header) -> Result<(), FrameError> {
        match (header.opcode, self.fragmented) {
            (Opcode::Continuation, None) => Err(FrameError::NothingToContinue),
            (Opcode::Text | Opcode::Binary, Some(_)) => Err(FrameError::Interrupted),
            (Opcode::Continuation, Some(_))
                if self.message.len() + header.payload_len > self.limit_bytes =>
            {
                Err(FrameError::TooBig { limit_bytes: self.limit_bytes })
            }
            _ => Ok(()),
        }
    }

    /// Appends a fragment to the message under way, and checks it as far as it goes.
    fn collect(
        &mut self,
        header: &Header,
        place: &Place,
        input: &Input<'_>,
    ) -> Result<(), FrameError> {
        if header.opcode != Opcode::Continuation {
            let text = header.opcode == Opcode::Text;
            self.fragmented = Some(if text { MessageKind::Text } else { MessageKind::Binary });
        }
        let payload = match *place {
            Place::Input(start) => input.bytes.get(start..start + header.payload_len),
            Place::Partial => self.partial.get(header.header_len..),
        };
        let start = self.message.len();
        self.message.extend_from_slice(payload.unwrap_or(&[]));
        if let (Some(key), Some(payload)) = (header.mask, self.message.get_mut(start..)) {
            mask_in_place(payload, key, 0);
        }
        if matches!(place, Place::Partial) {
            release_beyond(&mut self.partial, self.keep_bytes);
        }
        if self.fragmented == Some(MessageKind::Text) {
            let unchecked = self.message.get(self.utf8_bytes..).unwrap_or(&[]);
            self.utf8_bytes += match std::str::from_utf8(unchecked) {
                Ok(text) => text.len(),
                // Cut in the middle of a character, of which more may come.
                Err(error) if error.error_len().is_none() && !header.fin => error.valid_up_to(),
                Err(_) => return Err(FrameError::TextNotUtf8),
            };
        }
        Ok(())
    }

    fn deliver_collected(&mut self) -> Option<Message<'_>> {
        self.delivered = Delivered::Message;
        self.utf8_bytes = 0;
        self.fragmented.take().map(|kind| Message::Data(kind, &mut self.message))
    }

    /// Empties the buffer that the last message was delivered from.
    #[inline]
    fn tidy(&mut self) {
        match std::mem::replace(&mut self.delivered, Delivered::Nothing) {
            Delivered::Nothing => {}
            Delivered::Partial => release_beyond(&mut self.partial, self.keep_bytes),
            Delivered::Message => release_beyond(&mut self.message, self.keep_bytes),
        }
    }

    fn end(&mut self) {
        self.ended = true;
        self.partial = Vec::new();
        self.message = Vec::new();
    }
}

/// Empties a buffer; a big one is given back.
pub(super) fn release(buffer: &mut Vec<u8>) {
    release_beyond(buffer, KEEP_BYTES);
}

/// Empties a buffer; one of more than `keep_bytes` is given back.
fn release_beyond(buffer: &mut Vec<u8>, keep_bytes: usize) {
    buffer.clear();
    if buffer.capacity() > keep_bytes {
        *buffer = Vec::new();
    }
}

fn text(payload: &mut [u8]) -> Result<Message<'_>, FrameError> {
    if std::str::from_utf8(payload).is_err() {
        return Err(FrameError::TextNotUtf8);
    }
    Ok(Message::Data(MessageKind::Text, payload))
}

/// RFC 6455 5.5.1.
fn close(body: &[u8]) -> Result<Message<'_>, FrameError> {
    let Some((code, reason)) = body.split_first_chunk::<2>() else {
        return match body {
            [] => Ok(Message::Close { code: None, reason: "" }),
            _ => Err(FrameError::CloseForm),
        };
    };
    let code = u16::from_be_bytes(*code);
    if !is_close_code(code) {
        return Err(FrameError::CloseCode(code));
    }
    let reason = std::str::from_utf8(reason).map_err(|_| FrameError::CloseReasonNotUtf8)?;
    Ok(Message::Close { code: Some(code), reason })
}

#[cfg(test)]
mod tests;
