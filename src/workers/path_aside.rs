//! The leg aside of a call: somebody who was called to take over, and is told what it is about
//! before. It hears a message of ours, its keys are told, and nothing of the call passes.

use media::leg::Heard;
use media::rtp::Frame;

use super::bridge::BridgeLeg;
use super::builtin::Builtin;
use super::command::{EventKind, LegFormat, LegLink};
use super::context::{Context, HEADROOM_BYTES};
use super::ear::Ear;
use super::path::{Agent, MediaPath};
use super::path_rtcp::{give_report, take_report};
use super::peer::Received;
use super::report::drop_reason;
use super::token::Part;
use crate::telemetry::Kind;

/// A leg aside of its call.
#[derive(Debug)]
pub(super) struct Aside {
    leg: Box<BridgeLeg>,
    /// Seeks keys in its audio, if it has no other way to tell of them.
    ear: Option<Box<Ear>>,
    /// The control plane was told that its message is over.
    told_over: bool,
}

impl Aside {
    /// When something is due of it.
    pub(super) fn deadline(&self) -> media::time::MonoTime {
        self.leg.deadline()
    }

    /// Listens for keys in the audio where they come no other way.
    fn tune(&mut self) {
        let Some(format) = self.leg.peer.format() else { return };
        let (audio, events) = (format.media.audio, format.media.receive_dtmf_pt.is_some());
        if events {
            self.ear = None;
            return;
        }
        let ear = self.ear.get_or_insert_with(|| Box::new(Ear::new(audio)));
        ear.follow(audio);
        ear.tune(true, false);
    }
}

impl MediaPath {
    /// Puts a leg aside of the call.
    pub(super) fn attach_aside(&mut self, ctx: &mut Context, link: LegLink) {
        self.drop_aside(ctx);
        match self.attach_leg_as(ctx, link, (Part::Aside, Part::AsideRtcp)) {
            Ok(leg) => {
                let mut aside = Aside { leg, ear: None, told_over: false };
                aside.tune();
                self.aside = Some(Box::new(aside));
            }
            Err(error) => tracing::error!(%error, "the sockets of a leg cannot be watched"),
        }
    }

    /// Takes what offer and answer settled with the leg aside.
    pub(super) fn settle_aside(&mut self, ctx: &Context, format: LegFormat) {
        let caller = self.peer.stream().audio;
        let Some(aside) = &mut self.aside else { return };
        aside.leg.settle(ctx.now, format, caller);
        aside.tune();
    }

    /// Says `sound` to the leg aside.
    pub(super) fn say_aside(&mut self, ctx: &Context, sound: Builtin) {
        let Some(aside) = &mut self.aside else { return };
        aside.told_over = false;
        aside.leg.hold(ctx.now, Some(sound));
    }

    /// The leg aside takes the place of the agent, which is let go.
    pub(super) fn join_aside(&mut self, ctx: &mut Context) {
        let Some(mut leg) = self.take_aside(ctx) else { return };
        self.hand_over(ctx);
        self.detach(ctx);
        leg.follow(self.peer.stream().audio);
        if let Err(error) = self.watch_leg_as(ctx, &leg, (Part::Agent, Part::AgentRtcp)) {
            tracing::error!(%error, "the sockets of a leg cannot be watched");
            ctx.tell(self.key, EventKind::LegSilent);
        }
        self.hear_leg(ctx, &leg);
        self.attached(ctx, Agent::Leg(leg));
    }

    /// Takes the leg that was aside, which hears nothing of ours any more.
    pub(super) fn take_aside(&mut self, ctx: &Context) -> Option<Box<BridgeLeg>> {
        let mut leg = self.aside.take()?.leg;
        leg.hold(ctx.now, None);
        Some(leg)
    }

    /// Lets the leg aside go.
    pub(super) fn drop_aside(&mut self, ctx: &mut Context) {
        if let Some(mut aside) = self.aside.take() {
            self.detach_leg(ctx, &mut aside.leg);
        }
    }

    /// One datagram of the leg aside.
    pub(super) fn on_aside_rtp(&mut self, ctx: &mut Context) {
        let Some(aside) = &mut self.aside else { return };
        let Some(buffer) = ctx.packet.get_mut(HEADROOM_BYTES..) else { return };
        let length = match aside.leg.peer.receive(ctx.now, buffer) {
            Received::Rtp(length) => length,
            other => return take_report(&mut aside.leg.peer, ctx, other, HEADROOM_BYTES),
        };
        ctx.metrics.received(Kind::Rtp, length);
        let Some(leg) = aside.leg.peer.leg() else { return };
        let datagram = buffer.get(..length).unwrap_or_default();
        match leg.receive(ctx.now, datagram) {
            Heard::Audio(heard) => {
                if let Some(ear) = &mut aside.ear {
                    let payload = datagram.get(heard.start..heard.start + heard.len);
                    let (ext_seq, ext_ts) = (heard.arrival.ext_seq, heard.arrival.ext_ts);
                    let payload = payload.unwrap_or_default();
                    ear.heard(ctx.now, Frame { ext_seq, ext_ts, marker: heard.marker, payload });
                }
            }
            Heard::Nothing(_, reason) | Heard::Ignored(reason) => {
                ctx.metrics.dropped(drop_reason(reason));
            }
            Heard::Event(_) | Heard::Comfort(_) => {}
        }
        self.aside_digits(ctx);
    }

    /// Keys that were pressed at the leg aside.
    fn aside_digits(&mut self, ctx: &mut Context) {
        let Some(aside) = &mut self.aside else { return };
        let Some(leg) = aside.leg.peer.leg() else { return };
        while let Some(pressed) = leg.poll_digit(ctx.now) {
            ctx.tell(self.key, EventKind::AsideDigit(pressed.digit.as_char()));
        }
        if let Some(ear) = &mut aside.ear
            && let Some(pressed) = ear.poll_digit()
        {
            ctx.tell(self.key, EventKind::AsideDigit(pressed.digit.as_char()));
        }
    }

    /// A report of the leg aside.
    pub(super) fn on_aside_rtcp(&mut self, ctx: &mut Context) {
        let Some(aside) = &mut self.aside else { return };
        let received = aside.leg.peer.receive_report(ctx.now, &mut ctx.packet);
        take_report(&mut aside.leg.peer, ctx, received, 0);
    }

    /// Does what is due on the leg aside.
    pub(super) fn aside_timeout(&mut self, ctx: &mut Context) {
        let Some(aside) = &mut self.aside else { return };
        if aside.leg.peer.leg().is_none() {
            return;
        }
        aside.leg.ticks(ctx);
        aside.leg.peer.handle_timeout(ctx.now);
        give_report(&mut aside.leg.peer, ctx, true);
        if let Some(ear) = &mut aside.ear {
            ear.idle(ctx.now);
        }
        if aside.leg.said_all {
            ctx.tell_once(self.key, EventKind::AsideTold, &mut aside.told_over);
        }
        self.aside_digits(ctx);
    }
}
