//! A peer that has yet to come, such as a web page whose socket is awaited: nobody is answered
//! until it is there.

use media::time::MonoTime;

use super::{Call, Effect};

impl Call {
    /// The peer has yet to come.
    pub const fn await_peer(&mut self) {
        self.absent = true;
    }

    /// The peer is there: it is answered if that was due already.
    pub(super) fn peer_came(&mut self, now: MonoTime, effects: &mut Vec<Effect>) {
        self.absent = false;
        if std::mem::take(&mut self.answer_due) && self.inbound_pending() {
            self.answer(now, effects);
        }
    }

    /// Answers the peer, at once or when it comes.
    pub(super) fn answer(&mut self, now: MonoTime, effects: &mut Vec<Effect>) {
        if self.absent {
            self.answer_due = true;
            return;
        }
        effects.push(Effect::Answer);
        self.up(now, effects);
    }
}
