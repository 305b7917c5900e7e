//! The endpoint's transactions: a state machine with the message it stands for.

use std::net::SocketAddr;

use bytes::Bytes;
use media::time::MonoTime;

use super::Endpoint;
use super::event::{ProbeId, RequestId};
use super::flow::{Flow, Transmit};
use super::table::{Handle, Timed};
use super::twin::Twin;
use crate::sip::core::auth::DigestClient;
use crate::sip::core::headers::{HeaderName, Via};
use crate::sip::core::message::Message;
use crate::sip::core::transaction::client::{self, Client};
use crate::sip::core::transaction::client_invite::{self, ClientInvite};
use crate::sip::core::transaction::server::{self, Server};
use crate::sip::core::transaction::server_invite::{self, ServerInvite};
use crate::sip::core::transaction::timers::Timers;
use crate::sip::core::transaction::{Class, Effects};

/// The state machine of a server transaction.
pub(super) enum ServerFsm {
    Invite(ServerInvite),
    Other(Server),
}

impl ServerFsm {
    pub(super) fn deadline(&self) -> MonoTime {
        match self {
            Self::Invite(fsm) => fsm.deadline(),
            Self::Other(fsm) => fsm.deadline(),
        }
    }

    pub(super) fn handle_timeout(&mut self, now: MonoTime, timers: &Timers) -> Effects {
        match self {
            Self::Invite(fsm) => fsm.handle_timeout(now, timers),
            Self::Other(fsm) => fsm.handle_timeout(now),
        }
    }

    fn respond(&mut self, now: MonoTime, timers: &Timers, class: Class) -> Effects {
        match self {
            Self::Invite(fsm) => fsm.respond(now, timers, class),
            Self::Other(fsm) => fsm.respond(now, timers, class),
        }
    }

    pub(super) fn is_terminated(&self) -> bool {
        match self {
            Self::Invite(fsm) => fsm.state() == server_invite::State::Terminated,
            Self::Other(fsm) => fsm.state() == server::State::Terminated,
        }
    }

    /// Whether no final response has been sent.
    pub(super) fn is_pending(&self) -> bool {
        match self {
            Self::Invite(fsm) => fsm.state() == server_invite::State::Proceeding,
            Self::Other(fsm) => {
                matches!(fsm.state(), server::State::Trying | server::State::Proceeding)
            }
        }
    }
}

/// A server transaction.
pub(super) struct ServerTxn {
    pub(super) fsm: ServerFsm,
    pub(super) key: u128,
    /// What a copy of the request on another path would have in common with it (RFC 3261 8.2.2.2).
    pub(super) merge: Option<u128>,
    pub(super) reply: Reply,
    /// The latest response, while it may have to be sent again.
    pub(super) response: Bytes,
    /// The request, until the final response.
    pub(super) request: Option<Message>,
    pub(super) call: Option<Handle>,
    /// Tag of our responses, also to a CANCEL.
    pub(super) tag: u64,
}

/// Where responses go (RFC 3261 18.2.2, RFC 3581 4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Reply {
    pub(super) flow: Flow,
    /// Port to connect to if the connection is gone.
    pub(super) port: u16,
    /// Where the request came from, which the response's Via says.
    pub(super) source: SocketAddr,
}

impl Reply {
    /// The path back to where a request with this Via came from.
    ///
    /// `maddr` is not followed: it would let anyone aim our responses at a third party, and its
    /// purpose, multicast, does not occur.
    pub(super) fn new(flow: Flow, via: &Via<'_>) -> Self {
        let default = flow.transport.default_port();
        let port = via.port.filter(|port| *port != 0).unwrap_or(default);
        let mut to = flow;
        if !flow.transport.is_reliable() && via.rport().is_none() {
            to.peer.set_port(port);
        }
        Self { flow: to, port, source: flow.peer }
    }

    /// The path back to where a message came from, without a Via to go by.
    pub(super) const fn to_source(flow: Flow) -> Self {
        Self { flow, port: flow.transport.default_port(), source: flow.peer }
    }
}

/// The state machine of a client transaction.
pub(super) enum ClientFsm {
    Invite(ClientInvite),
    Other(Client),
}

impl ClientFsm {
    pub(super) fn deadline(&self) -> MonoTime {
        match self {
            Self::Invite(fsm) => fsm.deadline(),
            Self::Other(fsm) => fsm.deadline(),
        }
    }

    pub(super) fn handle_timeout(&mut self, now: MonoTime, timers: &Timers) -> Effects {
        match self {
            Self::Invite(fsm) => fsm.handle_timeout(now),
            Self::Other(fsm) => fsm.handle_timeout(now, timers),
        }
    }

    pub(super) fn handle_response(
        &mut self,
        now: MonoTime,
        timers: &Timers,
        class: Class,
    ) -> Effects {
        match self {
            Self::Invite(fsm) => fsm.handle_response(now, timers, class),
            Self::Other(fsm) => fsm.handle_response(now, timers, class),
        }
    }

