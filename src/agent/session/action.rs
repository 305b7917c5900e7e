//! What a session wants done.

use std::fmt;

use adapters::agent::{
    AgentEvent, Basis, CallState, DtmfSource, EndedBy, Framing, MarkStatus, RecordOrder,
    StreamFormat, StreamInfo, UtteranceReport,
};

use media::silence::Notice;

use crate::agent::wire::CloseCode;

/// One thing to do, in the order in which they come.
#[derive(Clone, Debug)]
pub enum Action {
    /// Tell the agent.
    Send(Outgoing),
    /// Send a WebSocket ping with this payload.
    Ping([u8; 8]),
    /// Close the socket with this code, after what was sent before.
    Close(CloseCode),
    /// Drop the connection: nobody is there to close it with.
    Abort,
    /// Do something with the call.
    Call(Control),
}

/// What an agent, or the loss of one, means for the call.
///
/// Its `Debug` tells neither digits nor whom a call is handed to.
#[derive(Clone, PartialEq)]
pub enum Control {
    /// From the next message on these formats hold.
    Configured {
        /// Format of the audio towards the agent.
        to_agent: StreamFormat,
        /// Format of the audio from the agent.
        from_agent: StreamFormat,
        /// How audio is framed.
        framing: Framing,
    },
    /// Answer the caller.
    Answer {
        /// SIP header fields to add, by name; they have been checked.
        headers: Vec<(String, String)>,
    },
    /// Refuse the caller.
    Reject {
        /// Why, as the agent says.
        cause: Option<String>,
    },
    /// Empty the playout queue and the carrier's; feed every mark and then the result back.
    Clear,
    /// Begin an utterance in the playout queue.
    Utterance {
        /// Its name.
        id: String,
    },
    /// Put a mark into the playout queue.
    Mark {
        /// Its name.
        name: String,
    },
    /// Let the playout queue run out without waiting for more, and report when it has
    /// ([`super::AgentSession::drained`]).
    Flush,
    /// Send digits to the caller.
    Dtmf {
        /// `0-9`, `A-D`, `*`, `#`.
        digits: String,
        /// Length of each in milliseconds.
        duration_ms: u32,
        /// Pause between them in milliseconds.
        gap_ms: u32,
    },
    /// Hand the call to somebody else.
    Transfer {
        /// The word for a kind of transfer, or "cancel".
        kind: String,
        /// Number or SIP URI.
        destination: String,
        /// Further wishes by name.
        options: Vec<(String, String)>,
        /// SIP header fields to add, by name; they have been checked.
        headers: Vec<(String, String)>,
    },
    /// Whether the caller hears the agent.
    Mute(bool),
    /// Whether the caller is on hold.
    Hold(bool),
    /// Record the call, or change how it is recorded.
    Record(RecordOrder),
    /// Change these fields of the customer's record at the PBX that owns the call.
    Update(Vec<(String, String)>),
    /// End the call.
    Hangup {
        /// Why, as the agent says.
        cause: Option<String>,
    },
    /// The agent is gone though the call is not over: redial within the grace period, then the
    /// route's fallback.
    Lost(Loss),
}

/// How an agent was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// It closed its socket with this code, or the connection broke.
    Closed(Option<u16>),
    /// It did not answer a ping.
    Silent,
    /// This server closed the socket because of what the agent sent.
    Refused(CloseCode),
}

