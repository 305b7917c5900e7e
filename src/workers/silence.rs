//! Silence explained: what the media path tells the watch, and what becomes of its words.

use std::sync::Arc;

use media::codec::AudioFormat;
use media::leg::{Heard, Ignored};
use media::silence::{AgentAt, Conditions, LOOK_EVERY, Soundless, Tally, Watch, Way};
use media::time::MonoTime;

use super::command::{EventKind, LegFormat};
use super::context::Context;
use super::gauges::{Gauges, Meter, Side};
use super::latch::is_private;
use super::path::{Agent, MediaPath};
use super::peer::Received;
use crate::telemetry::DropReason;

/// Payload types of comfort noise that comes without having been settled: RFC 3389, and the one
/// that was used before it (RFC 3551 6).
const COMFORT_PTS: [u8; 2] = [13, 19];

/// Looks between two times that it is shown how the media fare; levels are shown at each.
const LOOKS_PER_SHOW: u8 = 4;

/// The watch of one call.
#[derive(Debug)]
pub(super) struct Silence {
    watch: Watch,
    /// How what comes from the peer is coded.
    audio: AudioFormat,
    meter: Meter,
    /// Looks until it is shown how the media fare.
    looks: u8,
    /// What is shown to whoever looks at the call.
    gauges: Option<Arc<Gauges>>,
    /// When it is asked next; never before the answer.
    look_at: MonoTime,
}

impl Silence {
    /// For a call whose peer speaks `format`, or most likely `likely` while nothing is settled.
    pub(super) fn new(format: Option<&LegFormat>, likely: AudioFormat) -> Self {
        let audio = format.map_or(likely, |format| format.media.audio);
        Self {
            watch: Watch::new(audio),
            audio,
            meter: Meter::default(),
            looks: 0,
            gauges: None,
            look_at: MonoTime::MAX,
        }
    }

    /// The call was answered.
    pub(super) fn answered(&mut self, now: MonoTime) {
        self.watch.answered(now);
        self.look_at = self.look_at.min(now + LOOK_EVERY);
    }

    /// Offer and answer settled something.
    pub(super) fn settled(&mut self, now: MonoTime, old: Option<&LegFormat>, new: &LegFormat) {
        let same =
            old.is_some_and(|old| old.media.audio == new.media.audio && old.remote == new.remote);
        if !same {
            self.watch.settled(now, new.media.audio);
            self.audio = new.media.audio;
        }
    }

    /// Whoever looks at the call sees here how its media fare.
    pub(super) fn gauge(&mut self, gauges: Arc<Gauges>) {
        self.gauges = Some(gauges);
    }

    /// A datagram came from the peer, and `heard` is what became of it.
    #[inline]
    pub(super) fn heard(&mut self, now: MonoTime, datagram: &[u8], heard: &Heard) {
        match heard {
            Heard::Audio(audio) => {
                let payload = datagram.get(audio.start..audio.start + audio.len);
                let payload = payload.unwrap_or_default();
                self.watch.heard(now, payload, audio.marker);
                self.meter.frame(Side::In, payload, self.audio);
            }
            Heard::Event(_) => self.watch.heard_event(now),
            Heard::Comfort(_) => self.watch.heard_nothing(now, Soundless::Comfort),
            Heard::Nothing(_, Ignored::PayloadType) => {
                let pt = datagram.get(1).map_or(0, |byte| byte & 0x7f);
                let comfort = COMFORT_PTS.contains(&pt);
                let what = if comfort { Soundless::Comfort } else { Soundless::PayloadType };
                self.watch.heard_nothing(now, what);
            }
            Heard::Ignored(Ignored::Malformed) => {
                self.watch.heard_nothing(now, Soundless::NotRtp);
            }
            Heard::Nothing(..) | Heard::Ignored(_) => {}
        }
    }

    /// A line has started, and its audio is coded like this.
    pub(super) fn line_started(&mut self, now: MonoTime, audio: AudioFormat) {
        self.watch.settled(now, audio);
        self.audio = audio;
    }

    /// A frame of a line's audio came.
    #[inline]
    pub(super) fn heard_frame(&mut self, now: MonoTime, payload: &[u8], marker: bool) {
        self.watch.heard(now, payload, marker);
        self.meter.frame(Side::In, payload, self.audio);
    }

    /// A key was pressed at the other end of a line.
    pub(super) const fn heard_key(&mut self, now: MonoTime) {
        self.watch.heard_event(now);
    }