    pub(super) fn handle_transport_error(&mut self) -> Effects {
        match self {
            Self::Invite(fsm) => fsm.handle_transport_error(),
            Self::Other(fsm) => fsm.handle_transport_error(),
        }
    }

    pub(super) fn is_terminated(&self) -> bool {
        match self {
            Self::Invite(fsm) => fsm.state() == client_invite::State::Terminated,
            Self::Other(fsm) => fsm.state() == client::State::Terminated,
        }
    }
}

/// What a client transaction is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Places a call.
    Invite,
    /// Changes a call.
    Reinvite,
    /// Ends a call, or a branch of a fork that was not wanted.
    Bye,
    /// Withdraws an INVITE; its outcome is that of the INVITE.
    Cancel,
    /// Carries data within a call.
    Info,
    /// Asks for a transfer.
    Refer,
    /// Tells how a transfer goes.
    Notify,
    /// Acknowledges a reliable provisional response.
    Prack,
    /// Changes a call by an offer without an INVITE.
    Update,
    /// Refreshes the session and changes nothing.
    Refresh,
    /// Asks a peer whether it is there.
    Probe(ProbeId),
    /// Something else outside of dialogs.
    Request(RequestId),
}

/// Which of several answers to a forked INVITE is the call, and which were ended.
#[derive(Default)]
pub(super) struct Forks {
    /// An answer has come; `winner` is its tag.
    pub(super) won: bool,
    pub(super) winner: Option<Box<str>>,
    pub(super) ended: Vec<Option<Box<str>>>,
}

/// A client transaction.
pub(super) struct ClientTxn {
    pub(super) fsm: ClientFsm,
    pub(super) key: ClientKey,
    pub(super) purpose: Purpose,
    pub(super) request: Bytes,
    /// Number of the request.
    pub(super) cseq: u32,
    pub(super) flow: Flow,
    pub(super) call: Option<Handle>,
    pub(super) forks: Option<Box<Forks>>,
    /// The other way of an INVITE that is too long for a datagram.
    pub(super) twin: Option<Box<Twin>>,
    /// Answers challenges of a request that belongs to no call.
    pub(super) auth: Option<Box<DigestClient>>,
}

/// Branch, and whether it is a CANCEL, which shares the branch of its INVITE.
pub(super) type ClientKey = (u64, bool);

/// The identity of a server transaction (RFC 3261 17.2.3). `method` is INVITE for an ACK.
pub(super) fn server_key(
    endpoint: &Endpoint,
    request: &Message,
    via: &Via<'_>,
    method: &str,
) -> u128 {
    if via.has_unique_branch() {
        let host = via.host.to_string().to_ascii_lowercase();
        return endpoint.ids.digest(&(via.branch(), host, via.port, method));
    }
    // A peer of RFC 2543: everything that its requests of one transaction have in common.
    let from = request.from().ok().and_then(|from| from.tag().map(str::to_owned));
    let number = request.cseq().map_or(0, |cseq| cseq.number);
    let top = request.values(HeaderName::Via).next();
    endpoint.ids.digest(&(request.uri(), request.call_id().ok(), from, number, top, method))
}

/// What copies of a request that came by several paths have in common (RFC 3261 8.2.2.2).
pub(super) fn merge_key(endpoint: &Endpoint, request: &Message) -> Option<u128> {
    let from = request.from().ok()?;
    let cseq = request.cseq().ok()?;
    let call_id = request.call_id().ok()?;
    Some(endpoint.ids.digest(&(from.tag(), call_id, cseq.number, cseq.method.as_str())))
}

impl Endpoint {
    pub(super) fn send(&mut self, flow: Flow, bytes: Bytes) {
        self.counters.sent += 1;
        self.transmits.push_back(Transmit { flow: self.live(flow), bytes });
    }

    /// The flow without a connection that is closed.
    pub(super) fn live(&self, mut flow: Flow) -> Flow {
        if flow.connection != 0 && !self.connections.contains_key(&flow.connection) {
            flow.connection = 0;
        }
        flow
    }

    /// Sends a response along the path of its request.
    pub(super) fn send_reply(&mut self, reply: Reply, bytes: Bytes) {
        let mut flow = self.live(reply.flow);
        if flow.connection == 0 && reply.flow.connection != 0 {
            flow.peer.set_port(reply.port);
        }
        self.send(flow, bytes);
    }

    /// Makes a server transaction; `None` if there are too many.
    pub(super) fn insert_server(&mut self, txn: ServerTxn) -> Option<Handle> {
        let (key, merge) = (txn.key, txn.merge);
        let handle = self.servers.insert(txn)?;
        self.server_keys.insert(key, handle);
        if let Some(merge) = merge {
            self.merges.insert(merge, handle);
        }
        Some(handle)
    }

