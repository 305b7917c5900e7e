//! What others than the agent do to a media path.

use std::time::Duration;

use super::builtin::Builtin;
use super::command::{EventKind, LegFormat, RtpSockets};
use super::context::Context;
use super::path::{Agent, MediaPath};
use super::peer::PeerLeg;
use super::peer_end::PeerEnd;
use super::play::PlaySound;
use super::token::{Part, Token};

/// What may be done to a call's media besides by its agent.
#[derive(Debug)]
pub enum Steer {
    /// Send digits to the peer.
    Dtmf {
        /// `0-9`, `A-D`, `*`, `#`.
        digits: String,
        /// Length of each in milliseconds.
        duration_ms: u32,
        /// Pause between them in milliseconds.
        gap_ms: u32,
    },
    /// Whether the peer hears the agent.
    Mute(bool),
    /// Drop what is queued.
    Clear,
    /// Let the peer hear a sound.
    Play(PlaySound),
}

impl MediaPath {
    /// Does what the API asks for.
    pub(super) fn steer(&mut self, ctx: &mut Context, steer: Steer) {
        match steer {
            Steer::Dtmf { digits, duration_ms, gap_ms } => {
                // Whether the peer takes digits was asked before; a queue that is full drops them,
                // as it does for an agent.
                let _ = self.queue_digits(&digits, duration_ms, gap_ms);
                self.press_keys(ctx);
                // What is passed on, or sent back, has no clock by which digits leave.
                self.restart_ticks(ctx.now);
            }
            Steer::Mute(muted) => self.muted = muted,
            Steer::Play(sound) => self.play(ctx, sound),
            Steer::Clear => {
                self.clear(ctx);
                self.actions(ctx);
            }
        }
    }

    /// Another peer takes the place of ours.
    pub(super) fn replace(&mut self, ctx: &mut Context, sockets: RtpSockets, format: LegFormat) {
        let watched = ctx
            .poller
            .add(&sockets.rtp, Token::part(self.token, Part::Rtp))
            .and_then(|()| ctx.poller.add(&sockets.rtcp, Token::part(self.token, Part::Rtcp)));
        if let Err(error) = watched {
            tracing::error!(%error, "a call's sockets cannot be watched");
            return ctx.tell(self.key, EventKind::MediaTimeout);
        }
        let old = self.peer.stream();
        let start = ctx.stream_start();
        // Another telephone: what is known of its sound, its digits and its echo begins anew.
        self.silence.settled(ctx.now, None, &format);
        self.digits_otherwise = false;
        self.echo_ts = None;
        match &mut self.peer {
            PeerEnd::Rtp(peer) => {
                let before = peer.replace(ctx.now, sockets, format);
                ctx.poller.remove(&before.rtp);
                ctx.poller.remove(&before.rtcp);
            }
            PeerEnd::Line(line) => {
                line.end(ctx);
                self.peer = PeerEnd::Rtp(PeerLeg::new(ctx.now, sockets, Some(format), start));
            }
        }
        self.settled(ctx, old);
    }

    /// The peer is on hold and hears `sound`, or it is back. The agent hears nothing meanwhile, and
    /// what it says waits.
    pub(super) fn hold(&mut self, ctx: &mut Context, sound: Option<Builtin>) {
        self.held = sound.map(Box::new);
        self.echo_ts = None;
        self.restart_ticks(ctx.now);
    }

    /// A transfer moved on.
    pub(super) fn transfer(
        &mut self,
        ctx: &mut Context,
        state: &'static str,
        cause: Option<&'static str>,
    ) {
        if let Agent::Socket(socket) = &mut self.agent {
            socket.session.transfer(state, cause.map(str::to_owned));
        }
        self.actions(ctx);
    }

    /// The call ends soon: whoever talks is told, and whoever comes later.
    pub(super) fn expiring(&mut self, ctx: &mut Context, left_ms: u64) {
        self.ends_at = Some(ctx.now + Duration::from_millis(left_ms));
        if let Agent::Socket(socket) = &mut self.agent {
            socket.session.expiring(left_ms);
        }
        self.actions(ctx);
    }

    /// An agent has come: it is told behind its `start` what was told before.
    pub(super) fn catch_up(&mut self, ctx: &Context) {
        let Agent::Socket(socket) = &mut self.agent else { return };
        socket.state(self.state);
        if let Some(ends_at) = self.ends_at {
            let left = ends_at.since(ctx.now).as_millis();
            socket.session.expiring(u64::try_from(left).unwrap_or(u64::MAX));
        }
    }
}
