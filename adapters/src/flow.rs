//! Calls whose control is a conversation: several requests that depend on answers, events and time.
//!
//! A flow does no I/O. The server hands in what happened and does what comes out.

use std::fmt;
use std::net::SocketAddr;

use media::time::MonoTime;
use serde::Serialize;

use crate::address::Address;
use crate::agent::Direction;
use crate::config::RawConfig;
use crate::event::{CallEvent, CarrierCallId, InboundCall};
use crate::exchange::{CarrierError, HttpRequest, HttpResponse};
use crate::hook::{HookError, HookUrls};
use crate::op::{Managed, OpOn, OpOnAccount, Refusal, TransferKind};
use crate::reverse::Reverse;
use crate::secret::Pii;
use crate::spec::{MediaTransport, WireFormat};

/// What a flow begins with.
#[derive(Clone)]
pub struct FlowStart {
    /// The configuration.
    pub config: RawConfig,
    /// Who called whom.
    pub direction: Direction,
    /// The carrier's id, if the call has one already: inbound, or outbound once it is placed.
    pub call: Option<CarrierCallId>,
    /// Who is called.
    pub to: Address,
    /// The calling number.
    pub from: Option<Address>,
    /// Where the carrier sends audio: `wss://…`, or `host:port` if the media plan is RTP or TCP.
    pub stream_url: String,
    /// Where the carrier tells what happens.
    pub hooks: HookUrls,
}

/// A WebSocket by which a carrier tells what happens to all calls of a configuration. The server
/// keeps it open and hands each message to the flow of its call.
#[derive(Clone, Copy, Debug)]
pub struct EventsSocket {
    /// The request that opens it: a `ws://` or `wss://` address, and credentials.
    pub connect: fn(&RawConfig) -> Result<HttpRequest, CarrierError>,
    /// How the carrier opens the socket to us, where a configuration wants it so; then it is asked
    /// over it as well.
    pub reverse: Option<Reverse>,
    /// Finds out which call a message is about.
    pub route: fn(&[u8]) -> Result<Routed, HookError>,
    /// Finds out what the carrier runs, and which way it takes where the configuration leaves that
    /// open.
    pub probe: OpOnAccount<Probed>,
    /// What the carrier is asked for each time that the socket was opened.
    pub opened: OpOnAccount<()>,
    /// Completes an offered call by what its message does not tell. Whatever becomes of it, the
    /// call is offered.
    pub complete: OpOn<InboundCall, InboundCall>,
    /// Ends what was left behind at the carrier of calls that are none of [`Alive`], and yields
    /// calls that were offered while nobody heard it.
    pub tidy: OpOn<Alive, Vec<InboundCall>>,
    /// How audio travels by a configuration.
    pub media: fn(&RawConfig) -> MediaChoice,
    /// What is to be written into the carrier's own files, where those are one's own; with our
    /// addresses. Without secrets, but for the address that the carrier opens a socket at.
    pub pieces: fn(&RawConfig, &HookUrls) -> Vec<Piece>,
}

/// What a carrier was found to run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Probed {
    /// What people are told of it: names and texts.
    pub told: Vec<(&'static str, String)>,
    /// Values of server-managed fields that follow from it.
    pub values: Managed,
}

/// A piece of a configuration file of the carrier's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Piece {
    /// Name of the file.
    pub file: &'static str,
    /// What is to be in it.
    pub text: String,
}

/// Calls of a configuration that live here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Alive {
    /// Our ids of them, as [`HookUrls::call`] tells them.
    pub calls: Vec<String>,
    /// The carrier's ids of them, as far as it has told.
    pub legs: Vec<CarrierCallId>,
    /// An id that is greater than that of any call of then: calls that begin later have a greater
    /// one, and are none of those that were left behind.
    pub as_of: String,
}

