//! A worker's round with links: what came is given to calls, what calls said is sent.

use media::time::MonoTime;

use super::LINKS_MAX;
use super::link::Link;
use super::mail::LinkId;
use super::order::{LinkEnds, Order};
use crate::workers::poller::Ready;
use crate::workers::token::{Part, Token};
use crate::workers::worker::{Worker, schedule};

impl Worker {
    /// Carries out what the control plane wants of links.
    pub(in crate::workers) fn link_order(&mut self, order: Order) {
        match order {
            Order::Open(ends) => self.open_link(*ends),
            Order::Join(port) => {
                // The link that had its place is over, which calls may not have been told.
                self.take_from(usize::from(port.id.slot));
                self.ctx.ports.add(port);
            }
            Order::Close(id, code) => {
                let link = self.links.iter_mut().find(|link| link.id == id);
                if let Some(link) = link.filter(|link| !link.is_over()) {
                    link.close(&mut self.ctx, code);
                }
            }
        }
    }

    fn open_link(&mut self, ends: LinkEnds) {
        let id = ends.id;
        match Link::new(&self.ctx, ends) {
            Ok(mut link) => {
                link.begin(&mut self.ctx);
                self.links.push(link);
            }
            Err(error) => {
                tracing::warn!(%error, "a link's socket cannot be watched");
                let over = crate::workers::command::EventKind::LinkOver(id);
                self.ctx.tell(crate::workers::command::CallKey::NONE, over);
            }
        }
    }

    /// A link's socket has something to do.
    pub(in crate::workers) fn link_ready(&mut self, ready: Ready) {
        let of = |link: &Link| {
            let token = Token::call(usize::from(link.id.slot), link.id.generation);
            Token::part(token, Part::Link) == ready.token
        };
        if let Some(link) = self.links.iter_mut().find(|link| of(link)) {
            link.on_ready(&mut self.ctx, ready);
        }
    }

    /// Gives calls what came for them, and sends what they said. When to come again.
    pub(in crate::workers) fn links_round(&mut self) -> MonoTime {
        let mut down = self.ctx.ports.mail().take_down();
        while down != 0 {
            self.take_from(down.trailing_zeros() as usize);
            down &= down - 1;
        }
        self.ctx.ports.announce();
        let up = self.ctx.ports.mail().up();
        if self.links.is_empty() {
            if up != 0 {
                self.ctx.ports.mail().take_up(up);
            }
            return MonoTime::MAX;
        }
        self.send_links(up)
    }

    fn send_links(&mut self, up: u64) -> MonoTime {
        let ctx = &mut self.ctx;
        let (mut due, mut stale, mut over) = (MonoTime::MAX, up, false);
        for link in &mut self.links {
            stale &= !link.id.bit();
            if up & link.id.bit() != 0 {
                if link.send_at() <= ctx.now {
                    ctx.ports.mail().take_up(link.id.bit());
                    link.gather(ctx);
                } else {
                    due = due.min(link.send_at());
                }
            }
            if link.deadline() <= ctx.now {
                link.handle_timeout(ctx);
            }
            link.look(ctx);
            over |= link.is_over();
            due = due.min(link.deadline());
        }
        if stale != 0 {
            ctx.ports.mail().take_up(stale);
        }
        if over {
            self.release_links();
            // Calls of this worker are told in the next round.
            due = self.ctx.now;
        }
        due
    }

    fn release_links(&mut self) {
        while let Some(index) = self.links.iter().position(Link::is_over) {
            self.links.swap_remove(index).release(&mut self.ctx);
        }
    }

    /// Gives calls what came for them from the link in this place.
    fn take_from(&mut self, slot: usize) {
        debug_assert!(slot < LINKS_MAX);
        let Some((link, mut reader)) = self.ctx.ports.take_reader(slot) else { return };
        let mut record = std::mem::take(&mut self.record);
        while let Some(head) = reader.pop(&mut record) {
            let (token, index, _) = Token::split(head.word);
            let path = self.calls.get_mut(index).filter(|path| path.token == token);
            let Some(path) = path else { continue };
            path.on_link(&mut self.ctx, link, head, &mut record);
            schedule(&mut self.deadlines, path, index);
        }
        self.record = record;
        self.ctx.ports.put_back(link, reader);
        if let Some(code) = self.ctx.ports.remove_over(link) {
            self.lose_link(link, code);
        }
    }

    /// Tells the calls that a link is over.
    fn lose_link(&mut self, link: LinkId, code: Option<u16>) {
        for (index, path) in &mut self.calls {
            if path.link_over(&mut self.ctx, link, code) {
                schedule(&mut self.deadlines, path, index);
            }
        }
    }
}
