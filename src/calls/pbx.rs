//! A PBX that brings a call by its media connection alone: the connection is the call.
//!
//! Asterisk does that by AudioSocket, which has nothing but a UUID, and by a WebSocket, whose
//! address says who calls whom. No signalling tells of such a call; who may bring one is known as
//! with SIP: by the addresses of trunks and users, or by their passwords.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use adapters::agent::StreamFormat;
use adapters::{audiosocket, media_socket};
use media::codec::AudioFormat;
use media::time::MonoTime;
use uuid::Uuid;

use crate::agent::socket::AgentSocket;
use crate::calls::digits::DigitsBy;
use crate::calls::media_token::TokenError;
use crate::config::Secret;
use crate::quota::Refusal;
use crate::workers::line::{LineLink, LinePlan};

/// How long it may take until the connection is handed over, once its call has begun.
pub const SOCKET_WITHIN: Duration = Duration::from_secs(5);

/// How a PBX brings the audio of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Door {
    /// A bare TCP connection.
    AudioSocket,
    /// A WebSocket.
    WebSocket,
}

impl Door {
    /// What stands in the place of a carrier's name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::AudioSocket => "audiosocket",
            Self::WebSocket => "media_socket",
        }
    }

    /// What is known of its audio before it says more.
    pub(super) const fn plan(self) -> LinePlan {
        let (ptime_ms, buffer_ms) = match self {
            Self::AudioSocket => (audiosocket::PTIME_MS, 0),
            Self::WebSocket => (media_socket::PTIME_MS, media_socket::BUFFER_MS),
        };
        let format = StreamFormat { audio: AudioFormat::l16le(8_000), ptime_ms };
        // Neither has a word for a digit towards the caller.
        LinePlan { format, buffer_ms, digits: DigitsBy::Tones, dtmf_inband: false }
    }
}

/// A call that a PBX brings.
#[derive(Clone, Debug)]
pub struct PbxCall {
    /// How.
    pub door: Door,
    /// Where the connection comes from.
    pub address: IpAddr,
    /// A name and a password, if it shows any.
    pub credentials: Option<(String, Secret)>,
    /// Whether what comes from this machine may be meant by who is of this machine.
    pub trusts_loopback: bool,
    /// Who calls.
    pub from: Option<String>,
    /// Who is called.
    pub to: Option<String>,
    /// Variables for the agent.
    pub variables: Vec<(String, String)>,
    /// What the connection calls its call.
    pub id: Option<Uuid>,
}

/// Why a call that a PBX brings is not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PbxRefusal {
    /// Neither an address nor a password tells who brings it.
    #[error("nobody known calls")]
    Stranger,
    /// Nothing says who is called, or what says it cannot be.
    #[error("{0}")]
    Invalid(&'static str),
    /// No route leads from who is called.
    #[error("no route takes the call")]
    NoRoute,
    /// The organisation has no new calls.
    #[error("the organisation is suspended")]
    Suspended,
    /// A limit of calls is reached.
    #[error(transparent)]
    Limit(#[from] Refusal),
    /// It says the id of a call whose audio is there, or is not to come any more.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// The server shuts down.
    #[error("the server drains")]
    Draining,
}

/// The PBX's side of a call.
pub(super) struct PbxLine {
    /// How it brings its audio.
    pub(super) door: Door,
    /// When its connection must have been handed over; never once it was.
    until: MonoTime,
}

impl fmt::Debug for PbxLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PbxLine").field("door", &self.door).finish_non_exhaustive()
    }
}

impl PbxLine {
    /// A call whose connection is on its way.
    pub(super) fn new(now: MonoTime, door: Door) -> Self {
        Self { door, until: now + SOCKET_WITHIN }
    }

    /// What a worker is given of its connection.
    pub(super) fn link(&mut self, socket: AgentSocket) -> LineLink {
        self.until = MonoTime::MAX;
        let stream = match self.door {
            Door::AudioSocket => {
                audiosocket::open(audiosocket::Options { digits: true, rate_hz: None })
            }
            Door::WebSocket => {
                media_socket::open(media_socket::Options { digits: true, format: None })
            }
        };
        LineLink { socket, stream, call: None }
    }

    /// When its connection must have come.
    pub(super) const fn deadline(&self) -> MonoTime {
        self.until
    }
}
