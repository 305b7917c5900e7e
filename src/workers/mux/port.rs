//! A worker's ends of links: what its calls say goes in, what agents say to them comes out.

use std::sync::Arc;

use super::mail::{LinkId, Mailbox, SharedOver};
use super::ring::{Head, Reader, Writer};
use super::{LINKS_MAX, TEXT_MAX_BYTES, UP_SPARE_BYTES, up};

/// A worker's end of one link.
#[derive(Debug)]
pub struct Port {
    pub(super) id: LinkId,
    pub(super) up: Writer,
    /// Absent while its records are taken out.
    pub(super) down: Option<Reader>,
    /// Of the worker that has the link.
    pub(super) mail: Arc<Mailbox>,
    /// That is this worker.
    pub(super) is_local: bool,
    pub(super) over: SharedOver,
}

/// The link takes nothing: it is over, or its worker is too far behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the link takes nothing")]
pub(in crate::workers) struct Unlinked;

/// A worker's ends of all links.
#[derive(Debug)]
pub(in crate::workers) struct Ports {
    ports: Vec<Option<Box<Port>>>,
    /// This worker's own.
    mail: Arc<Mailbox>,
    /// Links that were given something since that was announced.
    given: u64,
}

impl Ports {
    /// None yet, of the worker with this mailbox.
    pub(in crate::workers) fn new(mail: Arc<Mailbox>) -> Self {
        Self { ports: (0..LINKS_MAX).map(|_| None).collect(), mail, given: 0 }
    }

    /// This worker's mailbox.
    pub(in crate::workers) const fn mail(&self) -> &Arc<Mailbox> {
        &self.mail
    }

    /// Adds a link's end, in the place of one whose link is over.
    pub(super) fn add(&mut self, port: Box<Port>) {
        if let Some(place) = self.ports.get_mut(usize::from(port.id.slot)) {
            *place = Some(port);
        }
    }

    /// The link in this place, and what comes from it, to be put back.
    pub(super) fn take_reader(&mut self, slot: usize) -> Option<(LinkId, Reader)> {
        let port = self.ports.get_mut(slot)?.as_deref_mut()?;
        Some((port.id, port.down.take()?))
    }

    /// Puts it back.
    pub(super) fn put_back(&mut self, link: LinkId, reader: Reader) {
        if let Some(port) = self.port(link) {
            port.down = Some(reader);
        }
    }

    /// With which code the link is over, if it is; its end is gone then.
    pub(super) fn remove_over(&mut self, link: LinkId) -> Option<Option<u16>> {
        let code = self.port(link)?.over.get()?;
        if let Some(place) = self.ports.get_mut(usize::from(link.slot)) {
            *place = None;
        }
        Some(code)
    }

    fn port(&mut self, link: LinkId) -> Option<&mut Port> {
        let port = self.ports.get_mut(usize::from(link.slot))?.as_deref_mut();
        port.filter(|port| port.id == link)
    }

    fn push(
        &mut self,
        link: LinkId,
        head: Head,
        bytes: &[u8],
        spare: usize,
    ) -> Result<(), Unlinked> {
        let port = self.port(link).ok_or(Unlinked)?;
        if !port.up.push(head, bytes, spare) {
            return Err(Unlinked);
        }
        self.given |= link.bit();
        Ok(())
    }

    /// Opens a stream for the call of this token, of which so many bytes may wait.
    pub(super) fn open(
        &mut self,
        (link, stream): (LinkId, u32),
        call: u64,
        backlog_bytes: usize,
    ) -> Result<(), Unlinked> {
        if self.port(link).is_none_or(|port| port.over.get().is_some()) {
            return Err(Unlinked);
        }
        let bytes = (backlog_bytes as u64).to_ne_bytes();
        self.push(link, Head { kind: up::OPEN, stream, word: call }, &bytes, 0)
    }

    /// So many bytes of a stream may wait from now on.
    pub(super) fn backlog(&mut self, (link, stream): (LinkId, u32), backlog_bytes: usize) {
        let head = Head { kind: up::BACKLOG, stream, word: backlog_bytes as u64 };
        // Without it an older limit holds.
        let _ = self.push(link, head, &[], 0);
    }

    /// Gives a frame, unless too much waits already.
    #[inline]
    pub(super) fn frame(
        &mut self,
        (link, stream): (LinkId, u32),
        frame: &[u8],
    ) -> Result<(), Unlinked> {
        self.push(link, Head { kind: up::FRAME, stream, word: 0 }, frame, UP_SPARE_BYTES)
    }

    /// Gives a text message.
    pub(super) fn text(
        &mut self,
        (link, stream): (LinkId, u32),
        text: &[u8],
    ) -> Result<(), Unlinked> {
        if text.len() > TEXT_MAX_BYTES {
            return Err(Unlinked);
        }
        self.push(link, Head { kind: up::TEXT, stream, word: 0 }, text, 0)
    }

    /// Ends a stream.
    pub(super) fn end(&mut self, (link, stream): (LinkId, u32)) {
        // A link that takes nothing more forgets its streams.
        let _ = self.push(link, Head { kind: up::END, stream, word: 0 }, &[], 0);
    }

    /// Lets the workers know that have been given something.
    pub(super) fn announce(&mut self) {
        let mut given = std::mem::take(&mut self.given);
        while given != 0 {
            let slot = given.trailing_zeros() as usize;
            given &= given - 1;
            if let Some(Some(port)) = self.ports.get(slot) {
                port.mail.mark_up(port.id, port.is_local);
            }
        }
    }
}
