//! A fact about a call.

use std::collections::BTreeMap;
use std::fmt;

use adapters::agent::{Direction, EndedBy};
use adapters::event::{AnsweredBy, Price, Recording};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Estimate, PickedCallerId, Recorded, StageFigures, State};
use crate::calls::cause::Cause;
use crate::config::Masked;
use crate::quota::rates::Rate;

/// Who says what happened to a call. Of two that tell different stories of its end, the one that
/// stands first here is believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// The server that holds the call.
    Node,
    /// The carrier that carries it.
    Carrier,
    /// Whoever found that nobody holds it any more.
    Watchdog,
}

impl Source {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Node, Self::Carrier, Self::Watchdog];

    /// The stable word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Node => "node",
            Self::Carrier => "carrier",
            Self::Watchdog => "watchdog",
        }
    }

    /// The source that this word names.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|source| source.as_str() == word)
    }
}

/// A fact about a call. Call, source and id together are unique: the same twice is one fact.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CallFact {
    /// The call.
    pub call: Uuid,
    /// Who says so.
    pub source: Source,
    /// What makes it unique among what its source says of the call.
    pub id: String,
    /// When it happened, in microseconds since 1970.
    pub at_us: i64,
    /// What happened.
    pub what: What,
}

/// What happened to a call.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum What {
    /// It began.
    Initiated(Box<Began>),
    /// It waits for its turn.
    Queued,
    /// The called party is alerted.
    Ringing,
    /// The peer's side is heard before the answer.
    EarlyMedia,
    /// It was answered.
    Answered,
    /// A machine or a person answered.
    AnsweredBy {
        /// Which.
        who: AnsweredBy,
    },
    /// An agent is connected.
    AgentConnected {
        /// Its name.
        agent: String,
        /// It had the call before.
        resumed: bool,
    },
    /// The agent's connection broke.
    AgentLost {
        /// Its name.
        agent: String,
    },
    /// The peer is on hold, or back.
    Hold {
        /// Which of them.
        on: bool,
    },
    /// A transfer moved on.
    Transfer {
        /// Which; absent of one that was not even begun.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        id: Option<Uuid>,
        /// How far.
        state: String,
        /// Why it failed.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        cause: Option<String>,
        /// What was asked for, of one that begins.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        asked: Option<Box<Asked>>,
    },
    /// It ends soon, as it reaches a limit.
    Expiring {
        /// How soon, in milliseconds.
        left_ms: u64,
    },
    /// A sound that the API lets the peer hear moved on.
    Play {
        /// Which.
        id: Uuid,
        /// "queued", "started", "played" or "cleared".
        state: String,
        /// How long it is if it is queued, else how much of it was heard, in milliseconds.
        ms: u64,
    },
    /// Somebody else took the peer's place.
    Replaced,
    /// Its peer is a person on a web page.
    WebPhone {
        /// Who, as the audit log names users.
        user: String,
    },
    /// It is placed at another server.
    PlacedElsewhere {
        /// The final SIP status of the one before.
        sip_status: u16,
    },
    /// It goes on through another trunk, or by another configuration.
    LineChanged {
        /// Name of the trunk, or of the configuration of a carrier.
        trunk: Option<String>,
        /// The configuration, if it is one of the store.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        configuration: Option<Uuid>,
    },
    /// The number that it is placed from was picked.
    CallerIdPicked(Box<PickedCallerId>),
    /// A carrier has it, and calls it so.
    AtCarrier {
        /// The carrier.
        provider: String,
        /// Its id of the call.
        call: String,
    },
    /// It waits in a queue, or does so no longer.
    Queue {
        /// The queue.
        queue: String,
        /// "joined"; "answered" by a member; "full" or "overflowed", as there was no place or it
        /// waited for too long; "abandoned" by its caller; "left" for somebody else.
        state: String,
        /// Its place in the order as it joined: the first is 1.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        position: Option<usize>,
        /// The member that has it.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        member: Option<String>,
        /// How long it has waited, in milliseconds.
        waited_ms: u64,
    },
    /// It is put aside.
    Parked {
        /// Where.
        slot: String,
        /// Its agent stays.
        keep_agent: bool,
        /// How long it may be there, in milliseconds.
        timeout_ms: u64,
    },
    /// Somebody has taken it up again.
    Unparked {
        /// Where it was.
        slot: String,
        /// How long, in milliseconds.
        waited_ms: u64,
    },
    /// Nobody has taken it up in time: it goes back to its agent.
    ParkTimedOut {
        /// Where it was.
        slot: String,
        /// How long, in milliseconds.
        waited_ms: u64,
    },
    /// Its recording changed.
    Recording {
        /// How it stands.
        state: String,
        /// The one that its carrier has made and keeps, if it is that.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        at_carrier: Option<Box<Recording>>,
        /// The one that this server makes, if it is that.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        at_server: Option<Box<Recorded>>,
    },
    /// Its caller has left a message.
    Voicemail {
        /// Names it.
        id: Uuid,
        /// Name of the agent that took it.
        agent: String,
        /// How long it is, in milliseconds.
        duration_ms: u64,
    },
    /// A direction carries no sound any more, or does again.
    Silence {
        /// "in" or "out".
        direction: String,
        /// What kind.
        reason: String,
        /// It begins; otherwise it is over.
        silent: bool,
        /// How long it lasts, in milliseconds.
        since_ms: u64,
    },
    /// The PBX that owns it was asked for something.
    ExternalPbx {
        /// What: "hangup", "transfer" or "update".
        action: String,
        /// "done", "failed", or "unknown": nobody knows whether it was.
        state: String,
        /// Why it was not, in a word.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        cause: Option<String>,
        /// The same in a sentence.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        reason: Option<String>,
        /// Names of the fields that an update changes.
        #[serde(skip_serializing_if = "Vec::is_empty", default)]
        fields: Vec<String>,
    },
    /// What it costs by the table of rates.
    Rated(Box<Rate>),
    /// A leg beside those of the call is over, and has cost this by the table of rates.
    LegCharged(Box<Estimate>),
    /// The carrier told its price.
    Priced(Price),
    /// How its media fared.
    Quality(Box<QualitySummary>),
    /// It is over.
    Ended(Box<Ended>),
}

