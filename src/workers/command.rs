//! What the control plane tells a worker, and what a worker tells it.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::Arc;

use adapters::agent::{CallState, DialectSpec, EndedBy, StreamInfo};
use media::bed::Bed;
use media::codec::AudioFormat;

use media::leg::LegConfig;
use media::silence::Notice;
use media::srtp::SrtpKeys;
use uuid::Uuid;

pub use super::agent_line::AgentLine;
use super::builtin::Builtin;
pub use super::conference::GuestFrom;
use super::gauges::Gauges;
use super::line::{LineEvent, LineLink, PeerLink};
use super::mailbox::Taken;
use super::mux::{self, LinkId};
use super::play::PlayNotice;
pub use super::report::MediaReport;
use super::speech::Spoke;
pub use super::steer::Steer;
use crate::agent::session::{Loss, Quality};
use crate::calls::cause::Cause;
use crate::calls::digits::DigitsBy;
use crate::capture;
use crate::recording;

/// Commands that may wait for one worker; a worker that is further behind takes no new calls.
pub const COMMANDS_MAX: usize = 4_096;
/// Events that may wait for the control plane from all workers.
pub const EVENTS_MAX: usize = 65_536;

/// Number of a call in this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CallKey(pub u64);

impl CallKey {
    /// No call: what is told concerns a link.
    pub const NONE: Self = Self(0);
}

/// The sockets of one RTP leg.
#[derive(Debug)]
pub struct RtpSockets {
    /// RTP.
    pub rtp: UdpSocket,
    /// RTCP, on the next higher port (RFC 3550 11).
    pub rtcp: UdpSocket,
}

/// What offer and answer settled for a leg, as far as media is concerned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LegFormat {
    /// Where the peer wants its RTP.
    pub remote: SocketAddr,
    /// Where the peer wants its RTCP.
    pub remote_rtcp: SocketAddr,
    /// Where its signalling comes from.
    pub signalling: IpAddr,
    /// Codec, payload types and ptime.
    pub media: LegConfig,
    /// How digits get to the peer.
    pub digits: DigitsBy,
    /// We may send (RFC 3264 5.1).
    pub send: bool,
    /// The peer may send.
    pub receive: bool,
    /// Reports share the port of RTP (RFC 5761).
    pub rtcp_mux: bool,
    /// The peer is sent VoIP metrics (RFC 3611).
    pub xr: bool,
    /// The keys of both directions; plain RTP without.
    pub srtp: Option<Arc<SrtpKeys>>,
}

/// An agent at the other side of a media path.
#[derive(Debug)]
pub enum AgentLink {
    /// Lives in the worker.
    Builtin(Builtin),
    /// Speaks a dialect over a WebSocket.
    Socket(Box<SocketLink>),
    /// Takes and sends RTP.
    Rtp(RtpLink),
    /// Is a peer of its own: the call joins two RTP legs.
    Leg(Box<LegLink>),
}

/// An agent's WebSocket and how to speak on it.
pub struct SocketLink {
    /// What it speaks on.
    pub line: AgentLine,
    /// The dialect.
    pub dialect: &'static DialectSpec,
    /// What `start` tells.
    pub info: StreamInfo,
    /// Audio towards the caller that may wait, in milliseconds.
    pub max_queue_ms: u32,
    /// Digits are sought in the caller's audio; if absent, where the caller has no other way.
    pub dtmf_inband: Option<bool>,
}

impl std::fmt::Debug for SocketLink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SocketLink").field("dialect", &self.dialect.name).finish_non_exhaustive()
    }
}

/// An agent that speaks RTP at a fixed address.
#[derive(Debug)]
pub struct RtpLink {
    /// Our socket for it.
    pub socket: UdpSocket,
    /// Its address.
    pub remote: SocketAddr,
    /// Its format.
    pub audio: AudioFormat,
    /// Its payload type.
    pub pt: u8,
    /// Milliseconds of audio a packet.
    pub ptime_ms: u32,
}

/// Another RTP peer at the agent's end of a call.
#[derive(Debug)]
pub struct LegLink {
    /// Sockets of its leg.
    pub sockets: RtpSockets,
    /// Its format; absent until its answer when we made the offer.
    pub format: Option<LegFormat>,
}

