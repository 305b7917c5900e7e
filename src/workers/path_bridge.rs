//! The half of a media path that talks with another RTP leg.

use adapters::agent::{CallState, EndedBy};

use super::bridge::{self, BridgeLeg, Passing};
use super::builtin::Builtin;
use super::command::{EventKind, LegFormat, LegLink};
use super::context::{Context, HEADROOM_BYTES};
use super::path::{Agent, MediaPath};
use super::path_rtcp::{give_report, say_goodbye, take_report};
use super::peer::{PeerLeg, Received};
use super::peer_end::PeerEnd;
use super::poller;
use super::report::drop_reason;
use super::token::{Part, Token};
use crate::calls::cause::Cause;
use crate::telemetry::Kind;
use media::leg::Heard;
use media::rtp::Arrival;
use media::stages::Stage;

/// Packets that a leg may have sent before it is heard: half a minute.
const STALE_PACKETS_MAX: usize = 1_500;

impl MediaPath {
    /// Puts another RTP leg at the agent's end.
    pub(super) fn attach_leg(
        &mut self,
        ctx: &mut Context,
        link: LegLink,
    ) -> std::io::Result<Box<BridgeLeg>> {
        let leg = self.attach_leg_as(ctx, link, (Part::Agent, Part::AgentRtcp))?;
        self.hear_leg(ctx, &leg);
        Ok(leg)
    }

    /// Lets what a leg at the agent's end says wait for the clock of a line, if the peer is on one.
    pub(super) fn hear_leg(&mut self, ctx: &mut Context, leg: &BridgeLeg) {
        let format = leg.peer.format();
        let audio = format.map_or(self.peer.stream().audio, |format| format.media.audio);
        self.flow_in(ctx, audio);
    }

    /// Watches the sockets of another RTP leg in these parts.
    pub(super) fn attach_leg_as(
        &self,
        ctx: &mut Context,
        link: LegLink,
        (rtp, rtcp): (Part, Part),
    ) -> std::io::Result<Box<BridgeLeg>> {
        // What came while nobody heard it is of the past.
        for _ in 0..STALE_PACKETS_MAX {
            if link.sockets.rtp.recv_from(&mut ctx.packet).is_err() {
                break;
            }
        }
        ctx.poller.add(&link.sockets.rtp, Token::part(self.token, rtp))?;
        ctx.poller.add(&link.sockets.rtcp, Token::part(self.token, rtcp))?;
        let peer = PeerLeg::new(ctx.now, link.sockets, link.format, ctx.stream_start());
        Ok(Box::new(BridgeLeg::new(peer, self.peer.stream().audio)))
    }

    /// Another leg is to take the place of the agent, which handed the call to it.
    pub(super) fn hand_over(&mut self, ctx: &mut Context) {
        if !matches!(self.agent, Agent::Socket(_)) {
            return;
        }
        self.muted = false;
        if !self.playout.drained() {
            self.clear(ctx);
        }
        let answered = self.answered_at.map(|at| ctx.now.since(at)).unwrap_or_default();
        if let Agent::Socket(socket) = &mut self.agent {
            socket.stop(Cause::Transferred, EndedBy::Agent, answered);
        }
        self.actions(ctx);
    }

    /// Takes what offer and answer settled with the other leg.
    pub(super) fn settle_leg(&mut self, ctx: &mut Context, format: LegFormat) {
        let caller = self.peer.stream().audio;
        if let Agent::Leg(leg) = &mut self.agent {
            let audio = format.media.audio;
            leg.settle(ctx.now, format, caller);
            self.flow_in(ctx, audio);
        }
        self.follow_conference(ctx);
        self.take_parked_of_leg(ctx);
    }

    /// What came from the other leg before its answer.
    fn take_parked_of_leg(&mut self, ctx: &mut Context) {
        loop {
            let Agent::Leg(bridge) = &mut self.agent else { return };
            let Some(buffer) = ctx.packet.get_mut(HEADROOM_BYTES..) else { return };
            if !bridge.peer.has_parked() {
                return;
            }
            let Some(received) = bridge.peer.receive_parked(ctx.now, buffer) else { return };
            self.take_of_leg(ctx, received);
        }
    }

    /// Passes what lies in the packet buffer on to the other leg, unless one of them is on hold.
    #[inline]
    pub(super) fn pass_to_leg(&mut self, ctx: &mut Context, passing: Passing) {
        let Agent::Leg(leg) = &mut self.agent else { return };
        if self.held.is_some() || leg.sound.is_some() {
            return leg.to_leg.rest(&mut leg.peer, passing.arrival);
        }
        if passing.is_event() && !leg.peer.takes_events() {
            return leg.to_leg.skip(passing.arrival);
        }
        leg.to_leg.pass(ctx, &mut leg.peer, None, passing);
    }

    /// A packet of the peer that holds nothing: the other leg does not miss it.
    pub(super) fn skip_to_leg(&mut self, arrival: Arrival) {
        if let Agent::Leg(leg) = &mut self.agent {
            leg.to_leg.skip(arrival);
        }
    }

    /// The other leg is on hold and hears `sound`, or it is back.
    pub(super) fn hold_leg(&mut self, ctx: &Context, sound: Option<Builtin>) {
        if let Agent::Leg(leg) = &mut self.agent {
            leg.hold(ctx.now, sound);
        }
    }

    /// A key was pressed at the peer by other means than events: the other leg hears of it as it
    /// can.
    pub(super) fn digit_to_leg(&mut self, ctx: &mut Context, digit: char, duration_ms: u32) {
        let Agent::Leg(leg) = &mut self.agent else { return };
        if self.state == CallState::Answered && !leg.press(ctx.now, digit, duration_ms) {
            ctx.tell(self.key, EventKind::Digit { to_agent: true, digit, duration_ms });
        }
    }

