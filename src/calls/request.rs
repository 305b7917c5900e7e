//! What the rest of the server asks of the call control.

use std::sync::Arc;

use adapters::config::RawConfig;
use adapters::event::CallEvent;
use adapters::exchange::{CarrierError, HttpResponse};
use adapters::hook::VerifySocket;
use adapters::op::Originated;
use media::wav::Clip;
use tokio::sync::{mpsc, oneshot};
use uuid::Uuid;

use super::caller_ids::Called;
use super::control::{Coded, Errand, Hop};
use super::external::Obeyed;
pub use super::listening::Listening;
use super::media_token::TokenError;
pub use super::order::{Order, Unpark};
use super::parked::{ParkWish, ParkedView};
use super::pbx::{PbxCall, PbxRefusal};
pub use super::place_call::PlaceCall;
use super::queued::QueueView;
use super::sounds::Loaded;
use super::standing::TrunkStanding;
pub use super::tidings::{HandedOver, HandingStep, Heard, Hooked, Tidings, TidingsKind};
use super::view::CallView;
use super::web_phone::{PhoneCall, PhoneLine};
use crate::agent::dial::DialError;
use crate::agent::socket::AgentSocket;
use crate::carrier::{self, Failure};
use crate::fetch::FetchError;
use crate::quota::Refusal;
use crate::quota::amount::Amount;
use crate::quota::budget::Budgets;
use crate::quota::destination::Undialled;
use crate::recording;
use crate::sip::endpoint::resolver::ResolveError;
use crate::workers::command::CallKey;
use crate::workers::gauges::Reading;

/// Requests that may wait.
pub const REQUESTS_MAX: usize = 4_096;

