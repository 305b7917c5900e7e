//! Agents that live in a worker: echo, tone, play, record, silence, voicemail.

use std::sync::Arc;

use super::mailbox::Mailbox;
use super::tape::TapeInput;

/// What a built-in agent says.
#[derive(Clone, Debug)]
pub enum Source {
    /// Nothing.
    Silence,
    /// Sound in the format in which it waits for the caller, over and over.
    Loop(Arc<[u8]>),
    /// The same, once.
    Once(Arc<[u8]>),
}

/// An agent without a connection.
#[derive(Debug)]
pub struct Builtin {
    source: Source,
    /// Byte of the source that comes next.
    position: usize,
    /// Sends back what it hears, packet for packet.
    echo: bool,
    /// Ends the call when its sound has been played.
    hangs_up: bool,
    /// Takes the place of one that says the same in another format.
    goes_on: bool,
    /// Where what it hears is kept.
    tape: Option<TapeInput>,
    /// Takes a message when its sound has been heard.
    mailbox: Option<Box<Mailbox>>,
}

impl Builtin {
    /// Sends back every packet at once, so that it adds no frame of delay.
    pub const fn echo() -> Self {
        Self {
            source: Source::Silence,
            position: 0,
            echo: true,
            hangs_up: false,
            goes_on: false,
            tape: None,
            mailbox: None,
        }
    }

    /// Says `source`; with `hangs_up` the call ends when that has been said once.
    pub const fn speaker(source: Source, hangs_up: bool) -> Self {
        Self {
            source,
            position: 0,
            echo: false,
            hangs_up,
            goes_on: false,
            tape: None,
            mailbox: None,
        }
    }

    /// Keeps what it hears.
    #[must_use]
    pub fn with_tape(self, tape: TapeInput) -> Self {
        Self { tape: Some(tape), ..self }
    }

    /// Takes a message when its sound has been heard.
    #[must_use]
    pub fn with_mailbox(self, mailbox: Mailbox) -> Self {
        Self { mailbox: Some(Box::new(mailbox)), ..self }
    }

    /// Will go on where the one before was, which says the same in another format.
    #[must_use]
    pub fn going_on(self) -> Self {
        Self { goes_on: true, ..self }
    }

    /// Goes on where `before` was, if it was made for that.
    pub(super) fn go_on_from(&mut self, before: &Self) {
        let length = |source: &Source| match source {
            Source::Silence => 0,
            Source::Loop(sound) | Source::Once(sound) => sound.len(),
        };
        if self.goes_on {
            let (before_bytes, bytes) = (length(&before.source).max(1), length(&self.source));
            // Even, so that a sample of two bytes is not torn apart.
            self.position = (before.position.min(before_bytes) * bytes / before_bytes) & !1;
        }
    }

    /// True if it says the same as the one before.
    pub(super) const fn goes_on(&self) -> bool {
        self.goes_on
    }

    /// True if packets are to be sent back as they come.
    pub const fn is_echo(&self) -> bool {
        self.echo
    }

    /// True if it never says anything.
    pub const fn is_silent(&self) -> bool {
        matches!(self.source, Source::Silence)
    }

    /// True if the call ends when the sound has been played.
    pub const fn hangs_up(&self) -> bool {
        self.hangs_up
    }

    /// True if nothing is left to be said.
    pub(super) fn is_over(&self) -> bool {
        matches!(&self.source, Source::Once(sound) if self.position >= sound.len())
    }

    /// Where what it hears is kept, for whoever lets it listen.
    pub(super) const fn take_tape(&mut self) -> Option<TapeInput> {
        self.tape.take()
    }

    /// What takes a message, for whoever lets it listen.
    pub(super) const fn take_mailbox(&mut self) -> Option<Box<Mailbox>> {
        self.mailbox.take()
    }

    /// Writes the next frame to `out`, padded with `silence`; false if nothing is left to be said.
    pub fn next_frame(&mut self, out: &mut [u8], silence: u8) -> bool {
        match &self.source {
            Source::Silence => {
                out.fill(silence);
                true
            }
            Source::Loop(sound) => {
                let mut filled = 0;
                while filled < out.len() {
                    let rest = sound.get(self.position..).unwrap_or_default();
                    if sound.is_empty() {
                        out.fill(silence);
                        break;
                    }
                    let length = copy(rest, out.get_mut(filled..).unwrap_or_default());
                    filled += length;
                    self.position = (self.position + length) % sound.len();
                }
                true
            }
            Source::Once(sound) => {
                let length = copy(sound.get(self.position..).unwrap_or_default(), out);
                self.position += length;
                out.get_mut(length..).unwrap_or_default().fill(silence);
                length > 0
            }
        }
    }
}

/// Copies as much of `from` as fits and returns how much that is.
fn copy(from: &[u8], to: &mut [u8]) -> usize {
    let length = from.len().min(to.len());
    if let (Some(from), Some(to)) = (from.get(..length), to.get_mut(..length)) {
        to.copy_from_slice(from);
    }
    length
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A loop whose length is no multiple of a frame has no seam.
    #[test]
    fn a_loop_has_no_seam() {
        let mut agent = Builtin::speaker(Source::Loop([1, 2, 3, 4, 5].into()), false);
        let mut heard = Vec::new();
        for _ in 0..5 {
            let mut frame = [0; 7];
            assert!(agent.next_frame(&mut frame, 9));
            heard.extend(frame);
        }
        assert!(heard.iter().zip([1, 2, 3, 4, 5].iter().cycle()).all(|(a, b)| a == b));
    }

    /// A file is padded in its last frame, then over.
    #[test]
    fn a_file_ends() {
        let mut agent = Builtin::speaker(Source::Once([1, 2, 3].into()), true);
        let mut frame = [0; 2];
        assert!(agent.next_frame(&mut frame, 9));
        assert_eq!(frame, [1, 2]);
        assert!(agent.next_frame(&mut frame, 9));
        assert_eq!(frame, [3, 9]);
        assert!(!agent.next_frame(&mut frame, 9));
        assert_eq!(frame, [9, 9]);
    }

    /// The same sound in another format goes on where it was; another sound begins.
    #[test]
    fn a_sound_goes_on() {
        let mut before = Builtin::speaker(Source::Once(vec![1; 100].into()), true);
        before.next_frame(&mut [0; 42], 9);
        let wide: Vec<u8> = (0..=199).collect();
        let mut frame = [0; 1];
        let mut after = Builtin::speaker(Source::Once(wide.clone().into()), true).going_on();
        after.go_on_from(&before);
        after.next_frame(&mut frame, 9);
        assert_eq!(frame, [84]);
        let mut other = Builtin::speaker(Source::Once(wide.into()), true);
        other.go_on_from(&before);
        other.next_frame(&mut frame, 9);
        assert_eq!(frame, [0]);
    }

    /// An empty loop is silence, not an endless one.
    #[test]
    fn an_empty_loop_is_silent() {
        let mut agent = Builtin::speaker(Source::Loop([].into()), false);
        let mut frame = [0; 2];
        assert!(agent.next_frame(&mut frame, 9));
        assert_eq!(frame, [9, 9]);
    }
}
