//! What a call and its agent say to each other, whatever dialect the agent's socket speaks.
//!
//! [`AgentCommand`] is what an agent asks for, [`AgentEvent`] what it is told. A [`Dialect`]
//! translates both to and from the messages of one WebSocket protocol; the native protocol
//! `talkpath.v1` (see `docs/protocol.md`) is the full set, other dialects cover what they can say.

mod debug;

use media::codec::AudioFormat;
use media::silence::Notice;

use crate::wire::WireError;

/// What an agent asks of its call.
///
/// Its `Debug` tells neither digits nor whom a call is handed to.
#[derive(Clone, PartialEq)]
pub enum AgentCommand {
    /// Formats and wishes, at most once and before the agent's first audio.
    Configure(Configure),
    /// Answer the caller (only if the route lets the agent answer).
    Answer {
        /// SIP header fields to add, by name.
        headers: Vec<(String, String)>,
    },
    /// Refuse the caller with a cause (only if the route lets the agent answer).
    Reject {
        /// Why: a word of `docs/protocol.md`, such as "busy".
        cause: Option<String>,
    },
    /// Drop everything not yet played.
    Clear,
    /// The audio that follows belongs to this utterance.
    Utterance {
        /// The agent's own name for it.
        id: String,
    },
    /// Report when all audio before this has been played.
    Mark {
        /// The agent's own name for it.
        name: String,
    },
    /// Send digits to the caller.
    Dtmf {
        /// `0-9`, `A-D`, `*`, `#`.
        digits: String,
        /// Length of each digit in milliseconds.
        duration_ms: Option<u32>,
        /// Pause between digits in milliseconds.
        gap_ms: Option<u32>,
    },
    /// Hand the call to somebody else.
    Transfer {
        /// "blind" or "attended".
        kind: String,
        /// Number or SIP URI.
        destination: String,
        /// Further wishes by name, such as a time-out.
        options: Vec<(String, String)>,
        /// SIP header fields to add, by name.
        headers: Vec<(String, String)>,
    },
    /// End the call.
    Hangup {
        /// At once instead of after what is queued has been played.
        now: bool,
        /// Why, as a word of `docs/protocol.md`.
        cause: Option<String>,
    },
    /// The caller no longer hears the agent.
    Mute,
    /// The caller hears the agent again.
    Unmute,
    /// Put the caller on hold.
    Hold,
    /// Take the caller back from hold.
    Resume,
    /// Record the call, or change how it is recorded.
    Record(RecordOrder),
    /// Change fields of the customer's record at the PBX that owns the call.
    Update {
        /// Values by name.
        fields: Vec<(String, String)>,
    },
}

/// What is asked of a call's recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordOrder {
    /// Begin.
    Start,
    /// End; the file is complete.
    Stop,
    /// Record silence until it resumes, as while a card's digits are said.
    Pause,
    /// Go on.
    Resume,
}

impl RecordOrder {
    /// The order that `word` means.
    pub fn from_word(word: &str) -> Option<Self> {
        Some(match word {
            "start" => Self::Start,
            "stop" => Self::Stop,
            "pause" => Self::Pause,
            "resume" => Self::Resume,
            _ => return None,
        })
    }
}

/// What an agent may settle before its first audio. `None` keeps what `start` offered.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Configure {
    /// Format of the audio towards the agent.
    pub to_agent: Option<FormatWish>,
    /// Format of the audio from the agent.
    pub from_agent: Option<FormatWish>,
    /// How audio is framed in binary messages.
    pub framing: Option<Framing>,
    /// Event groups it wants: "speech", "quality", "underrun", "silence".
    pub wants: Vec<String>,
}

/// A format as an agent names it; not every combination exists.
#[derive(Clone, Debug, PartialEq)]
pub struct FormatWish {
    /// "PCMU", "PCMA", "l16le", …
    pub codec: String,
    /// Samples a second; the codec's only rate when absent.
    pub rate_hz: Option<u32>,
    /// Milliseconds of audio a frame.
    pub ptime_ms: Option<u32>,
}

/// How audio is framed in the native protocol's binary messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// A 12-byte RTP header (RFC 3550 5.1) and the payload.
    Rtp,
    /// The payload only.
    Raw,
}

/// State of the call as an agent sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallState {
    /// The caller hears ringing.
    Ringing,
    /// Audio flows before the answer.
    Early,
    /// The call is up.
    Answered,
}