/// Why a call was not placed or changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// A field of the request is wrong.
    #[error("{field}: {problem}")]
    Field {
        /// The field.
        field: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// A limit of calls is reached.
    #[error(transparent)]
    Limit(#[from] Refusal),
    /// Calls do not go there.
    #[error("to: {0}")]
    Destination(#[from] Undialled),
    /// The organisation has no new calls.
    #[error("the organisation is suspended")]
    Suspended,
    /// No port or worker is free.
    #[error("no room for another call")]
    Full,
    /// The server shuts down.
    #[error("the server drains")]
    Draining,
    /// There is no such call.
    #[error("no such call")]
    NoSuchCall,
    /// The call's agent does not attach, or has done so.
    #[error("the call waits for no agent to attach")]
    NotWaiting,
    /// It cannot be done in the state that things are in.
    #[error("{0}")]
    State(&'static str),
    /// What is asked for is wrong.
    #[error("{0}")]
    Invalid(String),
}

/// Why an agent does not attach with a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LinkRefusal {
    /// There is none of this name.
    #[error("no such agent")]
    NoSuchAgent,
    /// It is dialled, or has a socket for each call.
    #[error("the agent does not attach with a link: it has no `attach` and `mux`")]
    NotLinking,
}

/// What is said to whoever answers a transfer.
#[derive(Debug)]
pub enum Message {
    /// Its file was fetched, or cannot be.
    Fetched(Result<Clip, FetchError>),
    /// It was coded for the leg.
    Coded(Arc<[u8]>),
}

/// What proves, beside its token, that it is the carrier that opens a media socket.
#[derive(Clone, Debug)]
pub struct SocketProof {
    /// Examines the request.
    pub verify: VerifySocket,
    /// The configuration whose secrets it is proven by.
    pub config: RawConfig,
}

/// Something asked of the call control.
#[derive(Debug)]
pub enum Request {
    /// All living calls.
    List {
        /// Takes them.
        reply: oneshot::Sender<Vec<CallView>>,
    },
    /// How many calls live.
    Count {
        /// Takes it.
        reply: oneshot::Sender<usize>,
    },
    /// Which of these calls live.
    Living {
        /// Their ids.
        calls: Vec<Uuid>,
        /// Takes those that live.
        reply: oneshot::Sender<Vec<Uuid>>,
    },
    /// Those of these calls that live.
    Show {
        /// Their ids.
        calls: Vec<Uuid>,
        /// Takes them.
        reply: oneshot::Sender<Vec<CallView>>,
    },
    /// Place a call.
    Place {
        /// Which.
        call: PlaceCall,
        /// Takes it.
        reply: oneshot::Sender<Result<CallView, RequestError>>,
    },
    /// A person begins a call on a web page.
    WebCall {
        /// Which.
        call: PhoneCall,
        /// Takes it, and where the page opens its socket.
        reply: oneshot::Sender<Result<PhoneLine, RequestError>>,
    },
    /// The servers of a call to be placed were looked up.
    Located {
        /// The call.
        errand: Errand,
        /// Its servers.
        found: Result<Vec<Hop>, ResolveError>,
    },
    /// The servers of a trunk that is watched were looked up.
    Watch {
        /// Its id.
        trunk: Uuid,
        /// Its servers.
        found: Result<Vec<Hop>, ResolveError>,
    },
    /// The servers of a registrar were looked up.
    Registrar {
        /// The user of our contact with it.
        contact: String,
        /// Its servers.
        found: Result<Vec<Hop>, ResolveError>,
    },
    /// How the media of an organisation's living calls fare at this moment.
    Gauges {
        /// The organisation.
        organisation: Uuid,
        /// Takes them, by the calls' ids.
        reply: oneshot::Sender<Vec<(Uuid, Reading)>>,
    },
    /// How those of these trunks stand that are in service.
    Trunks {
        /// Their ids.
        trunks: Vec<Uuid>,
        /// Takes it.
        reply: oneshot::Sender<Vec<TrunkStanding>>,
    },
    /// A sound was loaded from a file.
    Loaded(Loaded),
    /// Hang up.
    HangUp {
        /// The call: its id, or the id that a dialect derived from it.
        call: String,
        /// Takes the outcome.
        reply: oneshot::Sender<Result<(), RequestError>>,
    },
    /// Let a call do something.
    Order {
        /// The call.
        call: String,
        /// What.
        order: Order,
        /// Takes the outcome: done, or begun, and the id of what goes on.
        reply: oneshot::Sender<Result<Option<Uuid>, RequestError>>,
    },
    /// Let the peer of a call hear a sound.
    Play {
        /// The call.
        call: Uuid,
        /// The sound.
        clip: Arc<Clip>,
        /// Takes its id.
        reply: oneshot::Sender<Result<Uuid, RequestError>>,
    },
    /// A sound was coded for the peer of a call.
    Coded(Box<Coded>),
    /// Put a call aside.
    Park {
        /// The call.
        call: Uuid,
        /// How.
        wish: ParkWish,
        /// Takes where it is.
        reply: oneshot::Sender<Result<ParkedView, RequestError>>,
    },
    /// Calls that are put aside.
    Parked {
        /// The organisation whose they are.
        of: Uuid,
        /// Takes them.
        reply: oneshot::Sender<Vec<ParkedView>>,
    },
    /// How the queues stand.
    Queues {
        /// The organisation whose they are.
        of: Uuid,
        /// Takes them, in the order of the file.
        reply: oneshot::Sender<Vec<QueueView>>,
    },
    /// What is said to whoever answers a transfer has come, or is ready to be said.
    Message {
        /// The call.
        call: CallKey,
        /// The transfer.
        transfer: Uuid,
        /// The message.
        message: Message,
    },
    /// May an agent attach, and in which subprotocol?
    MayAttach {
        /// The call.
        call: Uuid,
        /// Takes the subprotocol of the agent's dialect.
        reply: oneshot::Sender<Result<Option<&'static str>, RequestError>>,
    },
    /// An agent has attached.
    Attach {
        /// The call.
        call: Uuid,
        /// Its socket.
        socket: AgentSocket,
    },
    /// A PBX brings a call by its media connection, which follows as [`Request::LineOpen`].
    PbxCall {
        /// The call.
        call: Box<PbxCall>,
        /// Takes its id, if it is taken.
        reply: oneshot::Sender<Result<Uuid, PbxRefusal>>,
    },
    /// A carrier wants to open the media socket of a call; its token is spent if it may.
    LineComes {
        /// The call.
        call: Uuid,
        /// The provider at whose place it knocks.
        provider: String,
        /// The token.
        token: adapters::secret::Secret,
        /// Takes the outcome: what is to be proven besides.
        reply: oneshot::Sender<Result<Option<SocketProof>, TokenError>>,
    },
    /// A carrier has opened the media socket of a call.
    LineOpen {
        /// The call.
        call: Uuid,
        /// The socket; none if it was lost on its way.
        socket: Option<AgentSocket>,
    },
    /// An agent was dialled.
    Dialled {
        /// The call.
        call: CallKey,
        /// Which attempt.
        attempt: u64,
        /// Its socket.
        result: Result<AgentSocket, DialError>,
    },
    /// An agent's link was dialled.
    LinkDialled {
        /// The agent's id.
        agent: Uuid,
        /// Which attempt.
        attempt: u64,
        /// Its socket.
        result: Result<AgentSocket, DialError>,
    },
    /// Whether an agent may attach with a link.
    MayLink {
        /// The organisation whose it is.
        of: Uuid,
        /// Its name.
        agent: String,
        /// Takes the subprotocol that it speaks then.
        reply: oneshot::Sender<Result<&'static str, LinkRefusal>>,
    },
    /// An agent that may has attached with a link.
    Link {
        /// The organisation whose it is.
        of: Uuid,
        /// Its name.
        agent: String,
        /// Its socket.
        socket: AgentSocket,
    },
    /// A carrier's request.
    Hook {
        /// Which.
        hook: Box<Hooked>,
        /// Takes what the carrier hears.
        reply: oneshot::Sender<Heard>,
    },
    /// A carrier's socket of events has something to tell.
    Tidings(Box<Tidings>),
    /// A carrier was asked to place a call.
    Originated {
        /// The call.
        call: CallKey,
        /// Which attempt.
        attempt: u32,
        /// By which configuration.
        account: Arc<carrier::Account>,
        /// What became of it.
        result: Result<Originated, Failure>,
    },
    /// A carrier answered a request of a call's flow.
    FlowAnswered {
        /// The call.
        call: CallKey,
        /// The flow's number of the request.
        request: u32,
        /// The answer.
        result: Result<HttpResponse, CarrierError>,
    },
    /// A carrier was asked to press keys.
    Pressed {
        /// The call.
        call: CallKey,
        /// What became of it.
        result: Result<(), Failure>,
    },
    /// A carrier was asked how a call stands.
    Standing {
        /// The call.
        call: CallKey,
        /// What it says.
        result: Result<Vec<CallEvent>, Failure>,
    },
    /// A carrier was asked how a call stands that goes on without us.
    StandsElsewhere {
        /// Our id of it.
        call: Uuid,
        /// What it says.
        result: Result<Vec<CallEvent>, Failure>,
    },
    /// A carrier was asked to hand a call over.
    HandedOver(Box<HandedOver>),
    /// The PBX that owns a call was asked for something.
    Obeyed(Box<Obeyed>),
    /// Record a call, or change how it is recorded.
    Record {
        /// The call.
        call: Uuid,
        /// What is wanted.
        order: recording::Order,
        /// Takes the state that follows.
        reply: oneshot::Sender<Result<recording::State, RequestError>>,
    },
    /// Somebody listens in.
    Listen {
        /// The call.
        call: Uuid,
        /// Who.
        listener: Uuid,
        /// Takes what comes from the call's worker.
        reply: oneshot::Sender<Result<Listening, RequestError>>,
    },
    /// Somebody listens no longer.
    Unlisten {
        /// The call.
        call: Uuid,
        /// Who.
        listener: Uuid,
    },
    /// Let a call's carrier record it, or stop.
    RecordAtCarrier {
        /// The call.
        call: Uuid,
        /// Which of them.
        on: bool,
        /// Takes the outcome.
        reply: oneshot::Sender<Result<(), RequestError>>,
    },
    /// Capture a call's packets and messages.
    Capture {
        /// The call.
        call: Uuid,
        /// Takes the outcome.
        reply: oneshot::Sender<Result<(), RequestError>>,
    },
    /// The recorder has something to tell.
    Recorder(recording::RecorderEvent),
    /// How the budgets of organisations stand.
    Budgets(Box<Budgets>),
    /// Whatever calls cost that end from now on may be missing in what the log tells now.
    Mark {
        /// Takes a mark, to be told with that.
        reply: oneshot::Sender<u64>,
    },
    /// What the calls of an organisation hold here of its money.
    Held {
        /// The organisation.
        organisation: Uuid,
        /// Takes it.
        reply: oneshot::Sender<Amount>,
    },
    /// What calls were placed from the numbers of a line on a day, by whatever server.
    Called(Called),
    /// Take no new calls; end when the last is over.
    Drain,
    /// End all calls now.
    Stop,
}

/// Reaches the call control from any thread.
#[derive(Clone, Debug)]
pub struct Handle(pub(super) mpsc::Sender<Request>);

impl Handle {
    /// A handle, and what is asked by it.
    #[cfg(test)]
    pub(crate) fn pair(depth: usize) -> (Self, mpsc::Receiver<Request>) {
        let (sender, receiver) = mpsc::channel(depth);
        (Self(sender), receiver)
    }

    /// Sends a request; nothing happens if the control has ended.
    pub async fn send(&self, request: Request) {
        let _ = self.0.send(request).await;
    }

    /// Sends a request from a thread that may wait; nothing happens if the control has ended.
    pub fn tell(&self, request: Request) {
        let _ = self.0.blocking_send(request);
    }

    /// Sends a request made of a reply channel and waits for the reply; `None` if the control has
    /// ended.
    pub async fn ask<T>(&self, request: impl FnOnce(oneshot::Sender<T>) -> Request) -> Option<T> {
        self.post(request).await?.await.ok()
    }

    /// The same without waiting for the reply: what one task posts is met in its order, whoever
    /// awaits the replies.
    pub async fn post<T>(
        &self,
        request: impl FnOnce(oneshot::Sender<T>) -> Request,
    ) -> Option<oneshot::Receiver<T>> {
        let (reply, answer) = oneshot::channel();
        self.0.send(request(reply)).await.ok()?;
        Some(answer)
    }
}
