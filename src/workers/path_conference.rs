//! The half of a media path in which three talk.

use std::time::Duration;

use adapters::agent::{CallState, StreamFormat};
use media::blocks::BlockPool;
use media::codec::AudioFormat;
use media::leg::Heard;
use media::playout::Popped;
use media::time::MonoTime;

use super::ambient;
use super::bridge::BridgeLeg;
use super::command::{EventKind, GuestFrom, LegFormat};
use super::conference::Conference;
use super::context::{Context, HEADROOM_BYTES};
use super::inflow::Sounded;
use super::pace::{CATCH_UP_TICKS_MAX, Said, pass_over};
use super::path::{Agent, MediaPath};
use super::path_rtcp::{give_report, take_report};
use super::peer::Received;
use super::peer_end::PeerEnd;
use super::report::drop_reason;
use super::token::{Part, Token};
use crate::telemetry::Kind;

impl MediaPath {
    /// Whether what the agent says is mixed with anything.
    pub(super) const fn is_mixed(&self) -> bool {
        self.bed.is_some() || self.conference.is_some()
    }

    /// A leg joins peer and agent.
    pub(super) fn join_guest(&mut self, ctx: &mut Context, from: GuestFrom) {
        self.drop_guest(ctx);
        let parts = (Part::Guest, Part::GuestRtcp);
        let guest = match from {
            GuestFrom::Called(link) => self.attach_leg_as(ctx, *link, parts),
            GuestFrom::Aside => {
                let Some(leg) = self.take_aside(ctx) else { return };
                self.watch_leg_as(ctx, &leg, parts).map(|()| leg)
            }
            GuestFrom::Agent => {
                let Some(leg) = self.take_agent_leg(ctx) else { return };
                self.watch_leg_as(ctx, &leg, parts).map(|()| leg)
            }
        };
        match guest {
            Ok(guest) => self.begin_conference(ctx, guest),
            Err(error) => {
                tracing::error!(%error, "the sockets of a leg cannot be watched");
                ctx.tell(self.key, EventKind::GuestSilent);
            }
        }
    }

    /// Takes the leg away that is at the agent's end; nobody is there then.
    fn take_agent_leg(&mut self, ctx: &mut Context) -> Option<Box<BridgeLeg>> {
        let Agent::Leg(_) = &self.agent else { return None };
        let Agent::Leg(mut leg) = std::mem::replace(&mut self.agent, Agent::None) else {
            return None;
        };
        leg.hold(ctx.now, None);
        Some(leg)
    }

    fn begin_conference(&mut self, ctx: &mut Context, guest: Box<BridgeLeg>) {
        let formats = (self.peer.stream().audio, self.outlet.sounds());
        let agent = self.agent_leg_audio();
        self.conference = Some(Box::new(Conference::new(guest, formats, agent)));
        self.tune_conference();
        // An echo keeps silent among three; when it is heard again, media time has gone on.
        self.echo_ts = None;
        // What came before the leg was heard is of the past.
        if let Some(line) = self.peer.line() {
            line.flow_out(&mut ctx.blocks);
        }
        self.remix(ctx);
    }

    /// The leg that had joined leaves: peer and agent are alone again.
    pub(super) fn drop_guest(&mut self, ctx: &mut Context) {
        let Some(conference) = self.conference.take() else { return };
        let mut guest = conference.end(&mut ctx.blocks);
        self.detach_leg(ctx, &mut guest);
        let peer = self.peer.stream().audio;
        if let Agent::Leg(leg) = &mut self.agent {
            leg.pass_again(peer);
        }
        if let Some(audio) = self.agent_leg_audio() {
            self.flow_in(ctx, audio);
        }
        self.remix(ctx);
    }

    /// Whoever is at the agent's end leaves: the leg that had joined takes that place.
    pub(super) fn withdraw(&mut self, ctx: &mut Context) {
        if self.conference.is_none() {
            return;
        }
        self.hand_over(ctx);
        self.detach(ctx);
        let Some(conference) = self.conference.take() else { return };
        let mut leg = conference.end(&mut ctx.blocks);
        leg.pass_again(self.peer.stream().audio);
        self.muted = false;
        self.remix(ctx);
        if let Err(error) = self.watch_leg_as(ctx, &leg, (Part::Agent, Part::AgentRtcp)) {
            tracing::error!(%error, "the sockets of a leg cannot be watched");
            ctx.tell(self.key, EventKind::LegSilent);
        }
        self.hear_leg(ctx, &leg);
        self.attached(ctx, Agent::Leg(leg));
    }