/// A transfer that was asked for.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    /// How it is carried out.
    pub kind: String,
    /// Whom to, as it was named.
    pub destination: String,
    /// The call that is joined.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub other_call: Option<Uuid>,
    /// Options by name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub options: BTreeMap<String, String>,
}

/// Without the destination: it is somebody's number.
impl fmt::Debug for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Asked").field("kind", &self.kind).finish_non_exhaustive()
    }
}

impl What {
    /// The stable word for it: the type of an event is `call.` and this.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Initiated(_) => "initiated",
            Self::Queued => "queued",
            Self::Ringing => "ringing",
            Self::EarlyMedia => "early_media",
            Self::Answered => "answered",
            Self::AnsweredBy { .. } => "answered_by",
            Self::AgentConnected { .. } => "agent_connected",
            Self::AgentLost { .. } => "agent_lost",
            Self::Hold { .. } => "hold",
            Self::Transfer { .. } => "transfer",
            Self::Expiring { .. } => "expiring",
            Self::Play { .. } => "play",
            Self::Replaced => "replaced",
            Self::WebPhone { .. } => "web_phone",
            Self::PlacedElsewhere { .. } => "placed_elsewhere",
            Self::LineChanged { .. } => "line_changed",
            Self::CallerIdPicked(_) => "caller_id_picked",
            Self::AtCarrier { .. } => "at_carrier",
            Self::Queue { .. } => "queue",
            Self::Parked { .. } => "parked",
            Self::Unparked { .. } => "unparked",
            Self::ParkTimedOut { .. } => "park_timed_out",
            Self::Recording { .. } => "recording",
            Self::Voicemail { .. } => "voicemail",
            Self::Silence { .. } => "silence",
            Self::ExternalPbx { .. } => "external_pbx",
            Self::Rated(_) => "rated",
            Self::LegCharged(_) => "leg_charged",
            Self::Priced(_) => "priced",
            Self::Quality(_) => "quality",
            Self::Ended(_) => "ended",
        }
    }

    /// True for what is told of a call however much else was.
    pub const fn is_told_always(&self) -> bool {
        matches!(self, Self::Ended(_) | Self::Quality(_) | Self::Voicemail { .. })
    }

    /// The state that it proves the call to have reached, ends aside.
    pub const fn reaches(&self) -> Option<State> {
        match self {
            Self::Initiated(_) => Some(State::Initiated),
            Self::Queued => Some(State::Queued),
            Self::Ringing | Self::EarlyMedia => Some(State::Ringing),
            Self::Answered | Self::AnsweredBy { .. } => Some(State::InProgress),
            _ => None,
        }
    }
}

/// How a call began.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Began {
    /// The organisation that it belongs to.
    pub organisation: Uuid,
    /// Who called whom.
    #[serde(with = "direction")]
    pub direction: Direction,
    /// The calling address.
    pub from: String,
    /// The called address.
    pub to: String,
    /// Name of its trunk.
    pub trunk: Option<String>,
    /// Name of its agent.
    pub agent: String,
    /// The configuration that it came by, if that is one of the store.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub configuration: Option<Uuid>,
}

