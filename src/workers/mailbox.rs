//! A mailbox takes a message: behind a greeting and a beep, what the caller says, until it is
//! silent for a while, presses `#`, hangs up, or has said as much as a message may hold.

use std::time::Duration;

use media::codec::AudioFormat;
use media::dtmf::Pressed;
use media::rtp::Frame;
use media::time::MonoTime;
use media::vad::SpeechChange;
use uuid::Uuid;

use crate::recording::Head;

/// The key that ends a message.
const END_KEY: char = '#';

/// Takes one message.
#[derive(Debug)]
pub struct Mailbox {
    id: Uuid,
    head: Box<Head>,
    longest: Duration,
    patience: Duration,
    /// When the caller could begin to speak.
    began: Option<MonoTime>,
    /// The caller says something at this moment.
    speaks: bool,
    /// It has said something of the message.
    spoke: bool,
    /// Since when it says nothing.
    quiet_since: MonoTime,
    /// The caller says that this is all.
    ended: bool,
}

/// What came of a mailbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taken {
    /// Names the message.
    pub id: Uuid,
    /// How long it is; absent if there is none, as the caller has said nothing.
    pub length: Option<Duration>,
    /// Frames of it that a disk was too slow for.
    pub lost: u64,
}

impl Mailbox {
    /// Takes the message `id` of at most `longest`, recorded by `head`; it is over when nothing was
    /// said for `patience`.
    pub const fn new(id: Uuid, head: Box<Head>, longest: Duration, patience: Duration) -> Self {
        Self {
            id,
            head,
            longest,
            patience,
            began: None,
            speaks: false,
            spoke: false,
            quiet_since: MonoTime::ZERO,
            ended: false,
        }
    }

    /// The beep was heard: from now on the caller's words count. The same again changes nothing.
    pub(super) fn open(&mut self, now: MonoTime) {
        if self.began.is_none() {
            self.head.begin(now);
            (self.began, self.quiet_since, self.spoke) = (Some(now), now, self.speaks);
        }
    }

    /// The caller's audio is coded like this from now on.
    pub(super) fn follow(&mut self, peer: AudioFormat) {
        self.head.follow(peer);
    }

    /// A frame of the caller's.
    #[inline]
    pub(super) fn heard(&mut self, now: MonoTime, frame: Frame<'_>) {
        self.head.heard(now, frame);
    }

    /// The caller began to speak at `at`, or ended then.
    pub(super) fn speech(&mut self, at: MonoTime, started: bool) {
        self.speaks = started;
        if self.began.is_some() {
            self.spoke |= started;
            self.quiet_since = self.quiet_since.max(at);
        }
    }

    /// The caller has pressed a key.
    pub(super) fn key(&mut self, key: char) {
        self.ended |= key == END_KEY && self.began.is_some();
    }

    /// What the ear has made out: a key that was pressed, speech that began or ended so many
    /// milliseconds ago.
    pub(super) fn note(
        &mut self,
        now: MonoTime,
        key: Option<Pressed>,
        speech: Option<(SpeechChange, u64)>,
    ) {
        if let Some(pressed) = key {
            self.key(pressed.digit.as_char());
        }
        if let Some((change, ago_ms)) = speech {
            self.speech(now - Duration::from_millis(ago_ms), change.started);
        }
    }

    /// Whether the message is complete.
    pub(super) fn is_over(&self, now: MonoTime) -> bool {
        let Some(began) = self.began else { return false };
        let silent = !self.speaks && now.since(self.quiet_since) >= self.patience;
        self.ended || silent || now.since(began) >= self.longest
    }

    /// Ends it.
    pub(super) fn close(self, now: MonoTime) -> Taken {
        let began = self.began.filter(|_| self.spoke);
        let lost = match began {
            Some(_) => self.head.end(now),
            None => {
                self.head.discard(now);
                0
            }
        };
        Taken { id: self.id, length: began.map(|began| now.since(began)), lost }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recording;

    const LONGEST: Duration = Duration::from_secs(30);
    const PATIENCE: Duration = Duration::from_secs(5);

    fn mailbox() -> Mailbox {
        let (head, _) = recording::head(8_000, AudioFormat::PCMU);
        Mailbox::new(Uuid::nil(), Box::new(head), LONGEST, PATIENCE)
    }

    const fn at(ms: u64) -> MonoTime {
        MonoTime::from_nanos(ms * 1_000_000)
    }

    /// Nothing counts before the beep: neither time, nor a key, nor what was said and is over.
    #[test]
    fn nothing_counts_before_the_beep() {
        let mut mailbox = mailbox();
        mailbox.speech(at(1_000), true);
        mailbox.speech(at(2_000), false);
        mailbox.key('#');
        assert!(!mailbox.is_over(at(3_600_000)));
        mailbox.open(at(3_600_000));
        assert!(!mailbox.is_over(at(3_604_999)));
        assert!(mailbox.is_over(at(3_605_000)), "the caller says nothing");
        assert_eq!(mailbox.close(at(3_605_000)).length, None);
    }

    /// Silence ends a message, counted from the end of what was said; whoever speaks over the beep
    /// has said something.
    #[test]
    fn silence_ends_a_message() {
        let mut mailbox = mailbox();
        mailbox.speech(at(900), true);
        mailbox.open(at(1_000));
        assert!(!mailbox.is_over(at(20_000)), "the caller speaks");
        mailbox.open(at(20_000));
        mailbox.speech(at(20_000), false);
        assert!(!mailbox.is_over(at(24_999)));
        mailbox.speech(at(24_000), true);
        mailbox.speech(at(24_500), false);
        assert!(!mailbox.is_over(at(29_499)));
        assert!(mailbox.is_over(at(29_500)));
        let taken = mailbox.close(at(29_500));
        assert_eq!((taken.length, taken.lost), (Some(Duration::from_millis(28_500)), 0));
    }

    /// So do the key that says so, no other, and the longest time of a message, in mid-word.
    #[test]
    fn a_key_and_a_limit_end_a_message() {
        let mut mailbox = mailbox();
        mailbox.open(at(0));
        mailbox.speech(at(100), true);
        for key in "0123456789*ABCD".chars() {
            mailbox.key(key);
        }
        assert!(!mailbox.is_over(at(29_999)));
        assert!(mailbox.is_over(at(30_000)));
        mailbox.key('#');
        assert!(mailbox.is_over(at(200)));
    }
}
