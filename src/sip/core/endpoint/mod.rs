//! A SIP user agent without I/O and clock: transactions, dialogs and calls above single messages.
//!
//! The shell hands in what arrived ([`Endpoint::handle_datagram`], [`Endpoint::handle_message`]),
//! the time ([`Endpoint::handle_timeout`] at [`Endpoint::deadline`]) and commands, and after each
//! takes what is to be sent ([`Endpoint::poll_transmit`]) and what happened
//! ([`Endpoint::poll_event`]) until both are empty.
//!
//! Handled inside: 100 Trying, retransmissions, ACKs, PRACKs, OPTIONS, CANCEL, INFO, wrong methods,
//! extensions, bodies, schemes, loops, hops, glare, forks, session timers, and the bounds of every
//! table. Requests
//! that need no state get their answer without a transaction (RFC 3261 8.2.7), so that a flood of
//! them takes no room; nothing is ever sent in reply to a response or a malformed ACK, and one
//! datagram gets at most one response.

mod again;
mod asked;
mod body;
mod call;
mod changes;
mod commands;
pub mod config;
mod counters;
mod early;
mod event;
mod extensions;
mod flow;
#[doc(hidden)]
pub mod fuzz;
mod guard;
mod ids;
mod notify;
mod outgoing;
mod receive;
mod refer;
mod refresh;
mod reliable;
mod replaces;
mod reply;
mod request;
mod responses;
mod retry;
mod table;
mod timeout;
mod transactions;
mod twin;
mod uas;
mod update;
mod within;

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;

use media::time::MonoTime;

pub use config::{EndpointConfig, Limits};
pub use counters::Counters;
pub use event::{
    AskedId, CommandError, DialogId, End, Event, Header, InviteParams, Placing, ProbeId, RequestId,
};
pub use flow::{Flow, Transmit, Transport};
pub use guard::Gate;
pub use reliable::Reliability;
pub use request::RequestParams;

use crate::sip::core::message::Message;
use call::Call;
use ids::Ids;
use table::{Handle, Schedule, Table};
use transactions::{ClientKey, ClientTxn, ServerTxn};

/// A SIP user agent; see the module.
pub struct Endpoint {
    config: EndpointConfig,
    /// Value of Allow.
    allow: String,
    /// Option tags of what there is.
    tags: Vec<&'static str>,
    ids: Ids,
    calls: Table<Call>,
    /// Calls by our tag, which alone names them; Call-ID and the peer's tag are checked then.
    call_tags: HashMap<u64, Handle>,
    servers: Table<ServerTxn>,
    server_keys: HashMap<u128, Handle>,
    merges: HashMap<u128, Handle>,
    clients: Table<ClientTxn>,
    client_keys: HashMap<ClientKey, Handle>,
    /// Open connections, and the client transactions that wait on each.
    connections: HashMap<u64, Vec<Handle>>,
    schedule: Schedule,
    transmits: VecDeque<Transmit>,
    events: VecDeque<Event>,
    counters: Counters,
    /// Retry-After in seconds of every new call, while none is accepted.
    refusing: Option<u32>,
    /// Where each transport listens, as peers are told.
    locals: Vec<(Transport, SocketAddr)>,
    /// Who is challenged; nobody without.
    guard: Option<Box<guard::Guard>>,
}

impl Endpoint {
    /// An endpoint. Tags and branches follow from `seed`: random in service, fixed in a simulation.
    pub fn new(config: EndpointConfig, seed: u64) -> Self {
        let limits = config.limits;
        let allow: Vec<&str> = config::HANDLED
            .iter()
            .filter(|method| config.allow.contains(method))
            .map(|method| method.as_str())
            .collect();
        Self {
            allow: allow.join(", "),
            tags: extensions::tags(&config),
            ids: Ids::new(seed),
            calls: Table::new(limits.calls_max),
            call_tags: HashMap::new(),
            servers: Table::new(limits.server_transactions_max),
            server_keys: HashMap::new(),
            merges: HashMap::new(),
            // BYE and CANCEL of every call may exceed the limit: a call must always be able to end.
            clients: Table::new(
                limits.client_transactions_max.saturating_add(limits.calls_max.saturating_mul(2)),
            ),
            client_keys: HashMap::new(),
            connections: HashMap::new(),
            schedule: Schedule::default(),
            transmits: VecDeque::new(),
            events: VecDeque::new(),
            counters: Counters::default(),
            refusing: None,
            locals: Vec::new(),
            guard: None,
            config,
        }
    }

    /// When [`Endpoint::handle_timeout`] is due. It may turn out that nothing was.
    pub fn deadline(&self) -> Option<MonoTime> {
        self.schedule.next()
    }

    /// The next message to send.
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        self.transmits.pop_front()
    }

    /// The next thing that happened.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// What was counted.
    pub const fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Calls that live, those included that are being ended.
    pub fn calls(&self) -> usize {
        self.calls.len()
    }

    /// Transactions that live: of the server side and of the client side.
    pub fn transactions(&self) -> (usize, usize) {
        (self.servers.len(), self.clients.len())
    }

    /// Call-ID of a call.
    pub fn call_id(&self, dialog: DialogId) -> Option<&str> {
        self.calls.get(dialog.0).map(|call| call.dialog.call_id())
    }

    /// What the messages of a call are known by: our tag; and its INVITE and where that came from,
    /// if the peer calls and has no answer yet.
    pub fn opening_of(&self, dialog: DialogId) -> Option<(String, Option<(&Message, SocketAddr)>)> {
        let call = self.calls.get(dialog.0)?;
        let server = call.server.filter(|_| call.state == call::State::Incoming);
        let server = server.and_then(|server| self.servers.get(server));
        let invite = server.and_then(|txn| Some((txn.request.as_ref()?, txn.reply.source)));
        Some((ids::tag_text(call.tag), invite))
    }

    /// Says where each transport listens, as peers are told: for requests that change to another
    /// transport within a call. The first of a transport and address family counts.
    pub fn set_locals(&mut self, locals: Vec<(Transport, SocketAddr)>) {
        self.locals = locals;
    }

    /// Refuses every new call with 503 and this Retry-After (overload, drain), or accepts again.
    /// OPTIONS gets 503 as well, so that balancers notice.
    pub fn refuse_calls(&mut self, retry_after_s: Option<u32>) {
        self.refusing = retry_after_s;
    }
}

#[cfg(test)]
mod tests;
