//! Digits to a peer: which way they take, and those that are sent by SIP INFO one after the other,
//! without I/O.

use std::collections::VecDeque;
use std::time::Duration;

use media::dtmf::DIGITS_MAX;
use media::time::MonoTime;

/// What a trunk says of digits that are sent to it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DtmfMode {
    /// As telephone events (RFC 4733) if they were settled, else by SIP INFO if the peer allows it,
    /// else as tones.
    #[default]
    Auto,
    /// As telephone events alone.
    Events,
    /// By SIP INFO (`application/dtmf-relay`).
    Info,
    /// As tones in the audio (ITU-T Q.23).
    Tones,
}

/// How digits get to a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DigitsBy {
    /// As telephone events.
    Events,
    /// By signalling: whoever is asked for digits passes them on to the call control.
    Info,
    /// As tones.
    Tones,
    /// Not at all: events are what the trunk wants, and they were not settled.
    Nothing,
}

impl DigitsBy {
    /// Without signalling: events if they were settled, else tones.
    pub const fn media(events: bool) -> Self {
        if events { Self::Events } else { Self::Tones }
    }

    /// What `mode` comes to with a peer that takes `events`, and `info` if it allows that.
    pub const fn choose(mode: DtmfMode, events: bool, info: bool) -> Self {
        match mode {
            DtmfMode::Events if events => Self::Events,
            DtmfMode::Events => Self::Nothing,
            DtmfMode::Info => Self::Info,
            DtmfMode::Tones => Self::Tones,
            DtmfMode::Auto if info && !events => Self::Info,
            DtmfMode::Auto => Self::media(events),
        }
    }
}

/// A digit to be sent.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Key {
    /// `0-9`, `A-D`, `*`, `#`.
    pub digit: char,
    /// Its length in milliseconds.
    pub duration_ms: u32,
    /// Pause behind it in milliseconds.
    pub gap_ms: u32,
}

impl std::fmt::Debug for Key {
    /// Digits are often secret, so that a log shows none.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Key(_)")
    }
}

impl Key {
    /// The body of its INFO.
    pub fn body(self) -> String {
        format!("Signal={}\r\nDuration={}\r\n", self.digit, self.duration_ms)
    }
}

/// Digits of one call that go out by INFO. The next is sent when the one before has been answered,
/// for a request that is overtaken would be refused (RFC 3261 12.2.2), and its time and gap are
/// over.
#[derive(Debug)]
pub struct InfoDigits {
    waiting: VecDeque<Key>,
    /// The one that is not answered yet.
    sent: Option<Key>,
    next_at: MonoTime,
    refused: bool,
}

impl Default for InfoDigits {
    fn default() -> Self {
        Self { waiting: VecDeque::new(), sent: None, next_at: MonoTime::ZERO, refused: false }
    }
}

impl InfoDigits {
    /// Adds digits behind those that wait; all of them, or none if that were too many.
    pub fn queue(&mut self, digits: &str, duration_ms: u32, gap_ms: u32) -> bool {
        if self.waiting.len() + digits.chars().count() > DIGITS_MAX {
            return false;
        }
        self.waiting.extend(digits.chars().map(|digit| Key { digit, duration_ms, gap_ms }));
        true
    }

    /// When [`InfoDigits::next`] has one.
    pub fn deadline(&self) -> MonoTime {
        if self.sent.is_some() || self.waiting.is_empty() { MonoTime::MAX } else { self.next_at }
    }

    /// The digit to send now.
    pub fn next(&mut self, now: MonoTime) -> Option<Key> {
        if self.deadline() > now {
            return None;
        }
        let key = self.waiting.pop_front()?;
        let ms = u64::from(key.duration_ms) + u64::from(key.gap_ms);
        self.next_at = now + Duration::from_millis(ms);
        self.sent = Some(key);
        Some(key)
    }

    /// The last one was answered.
    pub const fn answered(&mut self) {
        self.sent = None;
    }

    /// Whether the peer has refused one: it takes none by INFO, whatever it says.
    pub const fn is_refused(&self) -> bool {
        self.refused
    }

    /// The last one was refused, or cannot be sent: takes it and those behind it.
    pub fn refuse(&mut self) -> Vec<Key> {
        self.refused = true;
        self.sent.take().into_iter().chain(self.waiting.drain(..)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> MonoTime {
        MonoTime::ZERO + Duration::from_millis(ms)
    }

    /// What each mode comes to with every kind of peer.
    #[test]
    fn ways() {
        use DigitsBy::{Events, Info, Nothing, Tones};
        for (mode, expected) in [
            (DtmfMode::Auto, [Events, Events, Info, Tones]),
            (DtmfMode::Events, [Events, Events, Nothing, Nothing]),
            (DtmfMode::Info, [Info; 4]),
            (DtmfMode::Tones, [Tones; 4]),
        ] {
            let peers = [(true, true), (true, false), (false, true), (false, false)];
            let found = peers.map(|(events, info)| DigitsBy::choose(mode, events, info));
            assert_eq!(found, expected, "{mode:?}");
        }
    }

    /// A digit waits for the answer to the one before, and for its time; nothing is due meanwhile.
    #[test]
    fn one_after_the_other() {
        let mut digits = InfoDigits::default();
        assert_eq!((digits.deadline(), digits.next(at(5))), (MonoTime::MAX, None));
        assert!(digits.queue("1#", 100, 60));
        let first = digits.next(at(10)).unwrap();
        assert_eq!(first.body(), "Signal=1\r\nDuration=100\r\n");
        assert_eq!((digits.deadline(), digits.next(at(900))), (MonoTime::MAX, None));
        digits.answered();
        assert_eq!(digits.deadline(), at(170));
        assert_eq!(digits.next(at(169)), None);
        assert_eq!(digits.next(at(170)).unwrap().digit, '#');
        digits.answered();
        assert_eq!(digits.deadline(), MonoTime::MAX);
        // The gap behind the last one holds for whatever comes later.
        assert!(digits.queue("2", 40, 40));
        assert_eq!(digits.deadline(), at(330));
    }

    /// What was refused and what waits is given back, in order, and there is a limit.
    #[test]
    fn what_is_left_and_limits() {
        let mut digits = InfoDigits::default();
        assert!(digits.queue(&"3".repeat(DIGITS_MAX), 40, 40));
        assert!(!digits.queue("4", 40, 40));
        digits.next(at(0)).unwrap();
        assert!(digits.queue("4", 40, 40));
        assert!(!digits.is_refused());
        let left = digits.refuse();
        assert!(digits.is_refused());
        assert_eq!((left.len(), left[DIGITS_MAX].digit), (DIGITS_MAX + 1, '4'));
        assert_eq!(digits.deadline(), MonoTime::MAX);
        assert!(!format!("{left:?}").contains('4'));
    }
}
