//! Explains silence: watches both directions of a call, and says within two seconds why one of them
//! carries no sound.
//!
//! [`Watch`] is told what comes and goes as it happens, and asked every [`LOOK_EVERY`] with what
//! else holds ([`Conditions`]); it answers with the changes that are worth telling. What counts as
//! silence, and what does not, is in `docs/silence.md`: a quiet caller is none, neither is an agent
//! that listens.

mod inbound;
mod law;
mod outbound;
mod reason;

use std::time::Duration;

use crate::codec::AudioFormat;
use crate::time::MonoTime;
use inbound::Inbound;
use outbound::Outbound;

pub use reason::{Notice, Reason, Tally, Way};

/// How often [`Watch::look`] is to be called.
pub const LOOK_EVERY: Duration = Duration::from_millis(250);
/// How long a direction carries no sound before it is called silent.
pub const SILENT_AFTER: Duration = Duration::from_millis(1_500);
/// How long comfort noise (RFC 3389) stands for the packets that do not come after it.
pub const COMFORT_LASTS: Duration = Duration::from_secs(60);
/// How long a peer that suppresses silence without comfort noise may send nothing.
pub const SUPPRESSED_LASTS: Duration = Duration::from_secs(30);

/// What holds at a look, besides what the watch was told.
#[derive(Clone, Copy, Debug)]
pub struct Conditions {
    /// The session lets us send (RFC 3264 5.1).
    pub sends: bool,
    /// It lets the peer send.
    pub receives: bool,
    /// One side put the call on hold.
    pub held: bool,
    /// The peer described an address of a private network, which its signalling did not come from.
    pub hidden: bool,
    /// Datagrams that came from elsewhere so far.
    pub foreign: u64,
    /// The agent muted itself.
    pub muted: bool,
    /// Who speaks to the peer.
    pub agent: AgentAt,
}

/// Where the agent is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AgentAt {
    /// Nobody is there.
    Nowhere,
    /// It is part of the server, and says what it is meant to say.
    Inside,
    /// It is connected.
    Connected {
        /// Since when its audio has run dry in mid-utterance.
        dry_since: Option<MonoTime>,
    },
}

/// A packet without audio.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Soundless {
    /// Comfort noise (RFC 3389).
    Comfort,
    /// A payload type that was not settled.
    PayloadType,
    /// No RTP at all.
    NotRtp,
    /// SRTP that is not authentic (RFC 3711 3.3).
    Unauthentic,
}

/// Watches one call.
#[derive(Debug)]
pub struct Watch {
    answered: Option<MonoTime>,
    inbound: Inbound,
    outbound: Outbound,
    incoming: Telling,
    outgoing: Telling,
}

impl Watch {
    /// A call whose peer will code its audio as `format`.
    pub fn new(format: AudioFormat) -> Self {
        Self {
            answered: None,
            inbound: Inbound::new(format),
            outbound: Outbound::default(),
            incoming: Telling::new(Way::In),
            outgoing: Telling::new(Way::Out),
        }
    }

    /// The call was answered; silence before is nobody's concern.
    pub fn answered(&mut self, now: MonoTime) {
        self.answered.get_or_insert(now);
    }

    /// Another format holds, or the peer has moved.
    pub fn settled(&mut self, now: MonoTime, format: AudioFormat) {
        self.inbound.settled(now, format);
    }

    /// A frame of the peer's audio; `marker` if it says that it begins a talkspurt.
    #[inline]
    pub fn heard(&mut self, now: MonoTime, payload: &[u8], marker: bool) {
        self.inbound.heard(now, payload, marker);
    }

    /// The peer presses a key.
    pub const fn heard_event(&mut self, now: MonoTime) {
        self.inbound.sound(now);
    }

    /// A packet from where the peer is, without audio.
    pub const fn heard_nothing(&mut self, now: MonoTime, what: Soundless) {
        self.inbound.soundless(now, what);
    }

    /// A frame of the agent's audio leaves.
    #[inline]
    pub fn said(&mut self, payload: &[u8]) {
        self.outbound.said(payload);
    }

    /// What is to be told at `now`: at most one end and one beginning each way.
    pub fn look(&mut self, now: MonoTime, conditions: &Conditions) -> [Option<Notice>; 4] {
        let Some(answered) = self.answered else { return [None; 4] };
        let incoming = self.inbound.verdict(now, answered, conditions);
        let outgoing = self.outbound.verdict(now, answered, conditions);
        let [a, b] = self.incoming.turn(now, incoming);
        let [c, d] = self.outgoing.turn(now, outgoing);
        [a, b, c, d]
    }

    /// What each direction went without, if the call ends at `now`.
    pub fn tally(&self, now: MonoTime, way: Way) -> Tally {
        match way {
            Way::In => self.incoming.tally(now),
            Way::Out => self.outgoing.tally(now),
        }
    }
}

/// Why there is no sound, and since when there has been none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Verdict {
    reason: Reason,
    since: MonoTime,
}

impl Verdict {
    /// `reason`, once there was no sound for long enough.
    fn after(now: MonoTime, since: MonoTime, reason: Reason) -> Option<Self> {
        (now.since(since) >= SILENT_AFTER).then_some(Self { reason, since })
    }
}

/// True for a frame whose samples are all the same.
#[inline]
fn is_flat(payload: &[u8]) -> bool {
    payload.split_first().is_none_or(|(first, rest)| rest.iter().all(|byte| byte == first))
}

/// What was told of one direction.
#[derive(Debug)]
struct Telling {
    way: Way,
    told: Option<Verdict>,
    /// When the last silence that was told ended.
    ended_at: MonoTime,
    past: Tally,
}

impl Telling {
    const fn new(way: Way) -> Self {
        let past = Tally { total: Duration::ZERO, longest: None };
        Self { way, told: None, ended_at: MonoTime::ZERO, past }
    }

    /// What is to be told of `verdict`.
    fn turn(&mut self, now: MonoTime, verdict: Option<Verdict>) -> [Option<Notice>; 2] {
        let same = match (self.told, verdict) {
            (Some(told), Some(verdict)) => told.reason == verdict.reason,
            (told, verdict) => told.is_none() && verdict.is_none(),
        };
        if same {
            return [None; 2];
        }
        let notice = |told: Verdict, silent| Notice {
            way: self.way,
            reason: told.reason,
            silent,
            lasted: now.since(told.since),
        };
        // What was explained before is not explained again.
        let verdict = verdict.map(|new| Verdict { since: new.since.max(self.ended_at), ..new });
        let notices =
            [self.told.map(|told| notice(told, false)), verdict.map(|new| notice(new, true))];
        self.past = self.tally(now);
        if self.told.is_some() {
            self.ended_at = now;
        }
        // A reason that takes over explains what is left of the same silence.
        let begins = |verdict: Verdict| match self.told {
            Some(_) => Verdict { since: now, ..verdict },
            None => verdict,
        };
        self.told = verdict.map(begins);
        notices
    }

    fn tally(&self, now: MonoTime) -> Tally {
        let Some(told) = self.told else { return self.past };
        let lasted = now.since(told.since);
        let longer = self.past.longest.is_none_or(|(_, longest)| lasted > longest);
        Tally {
            total: self.past.total + lasted,
            longest: if longer { Some((told.reason, lasted)) } else { self.past.longest },
        }
    }
}

#[cfg(test)]
mod tests;
