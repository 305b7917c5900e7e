//! How the media of a call fare, and how they fared.

use std::time::Duration;

use adapters::agent::CallState;
use media::leg::Ignored;
use media::stats::LegSnapshot;
use media::time::MonoTime;

use super::command::{EventKind, MediaReport};
use super::context::Context;
use super::path::{Agent, CARE_EVERY, MediaPath};
use super::peer_end::PeerEnd;
use crate::agent::session::Quality;
use crate::telemetry::DropReason;

impl MediaPath {
    /// Silence of the peer, quality for the agent.
    pub(super) fn care(&mut self, ctx: &mut Context) {
        self.care_at = ctx.now + CARE_EVERY;
        // A line that is silent is found out by its own means.
        if let Some(timeout) = ctx.care.media_timeout
            && let PeerEnd::Rtp(peer) = &self.peer
            && peer.is_awaited()
            && self.state == CallState::Answered
        {
            let silent_at = peer.heard_at() + timeout;
            if silent_at <= ctx.now {
                ctx.tell_once(self.key, EventKind::MediaTimeout, &mut self.told_timeout);
            } else {
                self.care_at = self.care_at.min(silent_at);
            }
        }
        self.care_for_leg(ctx);
        let quality = self.quality();
        if self.state == CallState::Answered && self.sample_at <= ctx.now {
            self.sample_at = ctx.care.next_sample(ctx.now);
            ctx.tell_later(self.key, EventKind::Quality(quality));
        }
        ctx.metrics.jitter.record(Duration::from_secs_f32(quality.jitter_ms / 1000.0));
        if let Agent::Socket(socket) = &mut self.agent {
            socket.session.quality(quality);
            self.actions(ctx);
        }
    }

    /// How the media fare.
    pub(super) fn quality(&self) -> Quality {
        let stats = self.snapshot();
        Quality {
            loss: stats.loss,
            jitter_ms: stats.jitter.as_secs_f32() * 1000.0,
            buffer_ms: self.playout.queued_ms(),
            mos: stats.mos,
            round_trip_ms: stats.round_trip.map(|time| time.as_secs_f32() * 1000.0),
        }
    }

    /// The peer's leg as it stands.
    fn snapshot(&self) -> LegSnapshot {
        self.peer.snapshot()
    }

    /// How the media fared.
    pub(super) fn report(&self, now: MonoTime) -> MediaReport {
        MediaReport {
            leg: self.snapshot(),
            foreign: self.peer.foreign(),
            agent_leg: self.agent_leg,
            agent_foreign: self.agent_foreign,
            agent_jitter: self.agent_jitter,
            agent_skipped: self.agent_skipped,
            underruns: self.underruns,
            first_audio: self.first_audio,
            recording_lost: self.recording_lost,
            silences: self.silence.tallies(now),
        }
    }
}

/// The label of what was ignored.
pub(super) const fn drop_reason(reason: Ignored) -> DropReason {
    match reason {
        Ignored::PayloadType => DropReason::PayloadType,
        Ignored::NotInStream => DropReason::Duplicate,
        Ignored::Malformed | Ignored::Size => DropReason::Malformed,
    }
}
