//! Gathers what streams of a link have to say into as few messages as their order allows.

use super::frames::{LENGTH_BYTES, append};
use crate::bridge::framing::{Class, MAX_HEADER_BYTES, Opcode, append_frame, write_header_before};
use crate::bridge::mask::{MaskKeys, mask_in_place};

/// Bytes of frames in one message: its length then takes two bytes, and a reader that takes 64 KiB
/// takes it.
const FRAMES_MAX_BYTES: usize = 64 * 1024 - 1;
/// Bytes in front of the frames of a message under way: two and their length in two more.
const HEAD_BYTES: usize = 4;
/// Bytes of a masking key.
const KEY_BYTES: usize = 4;
/// Payloads shorter than this have their length in the header's second byte (RFC 6455 5.2), which
/// must be used.
const SHORT_BYTES: usize = 126;
/// Room that a batch has from the start.
const ROOM_BYTES: usize = 256 * 1024;

/// One message of a batch, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Whether it may be skipped.
    pub class: Class,
    /// Its bytes.
    pub len: usize,
}

/// Messages that are sent together. The buffer is kept from one time to the next.
#[derive(Debug)]
pub struct Batch {
    masked: bool,
    bytes: Vec<u8>,
    segments: Vec<Segment>,
    /// Where the message under way begins, whose header is written when it is complete.
    begun: Option<usize>,
    frames: u64,
    messages: u64,
}

impl Batch {
    /// Nothing yet; of a client's messages all are masked.
    pub fn new(masked: bool) -> Self {
        Self {
            masked,
            bytes: Vec::with_capacity(ROOM_BYTES),
            segments: Vec::new(),
            begun: None,
            frames: 0,
            messages: 0,
        }
    }

    /// True if there is nothing to be sent.
    pub const fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Adds a frame: with its header, without its length. One that no message holds is left out.
    #[inline]
    pub fn frame(&mut self, masks: &mut MaskKeys, frame: &[u8]) {
        let head = self.head_bytes();
        if let Some(start) = self.begun
            && self.bytes.len() - start - head + LENGTH_BYTES + frame.len() > FRAMES_MAX_BYTES
        {
            self.seal(masks);
        }
        if LENGTH_BYTES + frame.len() > FRAMES_MAX_BYTES {
            return;
        }
        if self.begun.is_none() {
            self.begun = Some(self.bytes.len());
            self.bytes.resize(self.bytes.len() + head, 0);
        }
        if append(&mut self.bytes, frame) {
            self.frames += 1;
        }
    }

    /// Adds a text message, behind the frames that came before it.
    pub fn text(&mut self, masks: &mut MaskKeys, text: &[u8]) {
        self.seal(masks);
        let start = self.bytes.len();
        let mask = self.masked.then(|| masks.next_key());
        append_frame(&mut self.bytes, Opcode::Text, text, mask);
        self.segments.push(Segment { class: Class::Control, len: self.bytes.len() - start });
    }

    /// Completes the message under way, and gives all messages: their bytes, one after the other,
    /// and where each ends.
    pub fn finish(&mut self, masks: &mut MaskKeys) -> (&[u8], &[Segment]) {
        self.seal(masks);
        (&self.bytes, &self.segments)
    }

    /// Empties it; tells how many messages of audio it held, and frames in them.
    pub fn clear(&mut self) -> (u64, u64) {
        self.bytes.clear();
        self.segments.clear();
        self.begun = None;
        (std::mem::take(&mut self.messages), std::mem::take(&mut self.frames))
    }

    const fn head_bytes(&self) -> usize {
        HEAD_BYTES + if self.masked { KEY_BYTES } else { 0 }
    }

    fn seal(&mut self, masks: &mut MaskKeys) {
        let Some(start) = self.begun.take() else { return };
        let head = self.head_bytes();
        let length = self.bytes.len() - start - head;
        let mask = self.masked.then(|| masks.next_key());
        let mut header = [0; MAX_HEADER_BYTES];
        let header_len = write_header_before(&mut header, length, Opcode::Binary, mask);
        if let (Some(key), Some(payload)) = (mask, self.bytes.get_mut(start + head..)) {
            mask_in_place(payload, key, 0);
        }
        if length < SHORT_BYTES {
            // The header is shorter than the room that was left for it.
            self.bytes.copy_within(start + head.., start + header_len);
            self.bytes.truncate(start + header_len + length);
        }
        let header = header.get(MAX_HEADER_BYTES - header_len..).unwrap_or_default();
        if let Some(room) = self.bytes.get_mut(start..start + header.len()) {
            room.copy_from_slice(header);
        }
        self.segments.push(Segment { class: Class::Media, len: self.bytes.len() - start });
        self.messages += 1;
    }
}