/// How the audio of a call travels: one of the provider's
/// [plans](crate::spec::ProviderSpec::media).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MediaChoice {
    /// What carries it.
    pub transport: MediaTransport,
    /// Its format, both ways.
    pub format: WireFormat,
    /// Audio that the carrier's own buffer is kept filled with, in milliseconds.
    pub buffer_ms: u32,
}

/// Which call a message of an [`EventsSocket`] is about.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Routed {
    /// A call is offered; a flow begins with it.
    Offered(InboundCall),
    /// The call that the carrier calls so; its flow takes it as [`FlowInput::Message`].
    Of(CarrierCallId),
    /// The call that we call so, as [`HookUrls::call`] tells it: its flow takes it.
    Ours {
        /// Our id of it.
        call: String,
        /// The carrier's id of the call, if the message tells it: one that we placed has shown
        /// itself.
        leg: Option<CarrierCallId>,
    },
    /// Somebody else has taken our place at the carrier: nothing will come any more.
    Replaced,
    /// No call.
    Nothing,
}

/// What happened.
#[derive(Debug)]
pub enum FlowInput<'a> {
    /// A hook or the carrier's events socket told a fact.
    Event(&'a CallEvent),
    /// A request of this flow was answered, or finally was not.
    Answer {
        /// The number the flow gave the request.
        request: u32,
        /// The answer.
        result: Result<HttpResponse, CarrierError>,
    },
    /// A message of the carrier's events socket about this call.
    Message(FlowMessage<'a>),
    /// The carrier's events socket is up again after it was lost: events may be missing.
    Reconnected,
    /// Something is wanted.
    Command(FlowCommand),
    /// The deadline came.
    Timeout,
}

/// A message of an events socket. `Debug` shows its length.
#[derive(Clone, Copy)]
pub struct FlowMessage<'a>(pub &'a [u8]);

impl fmt::Debug for FlowMessage<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}

/// What may be wanted of a flow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FlowCommand {
    /// Answer the offered call.
    Answer,
    /// End the call.
    Hangup,
    /// Refuse the offered call.
    Refuse(Refusal),
    /// Hand the call to somebody else.
    Transfer {
        /// How.
        kind: TransferKind,
        /// Who gets it.
        to: Address,
        /// The calling number that the destination sees.
        from: Option<Address>,
        /// Longest ringing, in seconds.
        ring_timeout_s: u32,
    },
    /// The transfer of that [id](crate::op::Transfer::id) is given up: whoever is called for it is
    /// let go as soon as they show themselves, and the caller stays with the agent.
    Keep(String),
    /// Press these keys towards the far end.
    Dtmf(Pii),
    /// The carrier's media stream is lost: open it again, at this address.
    Restream(String),
}

/// What a flow wants done.
#[derive(Debug, PartialEq)]
pub enum FlowOutput {
    /// Send this request; its answer comes back with the number.
    Send {
        /// A number that is unique within the flow.
        request: u32,
        /// The request.
        what: HttpRequest,
    },
    /// Send this text on the carrier's events socket.
    Message(String),
    /// A fact about the call.
    Event(CallEvent),
    /// Somebody else is at the carrier's end of the call, which the carrier calls so from now on.
    Replaced(CarrierCallId),
    /// Where our audio goes, if the media plan is RTP.
    Media(SocketAddr),
    /// Open the media socket of the call by this request (`ws://` or `wss://`).
    Connect(HttpRequest),
    /// The flow is over: nothing is pending and nothing will come.
    Done,
}

/// The control of one call. Sans-I/O: after each [`handle`](Self::handle), [`poll`](Self::poll)
/// until it yields nothing, then wait for an input or the [`deadline`](Self::deadline).
pub trait CallFlow: Send {
    /// Takes what happened.
    fn handle(&mut self, now: MonoTime, input: FlowInput<'_>);

    /// The next thing to do.
    fn poll(&mut self) -> Option<FlowOutput>;

    /// When to hand in [`FlowInput::Timeout`]; `None` to wait without end.
    fn deadline(&self) -> Option<MonoTime>;
}
