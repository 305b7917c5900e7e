//! Digits as telephone events (RFC 4733).
//!
//! [`Receiver`] turns event packets into digits, once each, however many packets were lost or
//! doubled. [`Sender`] turns digits into event packets on the ticks of the pacer. [`inband`] hears
//! digits that were sent as tones, [`Tones`] plays such.

pub mod inband;
mod receiver;
mod sender;
mod tones;

use std::fmt;

use thiserror::Error;

pub use receiver::{Pressed, Receiver};
pub use sender::{
    DIGIT_MS_DEFAULT, DIGIT_MS_MAX, DIGIT_MS_MIN, DIGITS_MAX, EventPacket, GAP_MS_DEFAULT,
    GAP_MS_MAX, GAP_MS_MIN, Sender, Tick,
};
pub use tones::Tones;

/// Bytes of one event in a payload.
pub const EVENT_BYTES: usize = 4;

/// One of the sixteen keys: events 0 to 15 (RFC 4733 3.2).
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Digit(u8);

impl Digit {
    /// The digit of an event code; `None` for events that are no keys.
    pub const fn from_event(event: u8) -> Option<Self> {
        if event < KEYS.len() as u8 { Some(Self(event)) } else { None }
    }

    /// The digit of `0-9`, `*`, `#`, `A-D` or `a-d`.
    pub const fn from_char(key: char) -> Option<Self> {
        let event = match key {
            '0'..='9' => key as u8 - b'0',
            '*' => 10,
            '#' => 11,
            'A'..='D' => key as u8 - b'A' + 12,
            'a'..='d' => key as u8 - b'a' + 12,
            _ => return None,
        };
        Some(Self(event))
    }

    /// Its event code.
    pub const fn event(self) -> u8 {
        self.0
    }

    /// `0-9`, `*`, `#`, `A-D`.
    pub const fn as_char(self) -> char {
        KEYS[(self.0 & 15) as usize] as char
    }
}

impl fmt::Debug for Digit {
    /// Digits are often secret (card numbers, PINs), so that a log shows none.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Digit(_)")
    }
}

/// The payload of one event (RFC 4733 2.3).
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Event {
    /// Event code.
    pub code: u8,
    /// The event is over.
    pub end: bool,
    /// Power below 0 dBm0, 0 to 63 dB.
    pub volume: u8,
    /// Time since the timestamp, in its unit.
    pub duration: u16,
}

impl Event {
    /// Reads the first event of a payload. Several events in one payload (RFC 4733 2.5.1.5) are for
    /// states of lines, not for keys; the others are left out.
    ///
    /// # Errors
    ///
    /// [`DtmfError::Truncated`] if there are less than four bytes.
    #[inline]
    pub fn parse(payload: &[u8]) -> Result<Self, DtmfError> {
        let &[code, flags, d0, d1] = payload.first_chunk().ok_or(DtmfError::Truncated)?;
        Ok(Self {
            code,
            end: flags & END != 0,
            volume: flags & VOLUME_MASK,
            duration: u16::from_be_bytes([d0, d1]),
        })
    }

    /// The payload.
    #[inline]
    pub const fn to_bytes(self) -> [u8; EVENT_BYTES] {
        let [d0, d1] = self.duration.to_be_bytes();
        let flags = (self.volume & VOLUME_MASK) | if self.end { END } else { 0 };
        [self.code, flags, d0, d1]
    }
}

impl fmt::Debug for Event {
    /// Leaves the code out, as [`Digit`] does.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { code: _, end, volume, duration } = self;
        write!(f, "Event {{ end: {end}, volume: {volume}, duration: {duration} }}")
    }
}

/// Why digits or an event were refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum DtmfError {
    /// An event payload is shorter than four bytes.
    #[error("event payload is shorter than four bytes")]
    Truncated,
    /// There are no digits.
    #[error("no digits")]
    Empty,
    /// A character is not a key.
    #[error("character {index} is not one of 0-9, A-D, * and #")]
    NotADigit {
        /// Its place, counted from zero.
        index: usize,
    },
    /// More digits than may wait.
    #[error("more than {DIGITS_MAX} digits wait")]
    TooMany,
    /// The length of a digit is out of range.
    #[error("a digit lasts {DIGIT_MS_MIN} to {DIGIT_MS_MAX} ms")]
    Duration,
    /// The pause between digits is out of range.
    #[error("the gap between digits is {GAP_MS_MIN} to {GAP_MS_MAX} ms")]
    Gap,
}

const KEYS: &[u8; 16] = b"0123456789*#ABCD";
const END: u8 = 0x80;
const VOLUME_MASK: u8 = 0x3f;

#[cfg(test)]
mod tests;