    /// Watches the sockets of a leg in other parts than before.
    pub(super) fn watch_leg_as(
        &self,
        ctx: &Context,
        leg: &BridgeLeg,
        (rtp, rtcp): (Part, Part),
    ) -> std::io::Result<()> {
        ctx.poller.remove(leg.peer.rtp());
        ctx.poller.remove(leg.peer.rtcp());
        ctx.poller.add(leg.peer.rtp(), Token::part(self.token, rtp))?;
        ctx.poller.add(leg.peer.rtcp(), Token::part(self.token, rtcp))
    }

    /// Lets everything follow that there are three now, or no longer.
    fn remix(&mut self, ctx: &mut Context) {
        if self.outlet.mix(self.is_mixed()) {
            self.follow_peer();
            self.reformat(ctx);
        }
        self.agent_listens();
        self.tune_outlet();
        self.restart_ticks(ctx.now);
    }

    /// The audio of the leg at the agent's end, if one is there.
    fn agent_leg_audio(&self) -> Option<AudioFormat> {
        match &self.agent {
            Agent::Leg(leg) => Some(leg.audio(self.peer.stream().audio)),
            _ => None,
        }
    }

    /// What is given to the agent: the peer's audio, or a mix.
    pub(super) fn given(&self) -> StreamFormat {
        let peer = self.peer.stream();
        match &self.conference {
            Some(conference) => StreamFormat { audio: conference.format(), ..peer },
            None => peer,
        }
    }

    /// The agent hears the mix from now on, or the peer itself.
    pub(super) fn agent_listens(&mut self) {
        let (given, mixed) = (self.given(), self.conference.is_some());
        match &mut self.agent {
            Agent::Socket(socket) => {
                let info = socket.session.info();
                let (to, from) = (info.to_agent, info.from_agent);
                socket.reformat(given, &self.outlet, to, from);
                socket.hear_mix(mixed);
            }
            Agent::Rtp(agent) => {
                agent.reformat(given, &self.outlet);
                agent.hear_mix(mixed);
            }
            Agent::Leg(_) | Agent::Builtin(_) | Agent::None => {}
        }
    }

    /// Lets the conference follow the formats of those who take part.
    pub(super) fn follow_conference(&mut self, ctx: &mut Context) {
        let formats = (self.peer.stream().audio, self.outlet.sounds());
        let agent = self.agent_leg_audio();
        let Some(conference) = &mut self.conference else { return };
        conference.follow(&mut ctx.blocks, formats, agent);
        self.tune_conference();
        self.agent_listens();
    }

    /// Codes Opus for each leg as that wants it.
    fn tune_conference(&mut self) {
        let settings = match &self.agent {
            Agent::Leg(leg) => leg.peer.format().map(|format| format.media.opus),
            _ => None,
        };
        if let Some(conference) = &mut self.conference {
            conference.tune(settings.as_ref());
        }
    }

    /// Takes what offer and answer settled with the leg that has joined.
    pub(super) fn settle_guest(&mut self, ctx: &mut Context, format: LegFormat) {
        let caller = self.peer.stream().audio;
        let Some(conference) = &mut self.conference else { return };
        conference.guest.settle(ctx.now, format, caller);
        self.follow_conference(ctx);
    }

    /// Everything that is due of three who talk, at deadlines that do not drift.
    pub(super) fn conference_ticks(&mut self, ctx: &mut Context) {
        let ptime_ms = self.peer.stream().ptime_ms.max(1);
        let ptime = Duration::from_millis(u64::from(ptime_ms));
        self.phase_free = false;
        ctx.metrics.lateness.record(ctx.now.since(self.next_tick));
        for _ in 0..CATCH_UP_TICKS_MAX {
            self.conference_tick(ctx, ptime_ms);
            self.next_tick += ptime;
            if self.next_tick > ctx.now {
                break;
            }
        }
        if self.next_tick <= ctx.now {
            let behind = ctx.now.since(self.next_tick).as_nanos() / ptime.as_nanos() + 1;
            let behind = u32::try_from(behind).unwrap_or(u32::MAX);
            self.next_tick += ptime.saturating_mul(behind);
            if let Some(leg) = self.peer.leg() {
                let ticks = leg.config().audio.ticks(ptime_ms);
                leg.hold(ticks.saturating_mul(behind));
            }
            if let Some(conference) = &mut self.conference {
                conference.skip(ptime_ms, behind);
            }
            if let Agent::Leg(leg) = &mut self.agent {
                leg.hold_media(ptime_ms, behind);
            }
            ctx.metrics.late.add(u64::from(behind));
        }
        self.made_out(ctx);
        self.tell_plays(ctx);
        self.after_playout(ctx);
    }

