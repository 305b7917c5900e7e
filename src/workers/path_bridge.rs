//! The half of a media path that talks with another RTP leg.

use adapters::agent::CallState;

use super::bridge::{self, BridgeLeg, Passing};
use super::command::{EventKind, LegFormat, LegLink};
use super::context::{Context, HEADROOM_BYTES};
use super::path::{Agent, MediaPath};
use super::path_rtcp::{give_report, say_goodbye, take_report};
use super::peer::{PeerLeg, Received};
use super::report::drop_reason;
use super::token::{Part, Token};
use crate::agent::session::Loss;
use crate::telemetry::Kind;
use media::leg::Heard;

impl MediaPath {
    /// Puts another RTP leg at the agent's end.
    pub(super) fn attach_leg(
        &mut self,
        ctx: &mut Context,
        link: LegLink,
    ) -> std::io::Result<Box<BridgeLeg>> {
        ctx.poller.add(&link.sockets.rtp, Token::part(self.token, Part::Agent))?;
        ctx.poller.add(&link.sockets.rtcp, Token::part(self.token, Part::AgentRtcp))?;
        let peer = PeerLeg::new(ctx.now, link.sockets, link.format, ctx.stream_start());
        Ok(Box::new(BridgeLeg::new(peer, self.peer.stream().audio)))
    }

    /// Takes what offer and answer settled with the other leg.
    pub(super) fn settle_leg(&mut self, ctx: &mut Context, format: LegFormat) {
        let caller = self.peer.stream().audio;
        if let Agent::Leg(leg) = &mut self.agent {
            leg.settle(ctx.now, format, caller);
        }
    }

    /// Passes what lies in the packet buffer on to the other leg.
    #[inline]
    pub(super) fn pass_to_leg(&mut self, ctx: &mut Context, passing: Passing) {
        if let Agent::Leg(leg) = &mut self.agent {
            leg.to_leg.pass(ctx, &mut leg.peer, None, passing);
        }
    }

    /// One datagram of the other leg.
    #[inline]
    pub(super) fn on_leg_rtp(&mut self, ctx: &mut Context) {
        let Agent::Leg(bridge) = &mut self.agent else { return };
        let Some(buffer) = ctx.packet.get_mut(HEADROOM_BYTES..) else { return };
        let length = match bridge.peer.receive(ctx.now, buffer) {
            Received::Rtp(length) => length,
            other => return take_report(&mut bridge.peer, ctx, other, HEADROOM_BYTES),
        };
        ctx.metrics.received(Kind::Rtp, length);
        let Some(leg) = bridge.peer.leg() else { return };
        let datagram = buffer.get(..length).unwrap_or_default();
        let heard = leg.receive(ctx.now, datagram);
        match heard {
            Heard::Event(_) => while leg.poll_digit(ctx.now).is_some() {},
            Heard::Nothing(_, reason) | Heard::Ignored(reason) => {
                ctx.metrics.dropped(drop_reason(reason));
            }
            Heard::Audio(_) | Heard::Comfort(_) => {}
        }
        let silenced = self.hushed || self.muted || self.held.is_some();
        if self.state == CallState::Ringing || silenced {
            return;
        }
        if let Some(passing) = bridge::passing(heard, datagram) {
            bridge.from_leg.pass(ctx, &mut self.peer, Some(&mut self.taps), passing);
        }
    }

    /// A report of the other leg's peer.
    pub(super) fn on_leg_rtcp(&mut self, ctx: &mut Context) {
        let Agent::Leg(bridge) = &mut self.agent else { return };
        let received = bridge.peer.receive_report(ctx.now, &mut ctx.packet);
        take_report(&mut bridge.peer, ctx, received, 0);
    }

    /// Does what is due on the other leg.
    pub(super) fn leg_timeout(&mut self, ctx: &mut Context) {
        let Agent::Leg(bridge) = &mut self.agent else { return };
        let Some(leg) = bridge.peer.leg() else { return };
        // Its digits have passed; what is told here is that they ended.
        while leg.poll_digit(ctx.now).is_some() {}
        bridge.peer.handle_timeout(ctx.now);
        give_report(&mut bridge.peer, ctx, true);
    }

    /// Tells once if the other leg should send and has been silent for too long.
    pub(super) fn care_for_leg(&mut self, ctx: &mut Context) {
        let Agent::Leg(bridge) = &self.agent else { return };
        let Some(timeout) = ctx.media_timeout else { return };
        let expects = bridge.peer.format().is_some_and(|format| format.receive);
        if expects && self.state == CallState::Answered {
            let silent_at = bridge.peer.heard_at() + timeout;
            if silent_at <= ctx.now {
                let lost = EventKind::AgentLost(Loss::Silent);
                ctx.tell_once(self.key, lost, &mut self.told_leg_silent);
            }
        }
    }

    /// Lets the other leg go.
    pub(super) fn detach_leg(&mut self, ctx: &mut Context, bridge: &mut BridgeLeg) {
        say_goodbye(&mut bridge.peer, ctx);
        ctx.poller.remove(bridge.peer.rtp());
        ctx.poller.remove(bridge.peer.rtcp());
        self.agent_leg = Some(bridge.snapshot());
        self.agent_foreign += bridge.peer.foreign();
    }
}
