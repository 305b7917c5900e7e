//! What the kernel did not take.

use std::collections::VecDeque;

use thiserror::Error;

/// A queue with more capacity than this is given back when it runs empty.
const KEEP_BYTES: usize = 1024;

/// Whether a message may be skipped when a peer reads too slowly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Audio: worth nothing when late.
    Media,
    /// Everything else: must arrive.
    Control,
}

/// The queue's limit is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("queue of {limit_bytes} bytes is full")]
pub struct QueueFull {
    /// The limit of the message's class.
    pub limit_bytes: usize,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    len: usize,
    class: Class,
    /// Some of its bytes are already with the kernel: the rest must follow.
    begun: bool,
}

/// Frames waiting until a connection's socket takes bytes again. Bounded; owns no memory while the
/// peer keeps up; takes and drops whole frames only.
///
/// Control frames have a share of the limit that audio cannot fill. What happens at a limit is the
/// caller's decision: refuse the newest audio ([`push`](Self::push) fails), drop the oldest
/// ([`skip_media`](Self::skip_media)), close the connection.
#[derive(Debug)]
pub struct OutQueue {
    bytes: Vec<u8>,
    /// Bytes at the front of `bytes` that are already written.
    written: usize,
    entries: VecDeque<Entry>,
    media_limit_bytes: usize,
    limit_bytes: usize,
}

impl OutQueue {
    /// A queue that takes audio while it holds no more than `media_limit_bytes`, and control frames
    /// while it holds no more than `limit_bytes`.
    pub const fn new(media_limit_bytes: usize, limit_bytes: usize) -> Self {
        Self {
            bytes: Vec::new(),
            written: 0,
            entries: VecDeque::new(),
            media_limit_bytes,
            limit_bytes,
        }
    }

    /// Other limits from now on; what waits already stays.
    pub const fn set_limits(&mut self, media_limit_bytes: usize, limit_bytes: usize) {
        (self.media_limit_bytes, self.limit_bytes) = (media_limit_bytes, limit_bytes);
    }

    /// True if nothing waits: new frames may go to the socket directly.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Bytes that wait.
    pub fn len(&self) -> usize {
        self.bytes.len() - self.written
    }

    /// What to write next: everything that waits, in order.
    pub fn pending(&self) -> &[u8] {
        self.bytes.get(self.written..).unwrap_or(&[])
    }

    /// The socket took `count` bytes of [`pending`](Self::pending).
    pub fn advance(&mut self, count: usize) {
        let mut count = count.min(self.len());
        self.written += count;
        while count > 0 {
            let Some(entry) = self.entries.front_mut() else { break };
            if count < entry.len {
                entry.len -= count;
                entry.begun = true;
                return;
            }
            count -= entry.len;
            self.entries.pop_front();
        }
        if self.entries.is_empty() {
            self.bytes.clear();
            self.written = 0;
            if self.bytes.capacity() > KEEP_BYTES {
                self.bytes = Vec::new();
                self.entries = VecDeque::new();
            }
        }
    }

    /// Keeps the rest of `frame` after the socket took `written` of its bytes directly. A frame
    /// that has begun is kept whatever the limit, for half a frame would end the connection.
    ///
    /// # Errors
    ///
    /// [`QueueFull`] if nothing of it was written and there is no room: nothing was kept.
    pub fn keep(&mut self, class: Class, frame: &[u8], written: usize) -> Result<(), QueueFull> {
        let rest = frame.get(written..).unwrap_or(&[]);
        if written == 0 {
            return self.push(class, frame);
        }
        if !rest.is_empty() {
            self.append(class, rest, true);
        }
        Ok(())
    }

    /// Queues one whole frame.
    ///
    /// # Errors
    ///
    /// [`QueueFull`] if the frame's class has no room for it: nothing was kept.
    pub fn push(&mut self, class: Class, frame: &[u8]) -> Result<(), QueueFull> {
        let limit_bytes = match class {
            Class::Media => self.media_limit_bytes,
            Class::Control => self.limit_bytes,
        };
        if self.len() + frame.len() > limit_bytes {
            return Err(QueueFull { limit_bytes });
        }
        if !frame.is_empty() {
            self.append(class, frame, false);
        }
        Ok(())
    }

    /// Drops the oldest audio frames that have not begun, until `room_bytes` more of audio fit or
    /// no such frame is left. Tells how many were dropped.
    pub fn skip_media(&mut self, room_bytes: usize) -> usize {
        let surplus = (self.len() + room_bytes).saturating_sub(self.media_limit_bytes);
        if surplus == 0 {
            return 0;
        }
        let (mut skipped, mut freed) = (0, 0);
        // One pass moves what stays to the front of the waiting bytes.
        let (mut from, mut to) = (self.written, self.written);
        let bytes = &mut self.bytes;
        self.entries.retain(|entry| {
            let start = from;
            from += entry.len;
            if freed < surplus && entry.class == Class::Media && !entry.begun {
                freed += entry.len;
                skipped += 1;
                return false;
            }
            if start != to {
                bytes.copy_within(start..from, to);
            }
            to += entry.len;
            true
        });
        bytes.truncate(to);
        // An empty queue starts over and gives its memory back.
        self.advance(0);
        skipped
    }

    fn append(&mut self, class: Class, bytes: &[u8], begun: bool) {
        // Written bytes are only cut off when that is cheap: when at least as many follow.
        if self.written > 0 && self.written >= self.len() {
            self.bytes.drain(..self.written);
            self.written = 0;
        }
        self.bytes.extend_from_slice(bytes);
        self.entries.push_back(Entry { len: bytes.len(), class, begun });
    }
}

#[cfg(test)]
mod tests;
