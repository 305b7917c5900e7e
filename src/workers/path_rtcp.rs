//! The reports of a media path's peer and ours to it (RFC 3550 6).

use adapters::agent::CallState;

use super::context::Context;
use super::path::MediaPath;
use crate::telemetry::{DropReason, Kind};

impl MediaPath {
    /// A report of the peer.
    pub(super) fn on_rtcp(&mut self, ctx: &mut Context) {
        let Some(length) = self.peer.receive_report(&mut ctx.packet) else { return };
        let Some(leg) = self.peer.leg() else { return };
        let datagram = ctx.packet.get(..length).unwrap_or_default();
        if leg.handle_report(ctx.now, datagram) {
            ctx.metrics.received(Kind::Rtcp, length);
        } else {
            ctx.metrics.dropped(DropReason::Malformed);
        }
    }

    /// Our report to the peer, if one is due.
    pub(super) fn send_report(&mut self, ctx: &mut Context) {
        let Some(leg) = self.peer.leg() else { return };
        if leg.report_deadline().is_none_or(|at| at > ctx.now) {
            return;
        }
        if let Some(length) = leg.poll_report(ctx.now, super::clock::ntp(), &mut ctx.packet) {
            let packet = ctx.packet.get(..length).unwrap_or_default();
            if self.state == CallState::Answered {
                self.peer.send_report(packet);
                ctx.metrics.sent(Kind::Rtcp, length);
            }
        }
    }
}