/// An event for the agent that owns what it tells. Its `Debug` is that of the event.
#[derive(Clone)]
pub enum Outgoing {
    /// See [`AgentEvent::Start`].
    Start(Box<StreamInfo>),
    /// See [`AgentEvent::Configured`].
    Configured(Box<(StreamInfo, Vec<&'static str>)>),
    /// See [`AgentEvent::State`].
    State(CallState),
    /// See [`AgentEvent::Mark`].
    Mark {
        /// The agent's name for it.
        name: String,
        /// How it ended.
        status: MarkStatus,
        /// The agent's own samples played before it.
        samples: u64,
        /// The same in milliseconds.
        played_ms: u64,
        /// What that rests on.
        basis: Basis,
    },
    /// See [`AgentEvent::Cleared`].
    Cleared {
        /// Milliseconds of audio that were dropped.
        dropped_ms: u64,
        /// The agent's own samples played.
        samples: u64,
        /// What that rests on.
        basis: Basis,
        /// Each utterance since the clear before.
        utterances: Vec<UtteranceReport>,
    },
    /// See [`AgentEvent::Dtmf`].
    Dtmf {
        /// The digit.
        digit: char,
        /// Its length in milliseconds.
        duration_ms: u32,
        /// Where it was heard.
        source: DtmfSource,
    },
    /// See [`AgentEvent::Transfer`].
    Transfer {
        /// How far it is.
        state: &'static str,
        /// Why it failed.
        cause: Option<String>,
    },
    /// See [`AgentEvent::Record`].
    Record {
        /// How it stands.
        state: &'static str,
    },
    /// See [`AgentEvent::Speech`].
    Speech {
        /// True if the caller began to speak.
        started: bool,
        /// Milliseconds since `start`.
        at_ms: u64,
    },
    /// See [`AgentEvent::Underrun`].
    Underrun {
        /// For how long.
        ms: u64,
    },
    /// See [`AgentEvent::Expiring`].
    Expiring {
        /// How soon the call ends, in milliseconds.
        left_ms: u64,
    },
    /// See [`AgentEvent::Silence`].
    Silence(Notice),
    /// See [`AgentEvent::Quality`].
    Quality(Quality),
    /// See [`AgentEvent::Error`].
    Error {
        /// A stable word of [`super::error_code`].
        code: &'static str,
        /// For a person.
        message: String,
        /// True if the socket closes because of it.
        fatal: bool,
    },
    /// See [`AgentEvent::Stop`].
    Stop {
        /// Why the call ended.
        cause: String,
        /// Who ended it.
        by: EndedBy,
        /// From answer to end, in milliseconds.
        duration_ms: u64,
    },
}

/// How the media of a call fare.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Quality {
    /// Fraction of packets lost, 0 to 1.
    pub loss: f32,
    /// Interarrival jitter in milliseconds (RFC 3550 6.4.1).
    pub jitter_ms: f32,
    /// Audio queued towards the caller, in milliseconds.
    pub buffer_ms: u64,
    /// Estimated mean opinion score, 1 to 4.5.
    pub mos: f32,
    /// Round trip to the caller in milliseconds, if known.
    pub round_trip_ms: Option<f32>,
    /// Times so far that the agent had nothing to play in mid-utterance.
    pub underruns: u64,
}

impl Outgoing {
    /// The event as a dialect takes it.
    pub fn event(&self) -> AgentEvent<'_> {
        match self {
            Self::Start(info) => AgentEvent::Start(info),
            Self::Configured(held) => AgentEvent::Configured { info: &held.0, wants: &held.1 },
            Self::State(state) => AgentEvent::State(*state),
            Self::Mark { name, status, samples, played_ms, basis } => AgentEvent::Mark {
                name,
                status: *status,
                samples: *samples,
                played_ms: *played_ms,
                basis: *basis,
            },
            Self::Cleared { dropped_ms, samples, basis, utterances } => AgentEvent::Cleared {
                dropped_ms: *dropped_ms,
                samples: *samples,
                basis: *basis,
                utterances,
            },
            Self::Dtmf { digit, duration_ms, source } => {
                AgentEvent::Dtmf { digit: *digit, duration_ms: *duration_ms, source: *source }
            }
            Self::Transfer { state, cause } => {
                AgentEvent::Transfer { state, cause: cause.as_deref() }
            }
            Self::Record { state } => AgentEvent::Record { state },
            Self::Speech { started, at_ms } => {
                AgentEvent::Speech { started: *started, at_ms: *at_ms }
            }
            Self::Underrun { ms } => AgentEvent::Underrun { ms: *ms },
            Self::Expiring { left_ms } => AgentEvent::Expiring { left_ms: *left_ms },
            Self::Silence(notice) => AgentEvent::Silence(*notice),
            Self::Quality(quality) => quality.event(),
            Self::Error { code, message, fatal } => {
                AgentEvent::Error { code, message, fatal: *fatal }
            }
            Self::Stop { cause, by, duration_ms } => {
                AgentEvent::Stop { cause, by: *by, duration_ms: *duration_ms }
            }
        }
    }
}

impl Quality {
    const fn event(&self) -> AgentEvent<'static> {
        AgentEvent::Quality {
            loss: self.loss,
            jitter_ms: self.jitter_ms,
            buffer_ms: self.buffer_ms,
            mos: self.mos,
            round_trip_ms: self.round_trip_ms,
        }
    }
}

impl fmt::Debug for Outgoing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.event().fmt(f)
    }
}

impl fmt::Debug for Control {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Configured { to_agent, from_agent, framing } => f
                .debug_struct("Configured")
                .field("to_agent", to_agent)
                .field("from_agent", from_agent)
                .field("framing", framing)
                .finish(),
            Self::Answer { headers } => {
                f.debug_struct("Answer").field("headers", &headers.len()).finish()
            }
            Self::Reject { cause } => f.debug_struct("Reject").field("cause", cause).finish(),
            Self::Clear => f.write_str("Clear"),
            Self::Utterance { id } => f.debug_struct("Utterance").field("id", id).finish(),
            Self::Mark { name } => f.debug_struct("Mark").field("name", name).finish(),
            Self::Flush => f.write_str("Flush"),
            Self::Dtmf { digits, duration_ms, gap_ms } => f
                .debug_struct("Dtmf")
                .field("digits", &digits.len())
                .field("duration_ms", duration_ms)
                .field("gap_ms", gap_ms)
                .finish(),
            Self::Transfer { kind, .. } => {
                f.debug_struct("Transfer").field("kind", kind).finish_non_exhaustive()
            }
            Self::Mute(on) => f.debug_tuple("Mute").field(on).finish(),
            Self::Hold(on) => f.debug_tuple("Hold").field(on).finish(),
            Self::Record(order) => f.debug_tuple("Record").field(order).finish(),
            Self::Update(fields) => f.debug_tuple("Update").field(&fields.len()).finish(),
            Self::Hangup { cause } => f.debug_struct("Hangup").field("cause", cause).finish(),
            Self::Lost(loss) => f.debug_tuple("Lost").field(loss).finish(),
        }
    }
}
