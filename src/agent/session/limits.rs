//! The bounds of an agent's stream, and its vocabulary.

use std::time::Duration;

/// How often the server pings.
pub const PING_EVERY: Duration = Duration::from_secs(10);

/// How long an agent may take to answer a ping before it counts as dead.
pub const PONG_WITHIN: Duration = Duration::from_secs(5);

/// Faults after which the socket closes with [`CloseCode::Nonsense`][nonsense].
///
/// [nonsense]: crate::agent::wire::CloseCode::Nonsense
pub const FAULTS_MAX: u32 = 16;

/// How long it takes until one fault is forgiven, so that a long call survives a rare mistake.
pub const FAULT_FORGIVEN_AFTER: Duration = Duration::from_secs(10);

/// How often at most an agent is told that its audio was refused.
pub const QUEUE_FULL_TOLD_EVERY: Duration = Duration::from_secs(1);

/// How much longer than the longest queue a hang-up waits for the queue to run out.
pub const HANGUP_MARGIN: Duration = Duration::from_secs(1);

/// Digits in one `dtmf` of an agent.
pub const DTMF_DIGITS_MAX: usize = 64;

/// The shortest tone that every receiver must recognise (ITU-T Q.24).
pub const DTMF_DURATION_MIN_MS: u32 = 40;

/// The longest tone: the duration field of RFC 4733 ends at 8,191 ms.
pub const DTMF_DURATION_MAX_MS: u32 = 8000;

/// Length of a tone if the agent names none.
pub const DTMF_DURATION_DEFAULT_MS: u32 = 100;

/// The shortest pause that every receiver must recognise (ITU-T Q.24).
pub const DTMF_GAP_MIN_MS: u32 = 40;

/// The longest pause between two tones.
pub const DTMF_GAP_MAX_MS: u32 = 8000;

/// Pause between two tones if the agent names none.
pub const DTMF_GAP_DEFAULT_MS: u32 = 100;

/// Bytes of a cause, a transfer's kind, or its destination.
pub const WORD_MAX_BYTES: usize = 256;

/// Options of one transfer.
pub const TRANSFER_OPTIONS_MAX: usize = 32;

/// What a stream may offer in `features`; the rest of the protocol is always there.
pub mod feature {
    /// `answer` and `reject`: the route lets the agent answer.
    pub const ANSWER: &str = "answer";
    /// `dtmf` from the agent.
    pub const DTMF: &str = "dtmf";
    /// `transfer`.
    pub const TRANSFER: &str = "transfer";
    /// `mute` and `unmute`.
    pub const MUTE: &str = "mute";
    /// `hold` and `resume`.
    pub const HOLD: &str = "hold";
    /// `record`.
    pub const RECORD: &str = "record";
    /// `update`: a PBX owns the call that keeps records of customers.
    pub const UPDATE: &str = "update";
    /// The events `speech`, if wanted.
    pub const SPEECH: &str = "speech";
    /// The events `quality`, if wanted.
    pub const QUALITY: &str = "quality";
    /// The events `underrun`, if wanted.
    pub const UNDERRUN: &str = "underrun";

    /// The events `silence`, if wanted.
    pub const SILENCE: &str = "silence";

    /// The features that `configure` asks for in `wants`.
    pub const WANTABLE: [&str; 4] = [SPEECH, QUALITY, UNDERRUN, SILENCE];
}

/// The words in the `code` of an `error`, besides those of
/// [`WireError::code`](adapters::wire::WireError::code).
pub mod error_code {
    /// A field has a value that is not allowed.
    pub const BAD_FIELD: &str = "bad_field";
    /// Audio was refused because too much is queued.
    pub const QUEUE_FULL: &str = "queue_full";
    /// Not among the stream's features.
    pub const UNSUPPORTED: &str = "unsupported";
    /// The route does not let the agent do this.
    pub const NOT_ALLOWED: &str = "not_allowed";
    /// It came at the wrong time: too late, or twice.
    pub const BAD_STATE: &str = "bad_state";
    /// Too many marks wait.
    pub const TOO_MANY_MARKS: &str = "too_many_marks";
    /// Too many utterances wait.
    pub const TOO_MANY_UTTERANCES: &str = "too_many_utterances";
    /// A message was longer than 64 KiB.
    pub const TOO_BIG: &str = "too_big";
    /// An earlier request could not be carried out.
    pub const FAILED: &str = "failed";
}
