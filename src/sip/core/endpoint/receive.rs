//! What arrives, up to the transaction it belongs to.

use bytes::Bytes;
use media::time::MonoTime;

use super::Endpoint;
use super::flow::Flow;
use super::ids::{branch_number, tag_number};
use super::reply::{ACCEPT, refusal};
use super::transactions::{Reply, ServerFsm, server_key};
use crate::sip::core::headers::{HeaderName, Via};
use crate::sip::core::message::{Message, ParseError};
use crate::sip::core::method::Method;
use crate::sip::core::transaction::{Class, Fault};
use crate::sip::core::uri::Scheme;
use crate::sip::core::uri::Uri;
use crate::sip::core::validate::{Refusal, validate_request, validate_response};

impl Endpoint {
    /// A datagram arrived.
    pub fn handle_datagram(&mut self, now: MonoTime, flow: Flow, data: Bytes) {
        match Message::parse(data) {
            Ok(message) => self.handle_message(now, flow, message),
            Err(ParseError::Empty) => self.counters.keep_alives += 1,
            Err(_) => self.counters.malformed += 1,
        }
    }

    /// A message arrived, for example on a stream.
    pub fn handle_message(&mut self, now: MonoTime, flow: Flow, message: Message) {
        if flow.connection != 0 {
            self.connections.entry(flow.connection).or_default();
        }
        if message.is_request() {
            self.counters.requests += 1;
            self.handle_request(now, flow, message);
        } else {
            self.counters.responses += 1;
            self.handle_response(now, flow, &message);
        }
        let Self { schedule, calls, servers, clients, .. } = self;
        schedule.sweep(calls, servers, clients);
    }

    /// A connection is there: what is sent to its flow may use it. Not needed for one on which a
    /// message has arrived.
    pub fn handle_connected(&mut self, connection: u64) {
        if connection != 0 {
            self.connections.entry(connection).or_default();
        }
    }

    /// A connection is gone. Requests that wait on it fail; calls go on over a new one. Which
    /// requests to a flow with connection 0 went over it is not known here: if there were any,
    /// report that flow with [`Endpoint::handle_unreachable`] too.
    pub fn handle_closed(&mut self, now: MonoTime, connection: u64) {
        for handle in self.connections.remove(&connection).unwrap_or_default() {
            // What went another way since is waited for there.
            if self.clients.get(handle).is_some_and(|txn| txn.flow.connection == connection) {
                self.transport_failed(now, handle);
            }
        }
    }

    /// Something could not be sent to a flow: no connection could be opened, or the network said
    /// so. Requests that wait for an answer from there fail.
    pub fn handle_unreachable(&mut self, now: MonoTime, flow: Flow) {
        let waiting: Vec<_> = self
            .clients
            .iter()
            .filter(|(_, txn)| {
                txn.flow.transport == flow.transport
                    && txn.flow.peer == flow.peer
                    && self.live(txn.flow).connection == flow.connection
            })
            .map(|(handle, _)| handle)
            .collect();
        for handle in waiting {
            self.transport_failed(now, handle);
        }
    }

    fn transport_failed(&mut self, now: MonoTime, handle: super::table::Handle) {
        let Some(txn) = self.clients.get_mut(handle) else { return };
        let effects = txn.fsm.handle_transport_error();
        if effects.fault.is_some() {
            self.client_failed(now, handle, Fault::Transport);
        }
        self.settle_client(now, handle);
    }

    fn handle_request(&mut self, now: MonoTime, flow: Flow, request: Message) {
        let Some(method) = request.method().cloned() else { return };
        if let Err(refusal) = validate_request(&request) {
            self.counters.malformed += 1;
            return self.refuse(flow, &request, &refusal);
        }
        let Ok(via) = request.via() else { return };
        match method {
            Method::Ack => {
                let key = server_key(self, &request, &via, Method::Invite.as_str());
                self.handle_ack(now, flow, key, &request);
            }
            Method::Cancel => {
                let key = server_key(self, &request, &via, Method::Invite.as_str());
                self.handle_cancel(now, flow, key, &request);
            }
            method => {
                let key = server_key(self, &request, &via, method.as_str());
                if !self.handle_copy(key) {
                    self.handle_new(now, flow, &method, request);
                }
            }
        }
    }

