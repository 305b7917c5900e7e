//! What happened to a call, in the same words for every carrier.

use serde::{Deserialize, Serialize};

use crate::address::Address;
use crate::secret::Pii;

/// A carrier's own id of a call. Opaque; never put into a path without
/// [`escape`](crate::exchange::escape).
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(transparent)]
pub struct CarrierCallId(pub String);

/// A fact about a call, from a carrier's hook, stream or flow.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CallEvent {
    /// The call it is about.
    pub call: CarrierCallId,
    /// What makes the fact unique for the call, if the carrier tells: the same twice is one fact.
    pub id: Option<String>,
    /// When it happened by the carrier's clock, in milliseconds since 1970, if the carrier tells.
    pub at_unix_ms: Option<u64>,
    /// What happened.
    pub what: CallFact,
}

/// What happened to a call.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum CallFact {
    /// The carrier took the call.
    Initiated,
    /// The called party is alerted.
    Ringing,
    /// Audio flows before the answer.
    EarlyMedia,
    /// The called party answered.
    Answered,
    /// A machine or a person answered.
    AnsweredBy {
        /// Which.
        who: AnsweredBy,
    },
    /// The carrier's media stream began.
    StreamStarted,
    /// The carrier's media stream ended.
    StreamStopped,
    /// The carrier could not open its media stream, or lost it.
    StreamFailed {
        /// The carrier's own code or word.
        code: Option<String>,
    },
    /// A digit was pressed.
    Dtmf {
        /// `0-9`, `A-D`, `*`, `#`; of a person, so not for a log.
        digit: Pii,
    },
    /// A transfer moved on.
    Transfer {
        /// How far.
        state: TransferState,
        /// Which.
        #[serde(skip_serializing_if = "TransferOf::is_unknown")]
        of: TransferOf,
    },
    /// A recording that the carrier made is there.
    Recorded(Recording),
    /// The carrier told its price.
    Priced(Price),
    /// The call is over.
    Ended(Ended),
}

impl CallFact {
    /// That a transfer moved on of which the carrier does not say which it is.
    pub const fn transfer(state: TransferState) -> Self {
        Self::Transfer { state, of: TransferOf { id: None, leg: None, cause: None } }
    }

    /// True for what is said of the media stream. At some carriers it is a call of its own, with an
    /// id that nobody else knows: such a fact is about the call that the hook's address names.
    pub const fn is_of_stream(&self) -> bool {
        matches!(self, Self::StreamStarted | Self::StreamStopped | Self::StreamFailed { .. })
    }
}

/// Who answered, as a carrier's detection says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AnsweredBy {
    /// A person.
    Human,
    /// A machine that still speaks.
    MachineStart,
    /// A machine that has finished and listens.
    MachineEnd,
    /// A fax machine.
    Fax,
    /// The detection could not tell.
    Unknown,
}

/// How far a transfer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TransferState {
    /// The destination is being called.
    Trying,
    /// The destination answered.
    Answered,
    /// Caller and destination are connected.
    Done,
    /// It came to nothing; the caller is still with the agent.
    Failed,
}

/// Which transfer a fact is about, as far as the carrier repeats it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct TransferOf {
    /// Its [id](crate::op::Transfer::id).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The leg that the fact comes from, if that was called apart
    /// ([`Attended`](crate::op::TransferKind::Attended)): to be ended if nothing comes of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub leg: Option<CarrierCallId>,
    /// Why it came to nothing, if it did and the carrier tells.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cause: Option<HangupCause>,
}

impl TransferOf {
    /// True if nothing is known of it.
    pub const fn is_unknown(&self) -> bool {
        self.id.is_none() && self.leg.is_none() && self.cause.is_none()
    }
}

/// What a carrier takes for a call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Price {
    /// A decimal number as the carrier wrote it, without sign: never a float.
    pub amount: String,
    /// ISO 4217 code.
    pub currency: String,
}

/// A recording at a carrier.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recording {
    /// The carrier's id of it.
    pub id: String,
    /// Where the carrier keeps it; to be fetched with the credentials of the configuration.
    pub url: Option<String>,
    /// Its length in milliseconds, if the carrier tells.
    pub duration_ms: Option<u64>,
}

/// How a call ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Ended {
    /// Why.
    pub cause: HangupCause,
    /// The final SIP status, if the carrier tells.
    pub sip_status: Option<u16>,
    /// From answer to end in milliseconds, if the carrier tells.
    pub duration_ms: Option<u64>,
    /// The carrier's own word or code for it.
    pub raw: Option<String>,
}

/// Why a call ended, as far as a carrier tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum HangupCause {
    /// Somebody hung up after the answer.
    Normal,
    /// The calling side gave up before the answer.
    Cancelled,
    /// The called party is busy.
    Busy,
    /// The called party did not answer in time.
    NoAnswer,
    /// The called party refused.
    Rejected,
    /// Nobody has that number.
    NotFound,
    /// The network had no room.
    Congestion,
    /// The network failed, or the carrier could not place the call.
    Failed,
    /// The carrier does not say.
    Unknown,
}

