//! Operations at a carrier that take one request or several; the server sends what they say.

use serde::Serialize;
use serde_json::Value;

use crate::address::Address;
use crate::config::RawConfig;
use crate::event::{CallEvent, CarrierCallId, HangupCause, Price};
use crate::exchange::{CarrierError, HttpRequest, HttpResponse};
use crate::hook::{HookUrls, Take};
use crate::secret::Pii;

/// What an operation wants next.
#[derive(Debug)]
pub enum Step<T> {
    /// This request is to be sent and its answer handed in.
    Send(HttpRequest),
    /// The operation is done.
    Done(T),
    /// The operation failed.
    Fail(CarrierError),
}

/// An operation at a carrier. After [`Step::Done`] or [`Step::Fail`] it is dropped.
pub trait Op<T>: Send {
    /// The next step: the first time without an answer, then with that of the last request.
    ///
    /// A request that got no answer ends the operation; whoever sends decides on retries by
    /// [`HttpRequest::repeatable`].
    fn next(&mut self, answer: Option<HttpResponse>) -> Step<T>;
}

/// An operation, or why it cannot even begin.
pub type OpResult<T> = Result<Box<dyn Op<T>>, CarrierError>;

/// Begins an operation that is about something: a call, a number.
pub type OpOn<A, T> = fn(&RawConfig, &A) -> OpResult<T>;

/// Begins an operation on the account itself.
pub type OpOnAccount<T> = fn(&RawConfig) -> OpResult<T>;

/// When a request is sent, and something that no other request has: for credentials that age.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// Seconds since 1970.
    pub unix_s: u64,
    /// Random bytes, new for each sending.
    pub random: [u8; 16],
}

/// Adds credentials that age, such as a signed token, to a request. Called each time right before
/// it is sent, a retry included; what does not age is in the request from the beginning.
pub type Authorize = fn(&RawConfig, &Moment, &mut HttpRequest) -> Result<(), CarrierError>;

/// How often a carrier lets itself be asked by one account.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ApiLimits {
    /// Calls placed.
    pub originate: Option<Rate>,
    /// Requests of any kind, calls placed included.
    pub requests: Option<Rate>,
}

impl ApiLimits {
    /// No limit that is known.
    pub const NONE: Self = Self { originate: None, requests: None };
}

/// So many within a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// How many; never 0.
    pub count: u32,
    /// The time in milliseconds; never 0.
    pub window_ms: u32,
}

/// Values of server-managed fields by name.
pub type Managed = Vec<(&'static str, Value)>;

/// What can be done at a carrier over HTTP. `None`: the carrier cannot, and the API says so.
#[derive(Clone, Copy, Debug)]
pub struct CallOps {
    /// Places a call.
    pub originate: Option<OpOn<Originate, Originated>>,
    /// Ends a call. A call that is over is a success.
    pub hangup: Option<OpOn<CarrierCallId, ()>>,
    /// Hands a call to somebody else, or begins to; yields the leg that it calls apart, which is to
    /// be ended if nothing comes of it. What becomes of it is told by
    /// [`CallFact::Transfer`](crate::event::CallFact::Transfer).
    pub transfer: Option<OpOn<Transfer, Option<CarrierCallId>>>,
    /// The second half of a [`TransferKind::Attended`], once the destination answered: caller and
    /// destination meet.
    pub join: Option<OpOn<Transfer, ()>>,
    /// Sends the audio of a call to us again that was handed over to nobody.
    pub take_back: Option<OpOn<TakeBack, ()>>,
    /// Presses keys towards the far end.
    pub dtmf: Option<OpOn<SendDigits, ()>>,
    /// Begins or ends a recording at the carrier.
    pub record: Option<OpOn<Record, ()>>,
    /// Asks how a call stands, when its hooks were lost.
    pub status: Option<OpOn<CarrierCallId, Vec<CallEvent>>>,
    /// Asks what a call cost; `None` means: not known yet.
    pub cost: Option<OpOn<CarrierCallId, Option<Price>>>,
    /// Lists the numbers of the account.
    pub numbers: Option<OpOnAccount<Vec<Number>>>,
    /// Points a number at our hooks, or away from them.
    pub bind: Option<OpOn<Bind, ()>>,
    /// Tries the credentials without changing anything.
    pub test: Option<OpOnAccount<()>>,
    /// Makes what the account lacks and yields the values of server-managed fields.
    pub provision: Option<OpOn<HookUrls, Managed>>,
}

impl CallOps {
    /// No operation over HTTP at all.
    pub const NONE: Self = Self {
        originate: None,
        hangup: None,
        transfer: None,
        join: None,
        take_back: None,
        dtmf: None,
        record: None,
        status: None,
        cost: None,
        numbers: None,
        bind: None,
        test: None,
        provision: None,
    };
}

/// A call to be placed.
#[derive(Clone)]
pub struct Originate {
    /// Whom to call.
    pub to: Address,
    /// The calling number.
    pub from: Option<Address>,
    /// Where the carrier sends audio: `wss://…` with a token of one use.
    pub stream_url: String,
    /// Where the carrier tells what happens.
    pub hooks: HookUrls,
    /// Longest ringing, in seconds.
    pub ring_timeout_s: u32,
    /// Longest call, in seconds.
    pub max_duration_s: u32,
    /// True if the carrier shall tell whether a machine answered.
    pub detect_machine: bool,
    /// What the caller wants the call to carry, such as SIP headers, by name. What of it goes to
    /// the far end is for the configuration to say.
    pub extra: Vec<(String, Pii)>,
}

/// A call that the carrier took.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Originated {
    /// The carrier's id of it.
    pub call: CarrierCallId,
}