impl fmt::Debug for Began {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Began")
            .field("direction", &self.direction)
            .field("from", &format_args!("{}", Masked(&self.from)))
            .field("to", &format_args!("{}", Masked(&self.to)))
            .field("trunk", &self.trunk)
            .field("agent", &self.agent)
            .finish_non_exhaustive()
    }
}

/// How a call ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ended {
    /// Why.
    pub cause: Cause,
    /// By whom, if that is known.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub by: Option<EndedBy>,
    /// Whether it had been answered; if the source does not know, the other facts tell.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub answered: Option<bool>,
    /// From the answer to the end in milliseconds, if the source knows.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub duration_ms: Option<u64>,
    /// The final SIP status.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub sip_status: Option<u16>,
    /// The cause value of Q.850.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub q850: Option<u8>,
    /// Why, in the words of peer or carrier.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reason: Option<String>,
    /// Of a call that its carrier has connected with somebody else: how long it may go on there and
    /// counts for limits, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub held_ms: Option<u64>,
}

impl Ended {
    /// An end of which no more is known than its cause.
    pub const fn new(cause: Cause) -> Self {
        Self {
            cause,
            by: None,
            answered: None,
            duration_ms: None,
            sip_status: None,
            q850: None,
            reason: None,
            held_ms: None,
        }
    }
}

/// How the media of a call fared.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct QualitySummary {
    /// Packets heard.
    pub packets_in: u64,
    /// Packets sent.
    pub packets_out: u64,
    /// Packets that never came.
    pub lost: u64,
    /// Fraction of packets lost, 0 to 1.
    pub loss: f32,
    /// Interarrival jitter in milliseconds (RFC 3550 6.4.1).
    pub jitter_ms: f32,
    /// Estimated mean opinion score of what we heard, 1 to 4.41; absent if nothing was.
    pub mos: Option<f32>,
    /// The peer's estimate of what it heard of us, if it sent extended reports.
    pub remote_mos: Option<f32>,
    /// The last round trip in milliseconds, if the peer reports.
    pub round_trip_ms: Option<f32>,
    /// From the answer to the agent's first audio on the wire, in milliseconds.
    pub first_audio_ms: Option<f32>,
    /// Times that the agent had nothing to play in mid-utterance.
    pub underruns: u64,
    /// Frames that the agent was too slow for.
    pub agent_skipped: u64,
    /// Why the peer was silent: the reason that held longest.
    #[serde(default)]
    pub silence_in: Option<String>,
    /// Milliseconds of silence from the peer.
    pub silence_in_ms: u64,
    /// Why nothing was said to the peer: the reason that held longest.
    #[serde(default)]
    pub silence_out: Option<String>,
    /// Milliseconds of silence towards the peer.
    pub silence_out_ms: u64,
    /// How long the steps of its frames took, in the order of their way.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub stages: Vec<StageFigures>,
}

/// How the media of a call fare at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct QualitySample {
    /// When, in microseconds since 1970.
    #[serde(skip)]
    pub at_us: i64,
    /// Fraction of packets lost so far, 0 to 1.
    pub loss: f32,
    /// Interarrival jitter in milliseconds (RFC 3550 6.4.1).
    pub jitter_ms: f32,
    /// Audio queued towards the caller, in milliseconds.
    pub buffer_ms: u64,
    /// Estimated mean opinion score, 1 to 4.41.
    pub mos: f32,
    /// Round trip to the caller in milliseconds, if known.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub round_trip_ms: Option<f32>,
    /// Times so far that the agent had nothing to play in mid-utterance; absent from samples of
    /// versions that did not keep it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub underruns: Option<u64>,
}

/// The word for a direction.
pub const fn direction_word(direction: Direction) -> &'static str {
    crate::calls::live::direction(direction)
}

/// The direction that this word names.
pub fn direction_from_word(word: &str) -> Option<Direction> {
    let mut all = [Direction::Inbound, Direction::Outbound].into_iter();
    all.find(|direction| direction_word(*direction) == word)
}

/// Directions as their words.
mod direction {
    use adapters::agent::Direction;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(way: &Direction, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(super::direction_word(*way))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Direction, D::Error> {
        let word = String::deserialize(from)?;
        let unknown = || serde::de::Error::custom(format!("no direction: {word}"));
        super::direction_from_word(&word).ok_or_else(unknown)
    }
}