/// Who called whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// The call came to us.
    Inbound,
    /// We placed the call.
    Outbound,
}

/// A format that holds, as told to an agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamFormat {
    /// Codec and rate.
    pub audio: AudioFormat,
    /// Milliseconds of audio a frame.
    pub ptime_ms: u32,
}

/// All that an agent is told when its stream of a call starts.
///
/// Its `Debug` tells neither addresses nor what variables and headers hold.
#[derive(Clone)]
pub struct StreamInfo {
    /// Our id of the call.
    pub call_id: String,
    /// The stream's number on its socket: the SSRC of the call's audio.
    pub stream: u32,
    /// Who called whom.
    pub direction: Direction,
    /// The calling address.
    pub from: String,
    /// The called address.
    pub to: String,
    /// Name of the provider in the table.
    pub provider: String,
    /// Name of the trunk the call came by, if any.
    pub trunk: Option<String>,
    /// State at this moment.
    pub state: CallState,
    /// Format of the audio towards the agent.
    pub to_agent: StreamFormat,
    /// Format of the audio from the agent.
    pub from_agent: StreamFormat,
    /// How audio is framed.
    pub framing: Framing,
    /// Variables of the call, for the agent's use.
    pub variables: Vec<(String, String)>,
    /// SIP headers that the trunk lets through.
    pub headers: Vec<(String, String)>,
    /// True when this socket replaces one that broke.
    pub resumed: bool,
    /// What the agent may ask for.
    pub features: Vec<&'static str>,
}

/// How a mark ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MarkStatus {
    /// All audio before it was played.
    Played,
    /// Audio before it was dropped.
    Cleared,
}

/// What a statement about played audio rests on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Basis {
    /// We clocked the packets onto the wire.
    Wire,
    /// The carrier's own mark came back.
    Carrier,
    /// Computed from what the carrier was given.
    Estimate,
}

/// What became of one utterance by the time of a clear.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UtteranceReport {
    /// The agent's own name for it.
    pub id: String,
    /// The agent's samples of it that were played.
    pub samples: u64,
    /// True if all of it was played.
    pub complete: bool,
}

/// Where a digit was heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DtmfSource {
    /// RFC 4733 events.
    Rtp,
    /// SIP INFO.
    Info,
    /// Tones in the audio.
    Inband,
    /// The carrier's own message.
    Carrier,
}

/// Who ended a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EndedBy {
    /// The caller (or, outbound, the called party).
    Caller,
    /// The agent.
    Agent,
    /// Something between us and the caller.
    Network,
    /// The carrier.
    Carrier,
    /// This server.
    Server,
}

impl EndedBy {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::Caller, Self::Agent, Self::Network, Self::Carrier, Self::Server];

    /// The stable word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Caller => "caller",
            Self::Agent => "agent",
            Self::Network => "network",
            Self::Carrier => "carrier",
            Self::Server => "server",
        }
    }

    /// Whom this word names.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|by| by.as_str() == word)
    }
}

