//! How long a connection may hold its place without saying anything whole.

use std::time::Duration;

use tokio::time::Instant;

/// How long a connection may say nothing at all.
pub(super) const IDLE_TIMEOUT: Duration = Duration::from_secs(600);
/// How long a peer that has connected may take until its first message is whole. Strangers who say
/// nothing would hold all places otherwise.
const FIRST_TIMEOUT: Duration = Duration::from_secs(60);
/// How long a message may take from its first byte to its last.
const MESSAGE_TIMEOUT: Duration = Duration::from_secs(30);

/// By when a peer must have said something whole.
#[derive(Clone, Copy, Debug)]
pub(super) struct Hurry {
    idle_by: Instant,
    first_by: Option<Instant>,
    message_by: Option<Instant>,
}

impl Hurry {
    /// Of a connection that begins now; `strange` if its peer has opened it.
    pub(super) fn new(now: Instant, strange: bool) -> Self {
        let first_by = strange.then(|| now + FIRST_TIMEOUT);
        Self { idle_by: now + IDLE_TIMEOUT, first_by, message_by: None }
    }

    /// Something came: `whole` messages, or `part` of one that goes on.
    pub(super) fn heard(&mut self, now: Instant, whole: bool, part: bool) {
        self.idle_by = now + IDLE_TIMEOUT;
        if whole {
            (self.first_by, self.message_by) = (None, None);
        }
        let begun = self.message_by.unwrap_or(now + MESSAGE_TIMEOUT);
        self.message_by = part.then_some(begun);
    }

    /// When the connection is given up.
    pub(super) fn deadline(&self) -> Instant {
        [self.first_by, self.message_by].into_iter().flatten().fold(self.idle_by, Instant::min)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Who says nothing whole goes soon, however often a byte of his comes; who has, may be silent
    /// for long, and each message has its own time.
    #[test]
    fn bytes_do_not_hold_a_place() {
        let began = Instant::now();
        let at = |s: u64| began + Duration::from_secs(s);
        let mut stranger = Hurry::new(began, true);
        assert_eq!(stranger.deadline(), at(60));
        stranger.heard(at(20), false, true);
        stranger.heard(at(40), false, true);
        assert_eq!(stranger.deadline(), at(50), "a message that has begun");
        let mut peer = Hurry::new(began, true);
        peer.heard(at(10), true, false);
        assert_eq!(peer.deadline(), at(610));
        peer.heard(at(500), false, true);
        peer.heard(at(520), true, true);
        assert_eq!(peer.deadline(), at(550), "the next, not the one before");
        peer.heard(at(540), true, false);
        assert_eq!(peer.deadline(), at(1_140));
        assert_eq!(Hurry::new(began, false).deadline(), at(600), "we have opened it");
    }
}