impl HangupCause {
    /// Every cause.
    pub const ALL: [Self; 9] = [
        Self::Normal,
        Self::Cancelled,
        Self::Busy,
        Self::NoAnswer,
        Self::Rejected,
        Self::NotFound,
        Self::Congestion,
        Self::Failed,
        Self::Unknown,
    ];

    /// The stable word for it: a label of metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Normal => "normal",
            Self::Cancelled => "cancelled",
            Self::Busy => "busy",
            Self::NoAnswer => "no_answer",
            Self::Rejected => "rejected",
            Self::NotFound => "not_found",
            Self::Congestion => "congestion",
            Self::Failed => "failed",
            Self::Unknown => "unknown",
        }
    }

    /// The cause that a Q.850 value means (ITU-T Q.850 table 1).
    pub const fn from_q850(value: u8) -> Self {
        match value {
            16 | 31 => Self::Normal,
            17 => Self::Busy,
            18..=20 => Self::NoAnswer,
            21 => Self::Rejected,
            1..=3 | 22 | 28 => Self::NotFound,
            34 | 42..=44 | 46 | 47 => Self::Congestion,
            0 => Self::Unknown,
            _ => Self::Failed,
        }
    }

    /// The cause that a final SIP status of an INVITE means (RFC 3398 8.2.6.1 in short).
    pub const fn from_sip(status: u16) -> Self {
        match status {
            200..=299 => Self::Normal,
            486 | 600 => Self::Busy,
            408 | 480 => Self::NoAnswer,
            404 | 410 | 484 | 604 => Self::NotFound,
            487 => Self::Cancelled,
            503 => Self::Congestion,
            403 | 603 | 607 => Self::Rejected,
            0..=199 => Self::Unknown,
            _ => Self::Failed,
        }
    }

    /// True if the same call may succeed a little later.
    pub const fn is_retryable(self) -> bool {
        matches!(self, Self::Busy | Self::NoAnswer | Self::Congestion)
    }
}

/// A call that a carrier offers.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct InboundCall {
    /// The carrier's id of it.
    pub call: CarrierCallId,
    /// Who calls; `None` if withheld, or if it is nothing that could be called back.
    pub from: Option<Address>,
    /// Who is called.
    pub to: Address,
    /// What the carrier adds, such as SIP headers, by name.
    pub extra: Vec<(String, Pii)>,
}

impl InboundCall {
    /// Names in [`extra`](Self::extra) that tell where the carrier keeps the call: see
    /// [`RawConfig::of_call`](crate::config::RawConfig::of_call).
    pub const PLACE: &[&str] = &["region_url"];
}

/// What a webhook or an event is about.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Meaning {
    /// Facts about calls; perhaps none.
    Events(Vec<CallEvent>),
    /// A call is offered; what becomes of it is told by [`Inbound`](crate::hook::Inbound).
    Offered(InboundCall),
    /// The carrier asks where the audio of a call goes: one that we placed was answered, its stream
    /// ended, or a transfer came to nothing. [`Inbound::answer`](crate::hook::Inbound::answer) says
    /// so while the call is wanted.
    Asked {
        /// The call.
        call: CarrierCallId,
        /// Facts that came with the question.
        events: Vec<CallEvent>,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Words are unique and are what serialisation writes.
    #[test]
    fn causes_have_unique_words() {
        for (index, cause) in HangupCause::ALL.iter().enumerate() {
            assert_eq!(serde_json::to_value(cause).unwrap(), cause.as_str());
            assert!(HangupCause::ALL.iter().skip(index + 1).all(|c| c.as_str() != cause.as_str()));
        }
    }

    /// The causes that the networks send most come out as what people call them.
    #[test]
    fn codes_of_the_networks() {
        for (q850, sip, cause) in [
            (16, 200, HangupCause::Normal),
            (17, 486, HangupCause::Busy),
            (19, 480, HangupCause::NoAnswer),
            (21, 603, HangupCause::Rejected),
            (1, 404, HangupCause::NotFound),
            (34, 503, HangupCause::Congestion),
            (38, 500, HangupCause::Failed),
            (0, 100, HangupCause::Unknown),
        ] {
            assert_eq!((HangupCause::from_q850(q850), HangupCause::from_sip(sip)), (cause, cause));
        }
        assert_eq!(HangupCause::from_sip(487), HangupCause::Cancelled);
        let retryable = HangupCause::ALL.iter().filter(|cause| cause.is_retryable());
        assert_eq!(retryable.count(), 3);
    }

    /// Neither numbers nor digits nor headers occur in `Debug`.
    #[test]
    fn debug_is_discreet() {
        let call = InboundCall {
            call: CarrierCallId("c1".into()),
            from: Address::parse("+15551234567", None).ok(),
            to: Address::parse("+4930123456", None).unwrap(),
            extra: vec![("X-Name".into(), Pii::new("Alice Smith"))],
        };
        let shown = format!("{call:?} {:?}", CallFact::Dtmf { digit: Pii::new("7") });
        for hidden in ["5551234", "30123", "Alice", "7\""] {
            assert!(!shown.contains(hidden), "{shown}");
        }
    }
}