/// A call to be handed to somebody else.
#[derive(Clone, Debug)]
pub struct Transfer {
    /// Names it, in letters, digits and hyphens. No other transfer is called so, be it of the same
    /// call: what is made for it at the carrier has it in its name, and so have its hooks
    /// ([`HookUrls::of_transfer`]).
    pub id: String,
    /// How.
    pub kind: TransferKind,
    /// The call.
    pub call: CarrierCallId,
    /// Who gets it.
    pub to: Address,
    /// The calling number that the destination sees.
    pub from: Option<Address>,
    /// Where the carrier tells what happens.
    pub hooks: HookUrls,
    /// Longest ringing, in seconds.
    pub ring_timeout_s: u32,
}

/// How a call is handed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransferKind {
    /// The carrier calls the destination and joins the two; the agent is gone meanwhile and asked
    /// back ([`Meaning::Asked`](crate::event::Meaning::Asked)) if nobody answers.
    Blind,
    /// The calling side is told to call the destination itself (RFC 3515); only for calls that came
    /// by SIP.
    Refer,
    /// The destination is called while the caller stays with the agent, and
    /// [joined](CallOps::join) once it answered.
    Attended,
}

/// A call to be taken back.
#[derive(Clone, Debug)]
pub struct TakeBack {
    /// The call.
    pub call: CarrierCallId,
    /// Where its audio goes, as if it were taken for the first time.
    pub take: Take,
}

/// Keys to be pressed.
#[derive(Clone, Debug)]
pub struct SendDigits {
    /// The call.
    pub call: CarrierCallId,
    /// `0-9`, `A-D`, `*`, `#`.
    pub digits: Pii,
}

/// A recording at the carrier to be begun or ended.
#[derive(Clone, Debug)]
pub struct Record {
    /// The call.
    pub call: CarrierCallId,
    /// True to begin.
    pub on: bool,
    /// Where the carrier tells that it is there.
    pub hooks: HookUrls,
}

/// A number of an account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Number {
    /// The number.
    pub address: Address,
    /// The carrier's id of it.
    pub id: String,
    /// What the owner calls it.
    pub label: Option<String>,
    /// Where its calls go now, if the carrier tells; empty if they go nowhere.
    pub bound_to: Option<String>,
    /// True if that is what this configuration has at the carrier for its calls, such as an
    /// application.
    pub ours: bool,
}

/// A number to be pointed at our hooks.
#[derive(Clone, Debug)]
pub struct Bind {
    /// The number.
    pub address: Address,
    /// The hooks; `None` points it away from us.
    pub hooks: Option<HookUrls>,
}

/// SIP trunks that a carrier's account has of its own.
#[derive(Clone, Copy, Debug)]
pub struct TrunkOps {
    /// The fields of a trunk.
    pub fields: &'static [crate::ui::UiField],
    /// Makes or changes a trunk and yields the carrier's id of it.
    pub apply: OpOn<TrunkState, String>,
    /// Removes a trunk by the carrier's id. One that is gone is a success.
    pub remove: fn(&RawConfig, &str) -> OpResult<()>,
}

/// A trunk as it shall be.
#[derive(Clone, Debug)]
pub struct TrunkState {
    /// Name.
    pub name: String,
    /// False to take it out of service.
    pub enabled: bool,
    /// Values of its fields.
    pub settings: RawConfig,
    /// The carrier's id, once it has one.
    pub external_id: Option<String>,
}

/// Why an offered call is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Nobody has that number.
    NotFound,
    /// The server or the organisation has no room for more calls.
    Busy,
    /// The route or the agent refuses.
    Rejected,
    /// Something is out of order.
    Unavailable,
}

impl Refusal {
    /// Every refusal.
    pub const ALL: [Self; 4] = [Self::NotFound, Self::Busy, Self::Rejected, Self::Unavailable];

    /// The cause that the record of the call names.
    pub const fn cause(self) -> HangupCause {
        match self {
            Self::NotFound => HangupCause::NotFound,
            Self::Busy => HangupCause::Congestion,
            Self::Rejected => HangupCause::Rejected,
            Self::Unavailable => HangupCause::Failed,
        }
    }
}