    /// One ptime of three who talk.
    fn conference_tick(&mut self, ctx: &mut Context, ptime_ms: u32) {
        self.take_said(ctx, ptime_ms);
        self.conference_to_peer(ctx, ptime_ms);
        let Some(mut conference) = self.conference.take() else { return };
        conference.guest_hears(ctx);
        match &mut self.agent {
            Agent::Socket(socket) => {
                socket.send_mixed(&mut ctx.frame_sink(), conference.agent_hears());
            }
            Agent::Rtp(agent) => {
                agent.send_mixed(&mut ctx.frame_sink(), conference.agent_hears());
            }
            Agent::Leg(leg) => conference.agent_leg_hears(ctx, leg),
            Agent::Builtin(_) | Agent::None => {}
        }
        self.conference = Some(conference);
    }

    /// Takes what each says in this ptime.
    fn take_said(&mut self, ctx: &mut Context, ptime_ms: u32) {
        let Some(mut conference) = self.conference.take() else { return };
        let sounds = self.outlet.sounds();
        let holds = matches!(&self.peer, PeerEnd::Rtp(peer) if peer.is_held());
        let peer_speaks = self.held.is_none() && !holds;
        conference.begin(ctx.now, &mut ctx.blocks, ptime_ms, peer_speaks);
        let plays = self.plays_now();
        if let Agent::Leg(leg) = &self.agent {
            let heard = !self.muted && !plays && !leg.peer.is_held();
            conference.agent_leg_says(ctx.now, &mut ctx.blocks, heard);
        }
        let Context { now, blocks, linear, .. } = ctx;
        conference.agent_spoke = false;
        if let Some(frame) = linear.get_mut(..sounds.bytes(ptime_ms)) {
            conference.agent_spoke = match plays {
                true => {
                    pass_over(&mut self.agent, *now, blocks, frame);
                    self.plays.say(&mut self.playout, frame, sounds);
                    true
                }
                false => self.voice(*now, blocks, frame),
            };
            if conference.agent_spoke && (plays || !self.muted) {
                conference.agent_says(sounds, frame);
            }
        }
        self.conference = Some(conference);
        let Agent::Builtin(builtin) = &self.agent else { return };
        if builtin.hangs_up() && builtin.is_over() {
            ctx.tell_once(self.key, EventKind::Played, &mut self.told_over);
        }
    }

    /// Writes what an agent that is no leg says next to `frame`; false if that is nothing.
    fn voice(&mut self, now: MonoTime, blocks: &mut BlockPool, frame: &mut [u8]) -> bool {
        let silence = self.outlet.sounds().codec.silence();
        match &mut self.agent {
            // It would say what it has just heard, and all would hear themselves.
            Agent::Builtin(builtin) if builtin.is_echo() => false,
            Agent::Builtin(builtin) => builtin.next_frame(frame, silence) && !builtin.is_silent(),
            Agent::Rtp(agent) => agent.pull(now, blocks, frame) != Sounded::Nothing,
            Agent::Leg(_) => false,
            Agent::None | Agent::Socket(_) => {
                matches!(self.playout.pop(now, blocks, frame), Popped::Frame { .. })
            }
        }
    }

    /// Sends the peer what it hears, if anything may be sent.
    fn conference_to_peer(&mut self, ctx: &mut Context, ptime_ms: u32) {
        let sends = self.peer.sends();
        let format = self.peer.format().map(|format| format.media);
        match (&mut self.peer, format) {
            (PeerEnd::Line(_), _) if sends => self.conference_to_line(ctx),
            (PeerEnd::Rtp(peer), Some(format)) => {
                let Some(leg) = peer.leg() else { return };
                let event = ctx.packet.first_chunk_mut().and_then(|out| leg.write_event(out));
                match event {
                    Some(0) => {}
                    Some(event) => drop(peer.send(&mut ctx.packet, event)),
                    None if sends => drop(self.packet(ctx, &format)),
                    None => leg.pause(format.audio.ticks(ptime_ms)),
                }
            }
            _ => {}
        }
    }