    /// Whether the request belongs to a transaction already; if so, its response is sent again.
    fn handle_copy(&mut self, key: u128) -> bool {
        let Some(handle) = self.server_keys.get(&key).copied() else { return false };
        let Some(txn) = self.servers.get_mut(handle) else { return false };
        self.counters.duplicates += 1;
        let effects = match &mut txn.fsm {
            ServerFsm::Invite(fsm) => fsm.handle_request(),
            ServerFsm::Other(fsm) => fsm.handle_request(),
        };
        if effects.transmit && !txn.response.is_empty() {
            let (reply, bytes) = (txn.reply, txn.response.clone());
            self.counters.retransmitted += 1;
            self.send_reply(reply, bytes);
        }
        true
    }

    /// A request that opens a transaction (RFC 3261 8.2).
    fn handle_new(&mut self, now: MonoTime, flow: Flow, method: &Method, request: Message) {
        if let Err(refusal) = self.judge(method, flow, &request) {
            return self.refuse(flow, &request, &refusal);
        }
        let in_dialog = request.to().is_ok_and(|to| to.tag().is_some());
        if in_dialog {
            return self.handle_within(now, flow, method, request);
        }
        let user = match method {
            Method::Options | Method::Register => None,
            _ => match self.prove(now, flow, &request) {
                Ok(user) => user,
                Err(refusal) => return self.refuse(flow, &request, &refusal),
            },
        };
        match method {
            Method::Invite => self.handle_invite(now, flow, request, user),
            Method::Register => self.handle_register(now, flow, request),
            Method::Options => {
                let answer = match self.refusing {
                    Some(_) => self.overload(),
                    None => self.capabilities(),
                };
                self.refuse(flow, &request, &answer);
            }
            // Whoever is in no call with us has nothing to ask us for (RFC 3515 4.1).
            Method::Refer => self.refuse(flow, &request, &Refusal::new(403, "No Call To Transfer")),
            _ => self.refuse(flow, &request, &NO_DIALOG),
        }
    }

    /// Method and extensions (RFC 3261 8.2.1, 8.2.2.3).
    fn judge(&self, method: &Method, flow: Flow, request: &Message) -> Result<(), Refusal> {
        if !method.is_known() {
            return Err(refusal(501, "Not Implemented", HeaderName::Allow, self.allow.as_str()));
        }
        let handled = super::config::HANDLED.contains(method);
        if !handled || !self.config.allow.contains(method) {
            return Err(refusal(405, "Method Not Allowed", HeaderName::Allow, self.allow.as_str()));
        }
        if let Some(uri) = request.uri()
            && !flow.transport.is_secure()
            && Uri::parse(uri).is_ok_and(|uri| uri.scheme == Scheme::Sips)
        {
            // The last hop did not keep what the scheme promises.
            return Err(Refusal::new(416, "Unsupported URI Scheme"));
        }
        let known = |option: &&str| *method == Method::Register && *option == "path";
        let missing = self.missing(request);
        let missing: Vec<&str> = missing.into_iter().filter(|option| !known(option)).collect();
        if !missing.is_empty() {
            return Err(refusal(420, "Bad Extension", HeaderName::Unsupported, missing.join(", ")));
        }
        Ok(())
    }

    /// What OPTIONS is answered with (RFC 3261 11.2).
    pub(super) fn capabilities(&self) -> Refusal {
        Refusal {
            headers: vec![
                (HeaderName::Allow, self.allow.clone()),
                (HeaderName::Accept, ACCEPT.into()),
                (HeaderName::Supported, self.tags.join(", ")),
            ],
            ..Refusal::new(200, "OK")
        }
    }