    fn remove_server(&mut self, handle: Handle) {
        let Some(txn) = self.servers.remove(handle) else { return };
        self.server_keys.remove(&txn.key);
        if let Some(merge) = txn.merge {
            self.merges.remove(&merge);
        }
    }

    /// Sends a response of a transaction.
    pub(super) fn respond(&mut self, now: MonoTime, handle: Handle, status: u16, bytes: Bytes) {
        let Some(txn) = self.servers.get_mut(handle) else { return };
        let class = Class::of(status);
        let effects = txn.fsm.respond(now, &self.config.timers, class);
        let reply = txn.reply;
        if class != Class::Provisional {
            txn.request = None;
        }
        // A 2xx to INVITE is retransmitted by the call, not by the transaction.
        let kept = class != Class::Success || matches!(txn.fsm, ServerFsm::Other(_));
        txn.response = if kept { bytes.clone() } else { Bytes::new() };
        if effects.transmit {
            self.send_reply(reply, bytes);
        }
        self.settle_server(now, handle);
    }

    /// Lets due timers fire, and removes the transaction or waits for its next timer.
    pub(super) fn settle_server(&mut self, now: MonoTime, handle: Handle) {
        loop {
            let Some(txn) = self.servers.get_mut(handle) else { return };
            if txn.fsm.is_terminated() {
                return self.remove_server(handle);
            }
            let deadline = txn.fsm.deadline();
            if deadline > now {
                let Self { schedule, servers, .. } = self;
                return schedule.arm(servers, handle, deadline, Timed::Server);
            }
            let effects = txn.fsm.handle_timeout(now, &self.config.timers);
            if effects.transmit {
                let (reply, bytes) = (txn.reply, txn.response.clone());
                self.counters.retransmitted += 1;
                self.send_reply(reply, bytes);
            }
        }
    }

    /// Whether no further client transaction may be begun by a command. What ends a call may be
    /// begun even then.
    pub(super) fn clients_full(&self) -> bool {
        self.clients.len() >= self.config.limits.client_transactions_max
    }

    /// Makes a client transaction and sends its request; `None` if there are too many.
    pub(super) fn insert_client(&mut self, now: MonoTime, txn: ClientTxn) -> Option<Handle> {
        let (key, flow, bytes) = (txn.key, txn.flow, txn.request.clone());
        let handle = self.clients.insert(txn)?;
        self.client_keys.insert(key, handle);
        self.watch(flow.connection, handle);
        self.send(flow, bytes);
        self.settle_client(now, handle);
        Some(handle)
    }

    /// Remembers that a transaction fails if a connection breaks.
    fn watch(&mut self, connection: u64, handle: Handle) {
        if let Some(waiting) = self.connections.get_mut(&connection) {
            if waiting.len() == waiting.capacity() {
                let clients = &self.clients;
                waiting.retain(|handle| clients.get(*handle).is_some());
            }
            waiting.push(handle);
        }
    }

    /// Waits for the outcome of an INVITE no longer than its user would.
    pub(super) fn give_up(&mut self, now: MonoTime, handle: Handle) {
        let Some(txn) = self.clients.get_mut(handle) else { return };
        if let ClientFsm::Invite(fsm) = &mut txn.fsm {
            fsm.give_up(now, &self.config.timers);
            let deadline = fsm.deadline();
            let Self { schedule, clients, .. } = self;
            schedule.arm(clients, handle, deadline, Timed::Client);
        }
    }

    /// Removes a client transaction, and what its call kept only for it.
    pub(super) fn remove_client(&mut self, handle: Handle) {
        let Some(txn) = self.clients.remove(handle) else { return };
        self.client_keys.remove(&txn.key);
        if let Some(call) = txn.call.and_then(|call| self.calls.get_mut(call)) {
            if call.client == Some(handle) {
                call.client = None;
            }
            if call.asking == Some(handle) {
                call.asking = None;
            }
            if call.ack.as_ref().is_some_and(|ack| ack.cseq == txn.cseq) {
                call.ack = None;
            }
        }
    }

    /// Lets due timers fire, and removes the transaction or waits for its next timer.
    pub(super) fn settle_client(&mut self, now: MonoTime, handle: Handle) {
        loop {
            let Some(txn) = self.clients.get_mut(handle) else { return };
            if txn.fsm.is_terminated() {
                return self.remove_client(handle);
            }
            let deadline = txn.fsm.deadline();
            if deadline > now {
                let Self { schedule, clients, .. } = self;
                return schedule.arm(clients, handle, deadline, Timed::Client);
            }
            let effects = txn.fsm.handle_timeout(now, &self.config.timers);
            if effects.transmit {
                let (flow, bytes) = (txn.flow, txn.request.clone());
                self.counters.retransmitted += 1;
                self.send(flow, bytes);
            }
            if let Some(fault) = effects.fault {
                self.client_failed(now, handle, fault);
            }
        }
    }
}