    /// Writes what the peer hears of the two others to `payload`, by way of `linear` if it has to
    /// be coded.
    pub(super) fn say_mix(&mut self, linear: &mut [u8], payload: &mut [u8]) -> Said {
        let sounds = self.outlet.sounds();
        let silence = sounds.codec.silence();
        let (frame, coded) = match self.outlet.encoder() {
            Some(encoder) => (linear, Some((encoder, payload))),
            None => (payload, None),
        };
        let spoke = self.conference.as_ref().is_some_and(|conference| conference.agent_spoke);
        let mut said = Said { live: true, played: spoke, ..Said::default() };
        match (&mut self.held, &mut self.conference) {
            (Some(sound), _) => {
                said.quiet = sound.is_silent();
                sound.next_frame(frame, silence);
            }
            (None, Some(conference)) => {
                let (sounded, begins) = conference.peer_hears(sounds, frame);
                (said.quiet, said.talkspurt) = (!sounded, begins);
                if sounded {
                    self.silence.said(frame, sounds);
                }
                if let Some(bed) = &mut self.bed {
                    ambient::mix(bed, sounds, frame, said.played && !self.muted);
                    said.quiet = false;
                }
            }
            (None, None) => frame.fill(silence),
        }
        said.bytes = match coded {
            Some((encoder, payload)) => encoder.convert(frame, payload),
            None => frame.len(),
        };
        said
    }

    /// One datagram of the leg that has joined.
    pub(super) fn on_guest_rtp(&mut self, ctx: &mut Context) {
        let Some(conference) = &mut self.conference else { return };
        let Some(buffer) = ctx.packet.get_mut(HEADROOM_BYTES..) else { return };
        let length = match conference.guest.peer.receive(ctx.now, buffer) {
            Received::Rtp(length) => length,
            other => return take_report(&mut conference.guest.peer, ctx, other, HEADROOM_BYTES),
        };
        ctx.metrics.received(Kind::Rtp, length);
        let Some(leg) = conference.guest.peer.leg() else { return };
        let datagram = buffer.get(..length).unwrap_or_default();
        let heard = leg.receive(ctx.now, datagram);
        conference.hear_guest(ctx.now, &mut ctx.blocks, heard, datagram);
        if let Heard::Nothing(_, reason) | Heard::Ignored(reason) = heard {
            ctx.metrics.dropped(drop_reason(reason));
        }
        self.guest_digits(ctx);
    }

    /// Keys that the guest presses are for nobody: it is a person among others.
    fn guest_digits(&mut self, ctx: &Context) {
        let leg = self.conference.as_mut().and_then(|conference| conference.guest.peer.leg());
        let Some(leg) = leg else { return };
        while leg.poll_digit(ctx.now).is_some() {}
    }

    /// A report of the leg that has joined.
    pub(super) fn on_guest_rtcp(&mut self, ctx: &mut Context) {
        let Some(conference) = &mut self.conference else { return };
        let received = conference.guest.peer.receive_report(ctx.now, &mut ctx.packet);
        take_report(&mut conference.guest.peer, ctx, received, 0);
    }

    /// Does what is due on the leg that has joined.
    pub(super) fn guest_timeout(&mut self, ctx: &mut Context) {
        self.guest_digits(ctx);
        let Some(conference) = &mut self.conference else { return };
        let guest = &mut conference.guest;
        if guest.peer.leg().is_none() {
            return;
        }
        guest.ticks(ctx);
        guest.peer.handle_timeout(ctx.now);
        give_report(&mut guest.peer, ctx, true);
    }

    /// Tells once if the leg that has joined should send and has been silent for too long.
    pub(super) fn care_for_guest(&mut self, ctx: &mut Context) {
        let Some(conference) = &mut self.conference else { return };
        let Some(timeout) = ctx.care.media_timeout else { return };
        let peer = &conference.guest.peer;
        if peer.is_awaited()
            && self.state == CallState::Answered
            && peer.heard_at() + timeout <= ctx.now
        {
            ctx.tell_once(self.key, EventKind::GuestSilent, &mut conference.told_silent);
        }
    }
}
