//! Lines whose calls are over, until their carriers have closed: where the far end is the one that
//! closes the connection, it still has a word to say, and to be answered.

use std::collections::VecDeque;
use std::io;
use std::time::Duration;

use adapters::agent::MessageKind;
use adapters::stream::{FrameSlot, Stream};
use media::time::MonoTime;

use super::Link;
use super::socket::next_message;
use crate::bridge::framing::{CLOSE_NORMAL, Class, ControlFrame, Input, MAX_HEADER_BYTES, Message};
use crate::telemetry::Kind;
use crate::workers::context::Context;
use crate::workers::poller::Ready;
use crate::workers::token::{Part, Token};

/// How long a carrier may take to close; then we do.
const PARTING_WAIT: Duration = Duration::from_secs(5);
/// Lines that part at once; beyond it the oldest are closed by us.
const PARTING_MAX: usize = 1_024;

/// Lines that part from their carriers.
#[derive(Default)]
pub(in crate::workers) struct Parting {
    links: VecDeque<Parted>,
    next: u32,
}

struct Parted {
    token: u64,
    link: Box<Link>,
    until: MonoTime,
}

impl Parting {
    /// When the first of them has been waited for long enough.
    pub(in crate::workers) fn deadline(&self) -> MonoTime {
        self.links.front().map_or(MonoTime::MAX, |parted| parted.until)
    }
}

impl Link {
    /// Sends what `write` makes of the dialect, if it makes anything.
    pub(in crate::workers) fn tell(
        &mut self,
        ctx: &mut Context,
        write: impl FnOnce(&mut dyn Stream, &mut Vec<u8>) -> Option<MessageKind>,
    ) -> bool {
        ctx.message.clear();
        ctx.message.resize(MAX_HEADER_BYTES, 0);
        let Some(kind) = write(&mut *self.dialect, &mut ctx.message) else { return false };
        let sealed = self.seal(&mut ctx.message, &mut ctx.masks, kind);
        ctx.metrics.sent(Kind::LineControl, sealed.len());
        self.connection.write(Class::Control, sealed);
        self.connection.watch(&ctx.poller);
        true
    }

    /// Closes the connection, with `code` if anybody still listens.
    pub(super) fn finish(mut self, ctx: &mut Context, code: Option<u16>) {
        if let Some(code) = code
            && !self.is_bare()
        {
            self.connection.send_close(&mut ctx.masks, code, "");
        }
        ctx.poller.remove(self.connection.io.stream());
        let stream = self.connection.io.finish();
        ctx.lingering.add(ctx.now, &ctx.poller, stream);
    }
}

impl Context {
    /// Waits until the carrier has closed a line whose call is over.
    pub(super) fn part(&mut self, mut link: Box<Link>) {
        if self.parting.links.len() >= PARTING_MAX
            && let Some(oldest) = self.parting.links.pop_front()
        {
            oldest.link.finish(self, Some(CLOSE_NORMAL));
        }
        let token = Token::part(Token::call(0, self.parting.next), Part::Parting);
        self.parting.next = self.parting.next.wrapping_add(1);
        if link.connection.watch_as(&self.poller, token).is_err() {
            return link.finish(self, Some(CLOSE_NORMAL));
        }
        let until = self.now + PARTING_WAIT;
        self.parting.links.push_back(Parted { token, link, until });
    }

    /// A line that parts has something to say, or takes something.
    pub(in crate::workers) fn on_parting(&mut self, ready: Ready) {
        let links = &self.parting.links;
        let Some(index) = links.iter().position(|parted| parted.token == ready.token) else {
            return;
        };
        let Some(mut parted) = self.parting.links.remove(index) else { return };
        if ready.writable {
            parted.link.connection.flush();
            parted.link.connection.watch(&self.poller);
        }
        let code = if ready.readable { self.last_words(&mut parted.link) } else { None };
        match code {
            Some(code) => parted.link.finish(self, code),
            None if parted.link.connection.closed => parted.link.finish(self, None),
            None => self.parting.links.insert(index, parted),
        }
    }

    /// Closes what has been waited for long enough.
    pub(in crate::workers) fn expire_parting(&mut self) {
        while self.parting.deadline() <= self.now
            && let Some(parted) = self.parting.links.pop_front()
        {
            parted.link.finish(self, Some(CLOSE_NORMAL));
        }
    }

    /// Answers what the carrier says; once it is done, the code to close with, if any.
    fn last_words(&mut self, link: &mut Link) -> Option<Option<u16>> {
        loop {
            let mut input = std::mem::take(&mut self.input);
            let done = match link.connection.io.read(&mut input) {
                Ok(0) => Some(None),
                Ok(length) => self.heed(link, input.get_mut(..length).unwrap_or_default()),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.input = input;
                    return None;
                }
                Err(_) => Some(None),
            };
            self.input = input;
            if done.is_some() || !link.connection.io.is_tls() {
                return done;
            }
        }
    }

    /// Answers each message in `bytes`.
    fn heed(&mut self, link: &mut Link, bytes: &mut [u8]) -> Option<Option<u16>> {
        let mut input = Input::new(bytes);
        loop {
            let message = next_message(&mut link.cutter, &mut link.connection.reader, &mut input);
            match message {
                Ok(None) => return None,
                Ok(Some(Message::Data(kind, message))) => {
                    let mut room = std::mem::take(&mut self.slot);
                    // Whether it means anything or not.
                    let heard = link.dialect.decode(
                        self.now,
                        kind,
                        message,
                        &mut FrameSlot::new(&mut room),
                    );
                    drop(heard);
                    self.slot = room;
                    link.tell(self, |dialect, message| dialect.reply(message));
                }
                Ok(Some(Message::Ping(payload))) => {
                    let mask = link.connection.masked.then(|| self.masks.next_key());
                    let pong = ControlFrame::pong(payload, mask);
                    link.connection.write(Class::Control, pong.as_bytes());
                    link.connection.watch(&self.poller);
                }
                Ok(Some(Message::Pong(_))) => {}
                Ok(Some(Message::Close { code, .. })) => {
                    return Some(Some(code.unwrap_or(CLOSE_NORMAL)));
                }
                Err(_) => return Some(Some(CLOSE_NORMAL)),
            }
        }
    }
}
