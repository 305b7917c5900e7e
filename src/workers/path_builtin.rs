//! The half of a media path with an agent of this process, and with the message that one takes.

use super::builtin::Builtin;
use super::command::{AgentLink, EventKind};
use super::context::Context;
use super::mailbox::Mailbox;
use super::path::{Agent, MediaPath};

impl MediaPath {
    /// The mailbox that stays though another agent comes, which says the same in another format.
    pub(super) fn mailbox_that_stays(&mut self, link: &AgentLink) -> Option<Box<Mailbox>> {
        match link {
            AgentLink::Builtin(builtin) if builtin.goes_on() => self.taps.mailbox.take(),
            _ => None,
        }
    }

    /// Puts an agent of this process in the place of `before`, with its own mailbox, if it has one,
    /// or that which stays.
    pub(super) fn attach_builtin(
        &mut self,
        mut builtin: Builtin,
        before: Option<&Builtin>,
        mailbox: Option<Box<Mailbox>>,
    ) -> Agent {
        let audio = self.peer.stream().audio;
        if let Some(before) = before {
            builtin.go_on_from(before);
        }
        if let Some(tape) = builtin.take_tape() {
            self.taps.add(Box::new(tape), audio);
        }
        self.taps.take_message(builtin.take_mailbox().or(mailbox), audio);
        Agent::Builtin(builtin)
    }

    /// Opens the mailbox, if there is one, once the greeting was heard, and ends the call once the
    /// message is complete.
    pub(super) fn look_at_mailbox(&mut self, ctx: &mut Context) {
        if self.taps.mailbox.is_none() {
            return;
        }
        self.made_out(ctx);
        let heard = self.peer.line_ref().is_none_or(|line| line.is_heard(ctx.now));
        let greeted = matches!(&self.agent, Agent::Builtin(builtin) if builtin.is_over());
        let Some(mailbox) = &mut self.taps.mailbox else { return };
        if greeted && heard {
            mailbox.open(ctx.now);
        }
        if mailbox.is_over(ctx.now) {
            ctx.tell_once(self.key, EventKind::Played, &mut self.told_over);
        }
    }

    /// A key was pressed that is told otherwise than in the audio.
    pub(super) fn key_to_mailbox(&mut self, key: char) {
        if let Some(mailbox) = &mut self.taps.mailbox {
            mailbox.key(key);
        }
    }

    /// Takes no more of a message, and tells what there is of it.
    pub(super) fn close_mailbox(&mut self, ctx: &mut Context) {
        let Some(mailbox) = self.taps.mailbox.take() else { return };
        let taken = mailbox.close(ctx.now);
        self.recording_lost += taken.lost;
        ctx.tell(self.key, EventKind::Message(taken));
    }
}