/// What the control plane tells a worker.
#[derive(Debug)]
pub enum Command {
    /// A call begins; no packet is sent before it is answered.
    Open {
        /// The call.
        call: CallKey,
        /// Its peer.
        peer: PeerLink,
    },
    /// The carrier has opened the socket of a call whose peer is on a line, or has opened it again.
    Line {
        /// The call.
        call: CallKey,
        /// The socket.
        link: Box<LineLink>,
    },
    /// Offer and answer settled something else.
    Format {
        /// The call.
        call: CallKey,
        /// What holds now.
        format: LegFormat,
    },
    /// Offer and answer settled something else with the other leg of a call that joins two.
    AgentFormat {
        /// The call.
        call: CallKey,
        /// What holds now.
        format: LegFormat,
    },
    /// The other leg of a call that joins two is on hold and hears this, or it is back.
    AgentHold {
        /// The call.
        call: CallKey,
        /// What it hears; none if it is back.
        sound: Option<Builtin>,
    },
    /// A digit came by signalling (SIP INFO) from the other leg of a call that joins two.
    AgentDigit {
        /// The call.
        call: CallKey,
        /// `0-9`, `A-D`, `*`, `#`.
        digit: char,
        /// Its length.
        duration_ms: u32,
    },
    /// Media flow before the answer.
    Early {
        /// The call.
        call: CallKey,
        /// The peer hears the agent; silence otherwise, which opens what is in the way of its
        /// media, while what the agent says waits for the answer.
        speaks: bool,
    },
    /// An agent is connected.
    Attach {
        /// The call.
        call: CallKey,
        /// The agent.
        link: AgentLink,
    },
    /// The agent has handed the call to another, which is attached next: it is told so.
    Release {
        /// The call.
        call: CallKey,
    },
    /// A leg is told what a call is about before it gets it.
    Aside {
        /// The call.
        call: CallKey,
        /// The leg.
        link: Box<LegLink>,
    },
    /// Offer and answer settled something else with the leg aside.
    AsideFormat {
        /// The call.
        call: CallKey,
        /// What holds now.
        format: LegFormat,
    },
    /// The leg aside is told this.
    AsideSay {
        /// The call.
        call: CallKey,
        /// What it hears.
        sound: Builtin,
    },
    /// The leg aside takes the agent's place.
    JoinAside {
        /// The call.
        call: CallKey,
    },
    /// The leg aside is let go.
    DropAside {
        /// The call.
        call: CallKey,
    },
    /// A leg joins peer and agent: three talk with each other from now on.
    Guest {
        /// The call.
        call: CallKey,
        /// The leg.
        from: GuestFrom,
    },
    /// Offer and answer settled something else with the leg that has joined.
    GuestFormat {
        /// The call.
        call: CallKey,
        /// What holds now.
        format: LegFormat,
    },
    /// The leg that has joined leaves.
    DropGuest {
        /// The call.
        call: CallKey,
    },
    /// Whoever is at the agent's end leaves peer and guest alone.
    Withdraw {
        /// The call.
        call: CallKey,
    },
    /// The agent is gone for now; the peer hears what is queued, then noise.
    Comfort {
        /// The call.
        call: CallKey,
        /// Says the noise.
        noise: Builtin,
    },
    /// The call's state changed.
    State {
        /// The call.
        call: CallKey,
        /// What it is now.
        state: CallState,
    },
    /// A digit came by signalling (SIP INFO), or a carrier told it.
    Digit {
        /// The call.
        call: CallKey,
        /// `0-9`, `A-D`, `*`, `#`.
        digit: char,
        /// Its length.
        duration_ms: u32,
    },
    /// Somebody else takes the peer's place: the agent goes on in the same stream.
    Replace {
        /// The call.
        call: CallKey,
        /// Sockets of the new peer's leg.
        sockets: RtpSockets,
        /// Its format.
        format: LegFormat,
    },
    /// The peer is on hold and hears this, or it is back.
    Hold {
        /// The call.
        call: CallKey,
        /// What it hears; none if it is back.
        sound: Option<Builtin>,
    },
    /// What the peer hears under its agent.
    Ambient {
        /// The call.
        call: CallKey,
        /// The sound, at the rate of what the peer hears; none if there is none.
        bed: Option<Box<Bed>>,
    },
    /// A transfer moved on.
    Transfer {
        /// The call.
        call: CallKey,
        /// How far it is.
        state: &'static str,
        /// Why it failed.
        cause: Option<&'static str>,
    },
    /// The call ends soon, as it reaches a limit.
    Expiring {
        /// The call.
        call: CallKey,
        /// How soon, in milliseconds.
        left_ms: u64,
    },
    /// Somebody else than the agent steers the call's media.
    Steer {
        /// The call.
        call: CallKey,
        /// How.
        steer: Steer,
    },
    /// The call's recording changed.
    Record {
        /// The call.
        call: CallKey,
        /// What is to be done.
        change: RecordChange,
        /// How it stands then, for the agent.
        state: recording::State,
    },
    /// Somebody listens in, or no longer.
    Listen {
        /// The call.
        call: CallKey,
        /// Who.
        listener: Uuid,
        /// Takes what is heard and said from now on; none if nobody listens any more.
        head: Option<Box<recording::Head>>,
    },
    /// Whoever looks at the call sees here how its media fare.
    Gauge {
        /// The call.
        call: CallKey,
        /// What to write to.
        gauges: Arc<Gauges>,
    },
    /// The peer's packets are captured.
    Capture {
        /// The call.
        call: CallKey,
        /// Takes them.
        head: Box<capture::Head>,
    },
    /// Digits get to the peer another way.
    DigitsBy {
        /// The call.
        call: CallKey,
        /// Which.
        by: DigitsBy,
    },
    /// What the agent wanted cannot be.
    Refused {
        /// The call.
        call: CallKey,
        /// Why.
        why: &'static str,
    },
    /// The call is over.
    Close {
        /// The call.
        call: CallKey,
        /// Why.
        cause: Cause,
        /// By whom.
        by: EndedBy,
    },
    /// Something about a link.
    Link(mux::Order),
    /// Finish what there is and end the thread.
    Stop,
}