/// What an agent is told about its call.
///
/// Its `Debug` tells no digit.
#[derive(Clone)]
pub enum AgentEvent<'a> {
    /// First of all.
    Start(&'a StreamInfo),
    /// What holds after `configure`.
    Configured {
        /// Formats and framing from now on.
        info: &'a StreamInfo,
        /// The event groups that will be sent.
        wants: &'a [&'static str],
    },
    /// The state changed.
    State(CallState),
    /// A mark came due.
    Mark {
        /// The agent's name for it.
        name: &'a str,
        /// How it ended.
        status: MarkStatus,
        /// The agent's own samples played since `start`, at its rate, without fill.
        samples: u64,
        /// The same in milliseconds.
        played_ms: u64,
        /// What that rests on.
        basis: Basis,
    },
    /// A clear was carried out.
    Cleared {
        /// Milliseconds of audio that were dropped.
        dropped_ms: u64,
        /// The agent's own samples played since `start`, at its rate, without fill.
        samples: u64,
        /// What that rests on.
        basis: Basis,
        /// Each utterance that was not yet reported.
        utterances: &'a [UtteranceReport],
    },
    /// The caller pressed a key.
    Dtmf {
        /// `0-9`, `A-D`, `*`, `#`.
        digit: char,
        /// Length in milliseconds.
        duration_ms: u32,
        /// Where it was heard.
        source: DtmfSource,
    },
    /// A transfer moved on.
    Transfer {
        /// "failed", "trying", "done", …
        state: &'a str,
        /// Why, if it failed.
        cause: Option<&'a str>,
    },
    /// The call's recording changed.
    Record {
        /// "recording", "paused", "stopped", "failed".
        state: &'a str,
    },
    /// The caller began or stopped to speak.
    Speech {
        /// True if the caller began.
        started: bool,
        /// When, in milliseconds since `start`.
        at_ms: u64,
    },
    /// The agent had nothing to play in mid-utterance.
    Underrun {
        /// For how long.
        ms: u64,
    },
    /// The call ends soon, as it reaches a limit.
    Expiring {
        /// How soon, in milliseconds.
        left_ms: u64,
    },
    /// A direction carries no sound any more, or does again.
    Silence(Notice),
    /// How the media fares.
    Quality {
        /// Fraction of packets lost, 0 to 1.
        loss: f32,
        /// Interarrival jitter in milliseconds (RFC 3550 6.4.1).
        jitter_ms: f32,
        /// Audio queued towards the caller, in milliseconds.
        buffer_ms: u64,
        /// Estimated mean opinion score, 1 to 4.5.
        mos: f32,
        /// Round trip to the caller in milliseconds, if known.
        round_trip_ms: Option<f32>,
    },
    /// Something the agent sent was wrong.
    Error {
        /// A stable word, such as "bad_json".
        code: &'a str,
        /// For a person.
        message: &'a str,
        /// True if the socket closes because of it.
        fatal: bool,
    },
    /// Last of all.
    Stop {
        /// A word of `docs/protocol.md`.
        cause: &'a str,
        /// Who ended it.
        by: EndedBy,
        /// From answer to end, in milliseconds.
        duration_ms: u64,
    },
}

/// Kind of a WebSocket data message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageKind {
    /// UTF-8 text.
    Text,
    /// Bytes.
    Binary,
}

/// What one message of an agent means.
#[derive(Debug, PartialEq)]
pub enum AgentInput<'a> {
    /// Audio in the format that holds; a slice of the message, decoded in place.
    Audio(&'a [u8]),
    /// Something to do.
    Command(AgentCommand),
    /// Nothing: an event of a newer version, a greeting.
    Nothing,
}

/// One audio frame on its way to an agent.
#[derive(Clone, Copy, Debug)]
pub struct AgentFrame<'a> {
    /// Sequence number, gaps visible.
    pub seq: u16,
    /// Media time in the codec's clock, gaps visible.
    pub ts: u32,
    /// First frame of a talkspurt.
    pub marker: bool,
    /// Coded audio.
    pub payload: &'a [u8],
}

/// Translates between an agent's WebSocket messages and the call.
///
/// One value per stream. Pure: no I/O, no clock.
pub trait Dialect: Send {
    /// The formats this dialect speaks, given what the agent is configured for and the caller's
    /// codec: towards the agent, from the agent.
    fn formats(
        &self,
        wished: Option<StreamFormat>,
        caller: StreamFormat,
    ) -> (StreamFormat, StreamFormat);

    /// Appends the messages that tell `event` to `out`, each through [`Outbox::message`]. Events
    /// that the dialect has no word for append nothing.
    fn event(&mut self, event: &AgentEvent<'_>, out: &mut dyn Outbox);

    /// Appends the message that carries `frame` to `out` and tells its kind. Appends nothing if the
    /// dialect sends no audio now.
    fn audio(&mut self, frame: &AgentFrame<'_>, out: &mut Vec<u8>) -> MessageKind;

    /// Reads one message, decoding audio in place.
    ///
    /// # Errors
    ///
    /// A [`WireError`] that names what is wrong with the message.
    fn read<'m>(
        &mut self,
        kind: MessageKind,
        message: &'m mut [u8],
    ) -> Result<AgentInput<'m>, WireError>;
}

/// Takes messages for an agent's socket.
pub trait Outbox {
    /// Takes one whole message.
    fn message(&mut self, kind: MessageKind, bytes: &[u8]);
}

/// An entry of the static table of dialects.
pub struct DialectSpec {
    /// Name in configuration: `dialect = "…"`.
    pub name: &'static str,
    /// WebSocket subprotocol to offer, if the dialect has one.
    pub subprotocol: Option<&'static str>,
    /// Makes the dialect of one stream.
    pub open: fn(&StreamInfo) -> Box<dyn Dialect>,
}
