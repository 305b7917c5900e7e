//! What the control plane gives a worker for a call's peer, and what it hears of a line.

use adapters::agent::StreamFormat;
use adapters::event::HangupCause;
use adapters::spec::{MediaTransport, ProviderSpec};
use adapters::stream::Stream;

use crate::agent::socket::AgentSocket;
use crate::calls::digits::DigitsBy;
use crate::workers::command::{LegFormat, RtpSockets};

/// Who is at the peer's end of a call.
#[derive(Debug)]
pub enum PeerLink {
    /// A SIP peer: RTP.
    Rtp {
        /// Sockets of its leg.
        sockets: RtpSockets,
        /// Its format; absent until its answer when we made the offer.
        format: Option<LegFormat>,
    },
    /// A carrier that sends and takes audio on a socket, which comes later as
    /// [`Command::Line`](crate::workers::command::Command::Line).
    Line(LinePlan),
}

/// What is known of a line before its socket is there.
#[derive(Clone, Copy, Debug)]
pub struct LinePlan {
    /// What the carrier will most likely speak. It says what it does speak when the stream starts;
    /// the length of the frames that it is sent stays.
    pub format: StreamFormat,
    /// Audio that the carrier's own buffer is kept filled with, in milliseconds; 0 if it plays what
    /// it gets at once.
    pub buffer_ms: u32,
    /// How digits get to the far end: as messages of the stream ([`DigitsBy::Events`]), by a
    /// request of the control's ([`DigitsBy::Info`]), or as tones.
    pub digits: DigitsBy,
    /// Digits are sought in the caller's audio, because the carrier tells none.
    pub dtmf_inband: bool,
}

impl LinePlan {
    /// What is known of a line of this provider; `None` if it has no audio on sockets.
    pub fn of(spec: &ProviderSpec, digits: DigitsBy) -> Option<Self> {
        let plan = spec.media.iter().find(|plan| plan.transport == MediaTransport::WebSocket)?;
        let format = plan.formats.first().filter(|_| spec.stream.is_some())?;
        Some(Self {
            format: StreamFormat { audio: format.audio, ptime_ms: format.ptime_ms },
            buffer_ms: plan.buffer_ms,
            digits,
            dtmf_inband: false,
        })
    }
}

/// A carrier's media socket, its handshake done and its token spent.
pub struct LineLink {
    /// The connection.
    pub socket: AgentSocket,
    /// The carrier's dialect.
    pub stream: Box<dyn Stream>,
    /// The carrier's id of the call that the stream must be for, if it is known.
    pub call: Option<String>,
}

impl std::fmt::Debug for LineLink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LineLink").field("socket", &self.socket).finish_non_exhaustive()
    }
}

/// What happened on a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LineEvent {
    /// The stream is ready: audio flows once the call is answered. Told once a socket, and when the
    /// audio changes.
    Started {
        /// The carrier's id of the stream, if it has one.
        stream: Option<String>,
        /// The carrier's id of the call, if the stream tells.
        call: Option<String>,
        /// What the call's audio is now, in both directions.
        format: StreamFormat,
    },
    /// The carrier says that the stream is over; its socket may still be open.
    Stopped(Option<HangupCause>),
    /// The socket is gone; the call's audio waits for another one.
    Lost(LineLoss),
}

/// Why a line has no socket any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LineLoss {
    /// The carrier closed it in order, with this code.
    Closed(u16),
    /// The connection broke.
    Broken,
    /// The carrier said nothing for too long, and answered no ping.
    Silent,
    /// The stream did not start in time.
    NotStarted,
    /// What came could not be understood: frames, or message after message.
    Malformed,
    /// A message was longer than messages may be.
    TooBig,
    /// The stream is of another call.
    WrongCall,
}

impl LineLoss {
    /// The stable word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Closed(_) => "closed",
            Self::Broken => "broken",
            Self::Silent => "silent",
            Self::NotStarted => "not_started",
            Self::Malformed => "malformed",
            Self::TooBig => "too_big",
            Self::WrongCall => "wrong_call",
        }
    }

    /// The code that we close the socket with, unless it is gone already.
    pub(in crate::workers) const fn close_code(self) -> Option<u16> {
        match self {
            // RFC 6455 5.5.1: a close is answered with the same code.
            Self::Closed(code) => Some(code),
            Self::Broken => None,
            Self::Silent | Self::NotStarted => Some(4408),
            Self::Malformed => Some(1007),
            Self::TooBig => Some(1009),
            Self::WrongCall => Some(1008),
        }
    }
}
