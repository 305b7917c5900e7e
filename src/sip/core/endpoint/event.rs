//! What an endpoint tells its user, and what its user tells it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;

use super::flow::Flow;
use super::reliable::Reliability;
use super::table::Handle;
use crate::sip::core::auth::{Account, DigestClient};
use crate::sip::core::message::Message;
use crate::sip::core::sdp::Sdp;
use crate::sip::core::write::BuildError;

/// Names a call of one endpoint; never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DialogId(pub(super) Handle);

/// Names an OPTIONS request sent by [`Endpoint::options`](super::Endpoint::options).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProbeId(pub(super) u64);

/// Names a request that waits for [`Endpoint::reply`](super::Endpoint::reply).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AskedId(pub(super) Handle);

/// Names a request sent by [`Endpoint::request`](super::Endpoint::request).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub(super) u64);

/// A header to add: name and value.
pub type Header<'a> = (&'a str, &'a str);

/// A call to place.
#[derive(Clone, PartialEq, Eq)]
pub struct InviteParams {
    /// Request-URI.
    pub uri: String,
    /// Where the request goes; for TCP with the number of a connection that was announced
    /// ([`Endpoint::handle_connected`](super::Endpoint::handle_connected)), or 0 to open one.
    pub flow: Flow,
    /// From without tag: `"Name" <sip:user@host>`.
    pub from: String,
    /// To without tag.
    pub to: String,
    /// User of our Contact; the configured one if none.
    pub contact_user: Option<String>,
    /// The offer. Without one, the answer's offer is answered by
    /// [`Endpoint::ack_with`](super::Endpoint::ack_with).
    pub sdp: Option<Vec<u8>>,
    /// Whether provisional responses are to be reliable.
    pub reliability: Reliability,
    /// Headers to add; Route among them makes a preset route.
    pub headers: Vec<(String, String)>,
}

/// Without addresses: they are telephone numbers.
impl fmt::Debug for InviteParams {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InviteParams")
            .field("flow", &self.flow)
            .field("offer", &self.sdp.is_some())
            .field("headers", &self.headers.len())
            .finish_non_exhaustive()
    }
}

/// How a call is placed, besides what its INVITE says.
#[derive(Clone, Debug, Default)]
pub struct Placing {
    /// Answers challenges to the INVITE and to every request of the call.
    pub account: Option<Arc<Account>>,
    /// How long it may ring; as configured if none.
    pub ring_limit: Option<Duration>,
    /// The callee is not where its URI says, so that every request takes the way of the INVITE: it
    /// is behind an address translator.
    pub indirect: bool,
    /// How long the first response may take, if there is somebody else to ask; timer B if none.
    pub patience: Option<Duration>,
    /// How it goes if nobody takes it within
    /// [`FAILOVER_AFTER`](crate::sip::core::targets::FAILOVER_AFTER), or if it cannot be sent: the
    /// same INVITE in a datagram (RFC 3261 18.1.1). Told by [`Event::ByDatagram`].
    pub datagram: Option<Flow>,
    /// How many hops it may take, if it follows from a call that took some: a loop over us ends.
    pub max_forwards: Option<u8>,
    /// Most bytes that it may have in a datagram: a longer one is refused with
    /// [`CommandError::Datagram`] (RFC 3261 18.1.1). Any length if none.
    pub datagram_max: Option<usize>,
}

/// Why a command was refused. Nothing was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum CommandError {
    /// There is no such call; it may just have ended.
    #[error("no such call")]
    NoSuchCall,
    /// The call is not in a state that allows it.
    #[error("the call is not in a state that allows this")]
    State,
    /// Another offer of the call is not answered yet.
    #[error("another change of the call is under way")]
    Busy,
    /// Too many calls or transactions.
    #[error("too many calls or transactions")]
    LimitReached,
    /// From, To or the Contact's user is no valid address.
    #[error("an address is malformed")]
    Address,
    /// The message is longer than it may be in a datagram.
    #[error("too long for a datagram")]
    Datagram,
    /// Something that was handed in cannot stand in a message.
    #[error(transparent)]
    Build(#[from] BuildError),
}

/// Why a call ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// The peer said BYE.
    Bye {
        /// Its Reason header (RFC 3326), such as `Q.850;cause=16`.
        reason: Option<Box<str>>,
    },
    /// We said BYE, and it was answered or its time was over.
    Local,
    /// Our answer was never acknowledged.
    AckTimeout,
    /// A reliable provisional response was never acknowledged (RFC 3262 3), so that the call was
    /// refused before its answer.
    PrackTimeout,
    /// Nobody has refreshed the session in time (RFC 4028 10).
    SessionExpired,
    /// A request within the call got no answer, or the answer that the peer knows of no call.
    TransactionTimeout,
    /// A request within the call could not be sent.
    Transport,
}