/// What is to be done about a recording.
#[derive(Debug)]
pub enum RecordChange {
    /// Record, from the answer on or from now if that was before.
    Start(Box<recording::Head>),
    /// Record silence, or sound again.
    Pause(bool),
    /// Let it end.
    Stop,
}

/// What a worker tells the control plane.
#[derive(Debug)]
pub struct Event {
    /// The call.
    pub call: CallKey,
    /// What happened.
    pub kind: EventKind,
}

/// What happened to a call's media.
#[derive(Debug)]
pub enum EventKind {
    /// The agent answers.
    AgentAnswer {
        /// SIP header fields to add, by name.
        headers: Vec<(String, String)>,
    },
    /// The agent refuses.
    AgentReject {
        /// Why, in its own words.
        cause: Option<String>,
    },
    /// The agent hung up, and what it had queued has been played if it wanted that.
    AgentHungUp {
        /// Why, in its own words.
        cause: Option<String>,
    },
    /// The agent hands the call to somebody else.
    AgentTransfer {
        /// The word for a kind of transfer, or "cancel".
        kind: String,
        /// Number or SIP URI.
        destination: String,
        /// Further wishes by name.
        options: Vec<(String, String)>,
        /// SIP header fields to add, by name.
        headers: Vec<(String, String)>,
    },
    /// The agent sends digits to a peer that takes them by signalling.
    AgentDigits {
        /// `0-9`, `A-D`, `*`, `#`.
        digits: String,
        /// Length of each in milliseconds.
        duration_ms: u32,
        /// Pause between them in milliseconds.
        gap_ms: u32,
    },
    /// The agent puts the peer on hold, or takes it back.
    AgentHold(bool),
    /// A key was pressed at one leg of a call that joins two, and the other takes no events.
    Digit {
        /// It is for the leg at the agent's end, else for the peer.
        to_agent: bool,
        /// `0-9`, `A-D`, `*`, `#`.
        digit: char,
        /// Its length.
        duration_ms: u32,
    },
    /// A key was pressed at the leg aside.
    AsideDigit(char),
    /// The leg aside has been told all there was to be told.
    AsideTold,
    /// The agent is gone.
    AgentLost(Loss),
    /// A link is over; told of no call.
    LinkOver(LinkId),
    /// No packet came from the leg at the agent's end for too long.
    LegSilent,
    /// No packet came from the leg that has joined for too long.
    GuestSilent,
    /// A sound that somebody else than the agent plays has moved on.
    Play(PlayNotice),
    /// A message or file that ends its call has been played, or a caller has left its message.
    Played,
    /// Something happened on the line that the peer is on.
    Line(LineEvent),
    /// No packet came from the peer for too long.
    MediaTimeout,
    /// The agent wants the call recorded, or otherwise than it is.
    AgentRecord(recording::Order),
    /// The agent wants fields of the customer's record changed at the PBX that owns the call.
    AgentUpdate(Vec<(String, String)>),
    /// A direction carries no sound any more, or does again.
    Silence(Notice),
    /// How the media fare, once in a while.
    Quality(Quality),
    /// Somebody has said something.
    Spoke(Spoke),
    /// The peer leaves no more of a message.
    Message(Taken),
    /// The call is closed; this is how it fared.
    Closed(Box<MediaReport>),
}
