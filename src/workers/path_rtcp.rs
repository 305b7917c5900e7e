//! The reports of a media path's peers and ours to them (RFC 3550 6).

use adapters::agent::CallState;

use super::context::Context;
use super::path::MediaPath;
use super::peer::{PeerLeg, Received};
use crate::telemetry::{DropReason, Kind};

impl MediaPath {
    /// A report of the peer.
    pub(super) fn on_rtcp(&mut self, ctx: &mut Context) {
        let Some(peer) = self.peer.rtp() else { return };
        let received = peer.receive_report(ctx.now, &mut ctx.packet);
        take_report(peer, ctx, received, 0);
    }

    /// Our report to the peer, if one is due.
    pub(super) fn send_report(&mut self, ctx: &mut Context) {
        let answered = self.state == CallState::Answered;
        if let Some(peer) = self.peer.rtp() {
            give_report(peer, ctx, answered);
        }
    }
}

/// Says goodbye with a last report (RFC 3550 6.6).
pub(super) fn say_goodbye(peer: &mut PeerLeg, ctx: &mut Context) {
    let Some(leg) = peer.leg() else { return };
    if let Some(length) = leg.last_report(ctx.now, super::clock::ntp(), &mut ctx.packet)
        && let Ok(sent) = peer.send_report(&mut ctx.packet, length)
    {
        ctx.metrics.sent(Kind::Rtcp, sent);
    }
}

/// Takes the report that lies at `start` of the packet buffer, on whichever port it came; or
/// counts what was dropped.
#[cold]
pub(super) fn take_report(peer: &mut PeerLeg, ctx: &mut Context, received: Received, start: usize) {
    let (length, from) = match received {
        Received::Rtcp(length, from) => (length, from),
        Received::Dropped(reason) => return ctx.metrics.dropped(reason),
        Received::Rtp(_) | Received::Nothing => return,
    };
    let Some(leg) = peer.leg() else { return };
    let datagram = ctx.packet.get(start..start + length).unwrap_or_default();
    if leg.handle_report(ctx.now, datagram) {
        peer.follow_reports(from);
        ctx.metrics.received(Kind::Rtcp, length);
    } else {
        ctx.metrics.dropped(DropReason::Malformed);
    }
}

/// Writes the report that is due, if one is, and sends it if anything may be sent yet.
pub(super) fn give_report(peer: &mut PeerLeg, ctx: &mut Context, may_send: bool) {
    let Some(leg) = peer.leg() else { return };
    if leg.report_deadline().is_none_or(|at| at > ctx.now) {
        return;
    }
    if let Some(length) = leg.poll_report(ctx.now, super::clock::ntp(), &mut ctx.packet)
        && may_send
        && let Ok(sent) = peer.send_report(&mut ctx.packet, length)
    {
        ctx.metrics.sent(Kind::Rtcp, sent);
    }
}