    /// A key was pressed at the other leg, and it was told by signalling.
    pub(super) fn leg_digit(&mut self, ctx: &mut Context, digit: char, duration_ms: u32) {
        if !matches!(self.agent, Agent::Leg(_)) || self.state != CallState::Answered {
            return;
        }
        if self.peer.press(digit, duration_ms) {
            self.press_keys(ctx);
            return self.restart_ticks(ctx.now);
        }
        ctx.tell(self.key, EventKind::Digit { to_agent: false, digit, duration_ms });
    }

    /// Digits of the other leg that have ended. They have passed already, as events, unless the
    /// peer gets its digits otherwise.
    fn leg_digits(&mut self, ctx: &mut Context) {
        // Among three, nothing passes.
        let takes = self.peer.takes_events() && self.conference.is_none();
        loop {
            let Agent::Leg(bridge) = &mut self.agent else { return };
            let Some(pressed) = bridge.peer.leg().and_then(|leg| leg.poll_digit(ctx.now)) else {
                return;
            };
            if !takes {
                self.leg_digit(ctx, pressed.digit.as_char(), pressed.duration_ms);
            }
        }
    }

    /// One datagram of the other leg.
    #[inline]
    pub(super) fn on_leg_rtp(&mut self, ctx: &mut Context) {
        let Agent::Leg(bridge) = &mut self.agent else { return };
        let Some(buffer) = ctx.packet.get_mut(HEADROOM_BYTES..) else { return };
        let turned = self.timeline.from_leg.next().then(poller::now);
        let received = bridge.peer.receive(ctx.now, buffer);
        if let Some(turned) = turned {
            ctx.stamp_received(bridge.peer.rtp(), turned);
        }
        self.take_of_leg(ctx, received);
        self.stamped(ctx);
    }

    /// What lies in the packet buffer.
    #[inline]
    fn take_of_leg(&mut self, ctx: &mut Context, received: Received) {
        let Agent::Leg(bridge) = &mut self.agent else { return };
        let length = match received {
            Received::Rtp(length) => length,
            other => return take_report(&mut bridge.peer, ctx, other, HEADROOM_BYTES),
        };
        ctx.metrics.received(Kind::Rtp, length);
        let Some(leg) = bridge.peer.leg() else { return };
        let datagram = ctx.packet.get(HEADROOM_BYTES..HEADROOM_BYTES + length);
        let datagram = datagram.unwrap_or_default();
        let heard = leg.receive(ctx.now, datagram);
        let mut passing = bridge::passing(heard, datagram);
        if let Heard::Nothing(arrival, _) = heard {
            bridge.from_leg.skip(arrival);
        }
        if let Some(conference) = &mut self.conference {
            conference.hear_agent(ctx.now, &mut ctx.blocks, heard, datagram);
            passing = None;
        }
        ctx.stamps.lap(Stage::Decode, poller::now);
        let digits = self.peer.says_digits();
        let plays = !self.plays.is_empty();
        let silenced = self.hushed || self.muted || self.held.is_some() || digits || plays;
        let takes_events = self.peer.takes_events();
        match (passing, &mut self.peer) {
            (None, PeerEnd::Line(_)) if self.conference.is_some() => {}
            (_, PeerEnd::Line(line)) => line.put(ctx.now, &mut ctx.blocks, heard, datagram),
            (Some(passing), PeerEnd::Rtp(peer)) if silenced || self.state == CallState::Ringing => {
                bridge.from_leg.rest(peer, passing.arrival);
            }
            (Some(passing), PeerEnd::Rtp(_)) if passing.is_event() && !takes_events => {
                bridge.from_leg.skip(passing.arrival);
            }
            (Some(passing), PeerEnd::Rtp(peer)) => {
                bridge.from_leg.pass(ctx, peer, Some(&mut self.taps), passing);
                ctx.lap(Stage::KernelSend);
            }
            (None, PeerEnd::Rtp(_)) => {}
        }
        match heard {
            Heard::Event(_) => self.leg_digits(ctx),
            Heard::Nothing(_, reason) | Heard::Ignored(reason) => {
                ctx.metrics.dropped(drop_reason(reason));
            }
            Heard::Audio(_) | Heard::Comfort(_) => {}
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
        self.leg_digits(ctx);
        let Agent::Leg(bridge) = &mut self.agent else { return };
        if bridge.peer.leg().is_none() {
            return;
        }
        bridge.ticks(ctx);
        bridge.peer.handle_timeout(ctx.now);
        give_report(&mut bridge.peer, ctx, true);
    }

    /// Tells once if the other leg should send and has been silent for too long.
    pub(super) fn care_for_leg(&mut self, ctx: &mut Context) {
        let Agent::Leg(bridge) = &self.agent else { return };
        let Some(timeout) = ctx.care.media_timeout else { return };
        if bridge.peer.is_awaited() && self.state == CallState::Answered {
            let silent_at = bridge.peer.heard_at() + timeout;
            if silent_at <= ctx.now {
                ctx.tell_once(self.key, EventKind::LegSilent, &mut self.told_leg_silent);
            }
        }
    }

    /// Lets the other leg go.
    pub(super) fn detach_leg(&mut self, ctx: &mut Context, bridge: &mut BridgeLeg) {
        say_goodbye(&mut bridge.peer, ctx);
        ctx.poller.remove(bridge.peer.rtp());
        ctx.poller.remove(bridge.peer.rtcp());
        self.agent_leg = Some(Box::new(bridge.snapshot()));
        self.agent_foreign += bridge.peer.foreign();
    }
}
