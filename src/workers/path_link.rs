//! An agent's stream on a link, as its call sees it.

use adapters::agent::MessageKind;

use super::agent_wire::Wire;
use super::context::Context;
use super::mux::{Head, LinkId, StreamEnd, down};
use super::path::{Agent, MediaPath};
use super::take_message::take_message;

impl MediaPath {
    /// The stream of its agent, if it is on this link.
    fn stream_on(&mut self, link: LinkId) -> Option<&mut StreamEnd> {
        let Agent::Socket(socket) = &mut self.agent else { return None };
        match &mut socket.wire {
            Wire::Link(stream) if stream.link == link => Some(stream),
            Wire::Link(_) | Wire::Own(_) => None,
        }
    }

    /// Something came on a link for this call.
    #[inline]
    pub(super) fn on_link(
        &mut self,
        ctx: &mut Context,
        link: LinkId,
        head: Head,
        bytes: &mut [u8],
    ) {
        let stream = self.stream_on(link).filter(|it| it.stream == head.stream && !it.closed);
        let Some(stream) = stream else { return };
        let kind = match head.kind {
            down::FRAME => MessageKind::Binary,
            down::TEXT => MessageKind::Text,
            _ => {
                stream.closed_by_agent();
                let code = bytes.first_chunk().map(|code| u16::from_ne_bytes(*code));
                return self.stream_over(ctx, code);
            }
        };
        if kind == MessageKind::Binary {
            self.timeline.agent_comes(&mut ctx.stamps, || self.playout.waits());
        }
        let Agent::Socket(socket) = &mut self.agent else { return };
        let parts = (&mut *socket.dialect, &mut socket.session, &mut socket.from_agent);
        if take_message(ctx, &mut self.playout, parts, (kind, bytes)) {
            self.audio_came(ctx);
        } else {
            self.actions(ctx);
        }
        self.line_at_once(ctx);
        self.actions(ctx);
    }

    /// A link is over, closed by its agent with `code` or lost. True if that is of this call.
    pub(super) fn link_over(&mut self, ctx: &mut Context, link: LinkId, code: Option<u16>) -> bool {
        match self.stream_on(link).filter(|stream| !stream.closed) {
            Some(stream) => stream.closed_by_agent(),
            None => return false,
        }
        self.stream_over(ctx, code);
        true
    }

    fn stream_over(&mut self, ctx: &mut Context, code: Option<u16>) {
        if let Agent::Socket(socket) = &mut self.agent {
            socket.session.socket_closed(ctx.now, code);
        }
        self.drain(ctx);
        self.actions(ctx);
    }
}
