//! How the media of a call fare, and how they fared.

use std::time::Duration;

use adapters::agent::CallState;
use media::jitter::JitterSnapshot;
use media::leg::Ignored;
use media::silence::Tally;
use media::stats::LegSnapshot;
use media::time::MonoTime;

use super::command::EventKind;
use super::context::Context;
use super::path::{Agent, CARE_EVERY, MediaPath};
use super::peer_end::PeerEnd;
use crate::agent::session::Quality;
use crate::telemetry::DropReason;

/// How the media of a call fared, for its record.
#[derive(Clone, Debug, Default)]
pub struct MediaReport {
    /// The peer's leg.
    pub leg: LegSnapshot,
    /// Datagrams from elsewhere, ignored.
    pub foreign: u64,
    /// The other leg of a call that joined two: the last one, if there were several.
    pub agent_leg: Option<LegSnapshot>,
    /// Datagrams from elsewhere on other legs.
    pub agent_foreign: u64,
    /// How the jitter buffer of an agent that speaks RTP fared: of the last one, if there were
    /// several.
    pub agent_jitter: Option<JitterSnapshot>,
    /// Frames the agent was too slow for.
    pub agent_skipped: u64,
    /// Times that the agent had nothing to play in mid-utterance.
    pub underruns: u64,
    /// From the answer to the first audio of the agent on the wire.
    pub first_audio: Option<Duration>,
    /// What the direction from the peer, and that to it, went without.
    pub silences: [Tally; 2],
    /// Frames that are missing in the recording for a disk that was behind.
    pub recording_lost: u64,
}

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
        self.care_for_guest(ctx);
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
            underruns: self.underruns,
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
            agent_leg: self.agent_leg.as_deref().copied(),
            agent_foreign: self.agent_foreign,
            agent_jitter: self.agent_jitter.as_deref().copied(),
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