    /// An ACK: of a failure by its transaction, of a 2xx by its call.
    fn handle_ack(&mut self, now: MonoTime, flow: Flow, key: u128, ack: &Message) {
        if let Some(handle) = self.server_keys.get(&key).copied()
            && let Some(txn) = self.servers.get_mut(handle)
            && let ServerFsm::Invite(fsm) = &mut txn.fsm
        {
            let effects = fsm.handle_ack(now, &self.config.timers);
            self.settle_server(now, handle);
            if !effects.deliver {
                return;
            }
        }
        self.acknowledged(now, flow, ack);
    }

    fn handle_cancel(&mut self, now: MonoTime, flow: Flow, key: u128, cancel: &Message) {
        let found = self.server_keys.get(&key).copied();
        let Some((handle, txn)) = found.and_then(|h| Some((h, self.servers.get(h)?))) else {
            return self.refuse(flow, cancel, &NO_TRANSACTION);
        };
        let Ok(via) = cancel.via() else { return };
        let (tag, call, pending) = (txn.tag, txn.call, txn.fsm.is_pending());
        let reply = Reply::new(flow, &via);
        let bytes = self.response(cancel, reply, 200, "OK", tag).build();
        self.send_reply(reply, bytes);
        if pending {
            let reason = cancel.header(HeaderName::Reason).map(Into::into);
            self.respond_with(now, handle, 487, "Request Terminated", |_, response, _| response);
            self.withdrawn(now, call, handle, reason);
        }
    }

    fn handle_response(&mut self, now: MonoTime, flow: Flow, response: &Message) {
        // More than one Via: the response is somebody else's (RFC 3261 8.1.3.3).
        let key =
            client_key(response).filter(|_| response.values(HeaderName::Via).nth(1).is_none());
        let Some(key) = key else {
            self.counters.stray_responses += 1;
            return;
        };
        let Some(status) = response.status().filter(|_| validate_response(response).is_ok()) else {
            self.counters.malformed += 1;
            return;
        };
        let found = self.client_keys.get(&key).copied();
        let Some(handle) = found.filter(|handle| self.clients.get(*handle).is_some()) else {
            self.counters.stray_responses += 1;
            return;
        };
        if self.heard_twin(now, handle, flow, response) {
            return self.settle_client(now, handle);
        }
        let Some(txn) = self.clients.get_mut(handle) else { return };
        if flow.connection != 0 && txn.flow.connection == 0 {
            // The shell opened a connection for the request; now we know which.
            txn.flow.connection = flow.connection;
        }
        let effects = txn.fsm.handle_response(now, &self.config.timers, Class::of(status));
        if effects.ack {
            self.ack_failure(handle, response);
        }
        if effects.deliver {
            self.client_answered(now, handle, flow, response, status);
        }
        self.settle_client(now, handle);
    }

    /// Whether one of the Vias names an INVITE of ours that is under way: the call came back.
    pub(super) fn is_loop(&self, request: &Message) -> bool {
        request.values(HeaderName::Via).any(|text| {
            Via::parse(text)
                .ok()
                .and_then(|via| branch_number(via.branch()?))
                .is_some_and(|branch| self.client_keys.contains_key(&(branch, false)))
        })
    }

    /// The call that a request or ACK within a dialog names by our tag.
    pub(super) fn call_of(&self, message: &Message) -> Option<super::table::Handle> {
        let to = message.to().ok()?;
        self.call_tags.get(&tag_number(to.tag()?)?).copied()
    }
}

/// 481 of a request that belongs to no dialog (RFC 3261 12.2.2).
pub(super) const NO_DIALOG: Refusal = Refusal::new(481, "Call/Transaction Does Not Exist");
/// 481 of a CANCEL that belongs to no transaction (RFC 3261 9.2).
const NO_TRANSACTION: Refusal = NO_DIALOG;

/// The client transaction that a response names (RFC 3261 17.1.3).
fn client_key(response: &Message) -> Option<(u64, bool)> {
    let branch = branch_number(response.via().ok()?.branch()?)?;
    Some((branch, response.cseq().ok()?.method == Method::Cancel))
}