/// Something that happened.
///
/// A call that came in begins with `Incoming`, one that we placed with
/// [`Endpoint::invite`](super::Endpoint::invite). It ends with exactly one of `Cancelled`,
/// `Failed`, `Ended`, or with our own `reject`.
#[derive(Clone, Debug)]
pub enum Event {
    /// A call came in; 100 has been sent.
    Incoming {
        /// The new call.
        dialog: DialogId,
        /// The INVITE. Keep what is needed of it rather than the message.
        request: Message,
        /// Where it came from.
        flow: Flow,
        /// The user who proved to call; none if no proof was demanded.
        user: Option<Box<str>>,
        /// Its offer; without one, [`Endpoint::answer`](super::Endpoint::answer) makes ours.
        offer: Option<Sdp>,
    },
    /// The caller gave up before the answer, or the time to answer is over. Everything has been
    /// answered already.
    Cancelled {
        /// The call, which has ended.
        dialog: DialogId,
        /// The Reason header of the CANCEL.
        reason: Option<Box<str>>,
    },
    /// Our answer was acknowledged.
    Acked {
        /// The call.
        dialog: DialogId,
        /// The answer to our offer, if the INVITE had none.
        answer: Option<Sdp>,
    },
    /// A reliable provisional response of ours was acknowledged (RFC 3262 3).
    Pracked {
        /// The call.
        dialog: DialogId,
        /// The answer to our offer, if the INVITE had none and the response had ours.
        answer: Option<Sdp>,
    },
    /// The peer changes the call (re-INVITE, or UPDATE or PRACK with an offer, also before the
    /// answer): answer with `accept_reinvite` or `reject_reinvite` within
    /// [`CHANGE_LIMIT`](super::config::CHANGE_LIMIT).
    Reinvite {
        /// The call.
        dialog: DialogId,
        /// The offer; without one, the acceptance makes ours.
        offer: Option<Sdp>,
    },
    /// The peer withdrew its change, or the time to answer it is over.
    ReinviteCancelled {
        /// The call, which goes on as before.
        dialog: DialogId,
    },
    /// A provisional response other than 100 to a call that we placed.
    Ringing {
        /// The call.
        dialog: DialogId,
        /// 101 to 199.
        status: u16,
        /// Early media's answer (or offer, if we made none: answer it with `prack_with`). Branches
        /// of a fork may each have one; the latest holds until the answer.
        sdp: Option<Sdp>,
    },
    /// Nobody has taken the INVITE of a call that we place from its stream: it goes in a datagram,
    /// as [`Placing::datagram`] says.
    ByDatagram {
        /// The call.
        dialog: DialogId,
    },
    /// A call that we placed was answered. It has been acknowledged unless we made no offer.
    Answered {
        /// The call.
        dialog: DialogId,
        /// The answer; that of the branch's provisional response if the 2xx has none. Missing if
        /// neither has one, or all is settled already.
        sdp: Option<Sdp>,
        /// The 2xx.
        response: Message,
    },
    /// A call that we placed failed.
    Failed {
        /// The call, which has ended.
        dialog: DialogId,
        /// 300 to 699; 408 if nobody answered, 503 if nothing could be sent, 487 if we cancelled.
        status: u16,
        /// Reason phrase.
        reason: Box<str>,
        /// The response, if there was one: contacts of a 3xx, challenges of 401 and 407 are there.
        response: Option<Message>,
    },
    /// The peer accepted our change.
    ReinviteAnswered {
        /// The call.
        dialog: DialogId,
        /// The answer, or the offer to answer with `ack_with` if we made none.
        sdp: Option<Sdp>,
    },
    /// The peer refused our change.
    ReinviteFailed {
        /// The call, which goes on as before.
        dialog: DialogId,
        /// 300 to 699.
        status: u16,
        /// Reason phrase.
        reason: Box<str>,
    },
    /// The peer asks us to call somebody else (RFC 3515): answer with `accept_refer` or
    /// `reject_refer` within [`CHANGE_LIMIT`](super::config::CHANGE_LIMIT).
    Refer {
        /// The call.
        dialog: DialogId,
        /// The REFER; its Refer-To can be read.
        request: Message,
    },
    /// The peer has answered our REFER.
    ReferAnswered {
        /// The call, which goes on.
        dialog: DialogId,
        /// 200 to 699; 408 if no answer came, 503 if the REFER could not be sent.
        status: u16,
        /// `ReferProgress` will tell what comes of it (RFC 4488).
        subscribed: bool,
    },
    /// The peer tells how the call goes that we asked it for.
    ReferProgress {
        /// The call, which goes on.
        dialog: DialogId,
        /// The status that it got; none if the peer says something else.
        status: Option<u16>,
        /// Nothing more will be told.
        last: bool,
    },
    /// INFO within a call; answered with 200 already.
    Info {
        /// The call.
        dialog: DialogId,
        /// The request, for example with `application/dtmf-relay`.
        request: Message,
    },
    /// The peer has answered our INFO.
    InfoAnswered {
        /// The call, which goes on.
        dialog: DialogId,
        /// 200 to 699.
        status: u16,
    },
    /// An established call ended, or one that came in for want of a PRACK.
    Ended {
        /// The call.
        dialog: DialogId,
        /// Why.
        cause: End,
    },
    /// A telephone registers: answer with [`Endpoint::reply`](super::Endpoint::reply) at once.
    Registering {
        /// What to answer.
        asked: AskedId,
        /// The user it proved to be.
        user: Box<str>,
        /// The REGISTER.
        request: Message,
        /// Where it came from.
        flow: Flow,
    },
    /// A request of [`Endpoint::request`](super::Endpoint::request) was answered or not.
    Responded {
        /// Which.
        request: RequestId,
        /// The response; none if nothing came back.
        response: Option<Message>,
        /// The number that was used last: every challenge takes one.
        cseq: u32,
        /// What answers challenges, with those that it knows by now.
        auth: Option<Box<DigestClient>>,
    },
    /// An OPTIONS request was answered or not.
    Probed {
        /// Which.
        probe: ProbeId,
        /// The status; none if nothing came back.
        status: Option<u16>,
    },
}