    /// Something came that is not even RTP for us.
    #[cold]
    pub(super) fn unreadable(&mut self, now: MonoTime, what: Received) {
        match what {
            Received::Dropped(DropReason::Unauthentic) => {
                self.watch.heard_nothing(now, Soundless::Unauthentic);
            }
            Received::Dropped(DropReason::Malformed) => {
                self.watch.heard_nothing(now, Soundless::NotRtp);
            }
            _ => {}
        }
    }

    /// A frame of the agent's leaves.
    #[inline]
    pub(super) fn said(&mut self, payload: &[u8], audio: AudioFormat) {
        self.watch.said(payload);
        self.meter.frame(Side::Out, payload, audio);
    }

    /// A frame of an agent of this process leaves, about which nobody has to be watched.
    #[inline]
    pub(super) fn played(&mut self, payload: &[u8], audio: AudioFormat) {
        self.meter.frame(Side::Out, payload, audio);
    }

    /// What each direction went without, in the order of [`Way::ALL`].
    pub(super) fn tallies(&self, now: MonoTime) -> [Tally; 2] {
        Way::ALL.map(|way| self.watch.tally(now, way))
    }
}

/// True if the peer described an address that means nothing where its signalling comes from.
fn is_hidden(format: &LegFormat) -> bool {
    is_private(format.remote.ip()) && !is_private(format.signalling)
}

impl MediaPath {
    /// Whoever looks at the call sees here how its media fare.
    pub(super) fn gauge(&mut self, gauges: Arc<Gauges>) {
        self.timeline.gauge(Arc::clone(&gauges));
        self.silence.gauge(gauges);
    }

    /// When [`MediaPath::look`] is due, if nothing else wakes the call before.
    pub(super) fn look_deadline(&self) -> MonoTime {
        // The pacer comes by often enough.
        if self.next_tick < MonoTime::MAX { MonoTime::MAX } else { self.silence.look_at }
    }

    /// Looks whether a direction carries no sound, if that is due, and tells everyone concerned of
    /// a change.
    pub(super) fn look(&mut self, ctx: &mut Context) {
        if self.silence.look_at > ctx.now {
            return;
        }
        self.silence.look_at = ctx.now + LOOK_EVERY;
        self.show();
        let conditions = self.conditions();
        let mut told = false;
        for notice in self.silence.watch.look(ctx.now, &conditions).into_iter().flatten() {
            if notice.silent {
                ctx.metrics.silent(notice.way, notice.reason);
            }
            if let Some(gauges) = &self.silence.gauges {
                gauges.silence(&notice);
            }
            ctx.tell(self.key, EventKind::Silence(notice));
            if let Agent::Socket(socket) = &mut self.agent {
                socket.session.silence(notice);
                told = true;
            }
        }
        if told {
            self.actions(ctx);
        }
    }

    /// Shows whoever looks at the call how its media fare.
    fn show(&mut self) {
        let Some(gauges) = &self.silence.gauges else { return };
        if let Agent::Builtin(builtin) = &self.agent
            && builtin.is_echo()
        {
            self.silence.meter.reflect();
        }
        self.silence.meter.show(gauges);
        if self.silence.looks == 0 {
            self.silence.looks = LOOKS_PER_SHOW;
            gauges.fare(&self.quality());
        }
        self.silence.looks -= 1;
    }

    fn conditions(&self) -> Conditions {
        let (sends, receives) = (self.peer.sends(), self.peer.receives());
        Conditions {
            sends,
            receives,
            held: self.held.is_some() || self.peer.is_held(),
            hidden: self.peer.format().is_some_and(is_hidden),
            foreign: self.peer.foreign(),
            muted: self.muted,
            agent: self.agent_at(),
        }
    }

    fn agent_at(&self) -> AgentAt {
        let dry_since = self.hole.starved_at.filter(|_| self.playout.in_utterance());
        match &self.agent {
            // Another leg is a telephone, and may be quiet as one.
            Agent::Builtin(_) | Agent::Leg(_) => AgentAt::Inside,
            Agent::Rtp(_) => AgentAt::Connected { dry_since },
            Agent::Socket(socket) if socket.session.is_open() => AgentAt::Connected { dry_since },
            // What an agent left behind is played to its end.
            Agent::Socket(_) | Agent::None if !self.playout.drained() => AgentAt::Inside,
            Agent::Socket(_) | Agent::None => AgentAt::Nowhere,
        }
    }
}
