//! Settings and limits of an endpoint.

use std::time::Duration;

use crate::sip::core::Method;
use crate::sip::core::session_timer::TimerConfig;
use crate::sip::core::transaction::timers::Timers;

/// Calls at a time, unless configured.
pub const CALLS_MAX: usize = 20_000;
/// Server transactions at a time, unless configured. One lives 32 s after a request over UDP, and a
/// call has two: 2,000 calls/s.
pub const SERVER_TRANSACTIONS_MAX: usize = 131_072;
/// Client transactions at a time, unless configured.
pub const CLIENT_TRANSACTIONS_MAX: usize = 131_072;
/// How long a refused caller should wait, unless configured.
pub const RETRY_AFTER_S: u32 = 5;
/// How long a call that we place may ring, unless configured: timer C of RFC 3261 16.6, more than
/// three minutes.
pub const RING_LIMIT: Duration = Duration::from_secs(185);
/// How long a call that we get may wait for its answer, unless configured.
pub const ANSWER_LIMIT: Duration = Duration::from_secs(300);
/// How long a change of a call may wait for its answer: the peer's transaction gives up later.
pub const CHANGE_LIMIT: Duration = Duration::from_secs(10);
/// How often an unanswered call repeats its provisional response, so that proxies keep it
/// (RFC 3261 13.3.1.1).
pub const PROVISIONAL_REPEAT: Duration = Duration::from_secs(60);
/// Answers of other branches of a forked INVITE that are ended and remembered.
pub const FORKS_MAX: usize = 8;
/// Reliable provisional responses that one call we place acknowledges, whatever their branches.
pub const PRACKS_MAX: u16 = 200;
/// How often a change of a call that met one of the peer (491), or whose session interval is too
/// short (422), is tried again.
pub const GLARE_TRIES_MAX: u8 = 4;

/// Bounds of an endpoint's tables and waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Calls at a time; what exceeds them gets 503.
    pub calls_max: usize,
    /// Server transactions at a time; what exceeds them gets 503.
    pub server_transactions_max: usize,
    /// Client transactions at a time; commands fail beyond, but for those that end a call.
    pub client_transactions_max: usize,
    /// Retry-After of a 503, in seconds.
    pub retry_after_s: u32,
    /// How long a call that we place may ring.
    pub ring_limit: Duration,
    /// How long a call that we get may wait for its answer.
    pub answer_limit: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            calls_max: CALLS_MAX,
            server_transactions_max: SERVER_TRANSACTIONS_MAX,
            client_transactions_max: CLIENT_TRANSACTIONS_MAX,
            retry_after_s: RETRY_AFTER_S,
            ring_limit: RING_LIMIT,
            answer_limit: ANSWER_LIMIT,
        }
    }
}

/// Settings of an endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndpointConfig {
    /// What Server and User-Agent say; empty for neither.
    pub user_agent: String,
    /// User of our Contact where a call names none.
    pub contact_user: String,
    /// Base values of the timers.
    pub timers: Timers,
    /// Methods that are allowed; the rest of those known get 405. Only what the endpoint handles
    /// has an effect: INVITE, ACK, CANCEL, BYE, OPTIONS, INFO, UPDATE, PRACK, REFER, NOTIFY, and
    /// REGISTER of users that a [`Gate`](super::Gate) knows.
    pub allow: Vec<Method>,
    /// Session timers (RFC 4028); none to neither offer nor grant them.
    pub session_timer: Option<TimerConfig>,
    /// Bounds.
    pub limits: Limits,
}

impl Default for EndpointConfig {
    fn default() -> Self {
        Self {
            user_agent: String::new(),
            contact_user: "talkpath".into(),
            timers: Timers::RFC3261,
            allow: HANDLED.into_iter().filter(|method| *method != Method::Register).collect(),
            session_timer: None,
            limits: Limits::default(),
        }
    }
}

/// Methods that the endpoint handles.
pub(super) const HANDLED: [Method; 11] = [
    Method::Invite,
    Method::Ack,
    Method::Cancel,
    Method::Bye,
    Method::Options,
    Method::Info,
    Method::Update,
    Method::Register,
    Method::Prack,
    Method::Refer,
    Method::Notify,
];
