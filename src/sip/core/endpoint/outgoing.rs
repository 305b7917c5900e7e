//! Requests that we send: INVITE, CANCEL, ACK, and what goes out within a dialog.

use bytes::Bytes;
use media::time::MonoTime;

use super::Endpoint;
use super::body::APPLICATION_SDP;
use super::call::{Call, SentAck, State};
use super::event::{CommandError, DialogId, Header, InviteParams, Placing, ProbeId};
use super::extensions::RELIABLE;
use super::flow::{Flow, Transport};
use super::ids::{branch_text, tag_text};
use super::reliable::Reliability;
use super::retry::CallAuth;
use super::table::Handle;
use super::transactions::{ClientFsm, ClientTxn, Purpose};
use super::twin::Twin;
use crate::sip::core::dialog::{Dialog, MAX_FORWARDS};
use crate::sip::core::headers::{HeaderName, NameAddr};
use crate::sip::core::message::Message;
use crate::sip::core::method::Method;
use crate::sip::core::session_timer::SessionTimer;
use crate::sip::core::targets::FAILOVER_AFTER;
use crate::sip::core::transaction::client::Client;
use crate::sip::core::transaction::client_invite::ClientInvite;
use crate::sip::core::uri::{Scheme, Uri, is_user};
use crate::sip::core::write::{BuildError, RequestBuilder};

/// Number of the first request of a dialog.
const FIRST_CSEQ: u32 = 1;
/// Requests that an early dialog may have had; more only if it rang for hours.
const EARLY_REQUESTS_MAX: u32 = 1_000;

impl Endpoint {
    /// Places a call. Ends in `Answered` or `Failed`.
    ///
    /// # Errors
    /// [`CommandError`]; nothing was sent.
    pub fn invite(
        &mut self,
        now: MonoTime,
        params: InviteParams,
    ) -> Result<DialogId, CommandError> {
        self.invite_with(now, params, Placing::default())
    }

    /// Places a call in a certain way. Ends in `Answered` or `Failed`.
    ///
    /// # Errors
    /// [`CommandError`]; nothing was sent.
    pub fn invite_with(
        &mut self,
        now: MonoTime,
        params: InviteParams,
        placing: Placing,
    ) -> Result<DialogId, CommandError> {
        let user = params.contact_user.as_deref().unwrap_or(&self.config.contact_user);
        if NameAddr::parse(&params.from).is_err()
            || NameAddr::parse(&params.to).is_err()
            || !is_user(user)
        {
            return Err(CommandError::Address);
        }
        if self.calls.is_full() || self.clients_full() {
            return Err(CommandError::LimitReached);
        }
        let secure = is_sips(&params.uri);
        if secure && !params.flow.transport.is_secure() {
            return Err(CommandError::Address);
        }
        let contact = Self::contact(params.flow, user, secure);
        let contact_user = user.into();
        let (tag, branch, call_id) = (self.ids.number(), self.ids.number(), self.ids.call_id());
        let from = format!("{};tag={}", params.from, tag_text(tag));
        let forwards = placing.max_forwards.map(|hops| hops.to_string());
        let mut request = self
            .outside(Method::Invite, &params.uri, params.flow, branch, &from, &params.to, &call_id)
            .header(HeaderName::MaxForwards, forwards.as_deref().unwrap_or(MAX_FORWARDS))
            .header(HeaderName::Contact, &contact)
            .header(HeaderName::Allow, &self.allow);
        request = self.timed(&SessionTimer::default(), self.extended(request));
        if params.reliability == Reliability::Required {
            request = request.header(HeaderName::Require, RELIABLE);
        }
        for (name, value) in &params.headers {
            request = request.header(name, value);
        }
        if let Some(sdp) = &params.sdp {
            request = request.body(APPLICATION_SDP, sdp);
        }
        let request = self.signed(request).build()?;
        let most = placing.datagram_max.filter(|_| params.flow.transport == Transport::Udp);
        if most.is_some_and(|most| request.len() > most) {
            return Err(CommandError::Datagram);
        }
        let dialog = Dialog::calling(&call_id, &from, &params.to, &params.uri, FIRST_CSEQ);
        let mut call = Call::new(State::Calling, dialog, tag, params.flow);
        call.contact_user = contact_user;
        call.secure = secure;
        call.offered = params.sdp.is_some();
        call.reliability = params.reliability;
        call.local_sdp = params.sdp.map(Vec::into_boxed_slice);
        call.limit_at = now + placing.ring_limit.unwrap_or(self.config.limits.ring_limit);
        call.direct = !placing.indirect;
        call.auth = placing.account.map(CallAuth::new);
        let handle = self.insert_call(call).ok_or(CommandError::LimitReached)?;
        let mut txn = self.invite_txn(now, params.flow, branch, request, FIRST_CSEQ, handle);
        let hurries = placing.patience.is_some();
        txn.twin = placing.datagram.map(|flow| Box::new(Twin::Spare { flow, hurries }));
        let patience = placing.patience.or(placing.datagram.map(|_| FAILOVER_AFTER));
        if let (ClientFsm::Invite(fsm), Some(patience)) = (&mut txn.fsm, patience) {
            fsm.expect_within(now, patience);
        }
        let client = self.insert_client(now, txn);
        if let Some(call) = self.calls.get_mut(handle) {
            call.client = client;
        }
        self.counters.calls_out += 1;
        self.arm_call(handle);
        Ok(DialogId(handle))
    }

    pub(super) fn invite_txn(
        &self,
        now: MonoTime,
        flow: Flow,
        branch: u64,
        request: Bytes,
        cseq: u32,
        call: Handle,
    ) -> ClientTxn {
        let reliable = flow.transport.is_reliable();
        ClientTxn {
            fsm: ClientFsm::Invite(ClientInvite::new(now, &self.config.timers, reliable)),
            key: (branch, false),
            purpose: Purpose::Invite,
            request,
            cseq,
            flow,
            call: Some(call),
            forks: Some(Box::default()),
            twin: None,
            auth: None,
        }
    }

    /// Begins a request outside of dialogs (RFC 3261 8.1.1); it wants Max-Forwards yet.
    #[expect(clippy::too_many_arguments, reason = "each is one header of the request")]
    fn outside(
        &self,
        method: Method,
        uri: &str,
        flow: Flow,
        branch: u64,
        from: &str,
        to: &str,
        call_id: &str,
    ) -> RequestBuilder {
        let cseq = format!("{FIRST_CSEQ} {method}");
        RequestBuilder::new(method, uri)
            .header(HeaderName::Via, &Self::via(flow, branch))
            .header(HeaderName::From, from)
            .header(HeaderName::To, to)
            .header(HeaderName::CallId, call_id)
            .header(HeaderName::CSeq, &cseq)
    }

    /// Our Via, which asks for the port that the request came from (RFC 3581 3).
    pub(super) fn via(flow: Flow, branch: u64) -> String {
        let (transport, by) = (flow.transport.as_str(), flow.local);
        format!("SIP/2.0/{transport} {by};rport;branch={}", branch_text(branch))
    }

    /// Asks a peer whether it is there. Ends in `Probed`.
    ///
    /// # Errors
    /// [`CommandError`]; nothing was sent.
    pub fn options(
        &mut self,
        now: MonoTime,
        uri: &str,
        flow: Flow,
        from: &str,
        headers: &[Header<'_>],
    ) -> Result<ProbeId, CommandError> {
        if NameAddr::parse(from).is_err() {
            return Err(CommandError::Address);
        }
        if self.clients_full() {
            return Err(CommandError::LimitReached);
        }
        let (branch, call_id) = (self.ids.number(), self.ids.call_id());
        let from = format!("{from};tag={}", tag_text(self.ids.number()));
        let to = format!("<{uri}>");
        let mut request = self
            .outside(Method::Options, uri, flow, branch, &from, &to, &call_id)
            .header(HeaderName::MaxForwards, MAX_FORWARDS)
            .header(HeaderName::Accept, APPLICATION_SDP);
        for (name, value) in headers {
            request = request.header(name, value);
        }
        let request = self.signed(request).build()?;
        let probe = ProbeId(branch);
        self.insert_client(now, self.plain_txn(now, flow, branch, request, Purpose::Probe(probe)))
            .ok_or(CommandError::LimitReached)?;
        Ok(probe)
    }

    pub(super) fn plain_txn(
        &self,
        now: MonoTime,
        flow: Flow,
        branch: u64,
        request: Bytes,
        purpose: Purpose,
    ) -> ClientTxn {
        let reliable = flow.transport.is_reliable();
        ClientTxn {
            fsm: ClientFsm::Other(Client::new(now, &self.config.timers, reliable)),
            key: (branch, purpose == Purpose::Cancel),
            purpose,
            request,
            cseq: 0,
            flow,
            call: None,
            forks: None,
            twin: None,
            auth: None,
        }
    }

    /// Sends a request within a dialog.
    pub(super) fn request_within(
        &mut self,
        now: MonoTime,
        handle: Handle,
        method: Method,
        purpose: Purpose,
        finish: impl FnOnce(RequestBuilder) -> RequestBuilder,
    ) -> Result<Handle, CommandError> {
        self.request_in(now, handle, None, method, purpose, finish)
    }

    /// Sends a request within the call's dialog, or within one of its early dialogs.
    pub(super) fn request_in(
        &mut self,
        now: MonoTime,
        handle: Handle,
        early: Option<usize>,
        method: Method,
        purpose: Purpose,
        finish: impl FnOnce(RequestBuilder) -> RequestBuilder,
    ) -> Result<Handle, CommandError> {
        if purpose != Purpose::Bye && self.clients_full() {
            return Err(CommandError::LimitReached);
        }
        let branch = self.ids.number();
        let call = self.calls.get(handle).ok_or(CommandError::NoSuchCall)?;
        let dialog = match early {
            Some(at) => &call.early.get(at).ok_or(CommandError::State)?.dialog,
            None => &call.dialog,
        };
        let flow = call.next_hop(dialog, self.live(call.flow), &self.locals);
        let via = Self::via(flow, branch);
        let call = self.calls.get_mut(handle).ok_or(CommandError::NoSuchCall)?;
        let dialog = match early.and_then(|at| call.early.get_mut(at)) {
            Some(early) => &mut early.dialog,
            None => &mut call.dialog,
        };
        let cseq = dialog.next_cseq();
        let request = dialog.request(method.clone(), cseq, &via);
        let request = self.signed(finish(request)).build()?;
        let request = self.with_credentials(handle, request)?;
        let mut txn = match method {
            Method::Invite => self.invite_txn(now, flow, branch, request, cseq, handle),
            _ => self.plain_txn(now, flow, branch, request, purpose),
        };
        (txn.purpose, txn.cseq, txn.call) = (purpose, cseq, Some(handle));
        self.insert_client(now, txn).ok_or(CommandError::LimitReached)
    }

    /// Sends the ACK of a 2xx, and keeps it for copies of that 2xx (RFC 3261 13.2.2.4).
    pub(super) fn send_ack(
        &mut self,
        handle: Handle,
        cseq: u32,
        sdp: Option<&[u8]>,
    ) -> Result<(), BuildError> {
        let branch = self.ids.number();
        let Some(call) = self.calls.get(handle) else { return Ok(()) };
        let flow = call.next_hop(&call.dialog, self.live(call.flow), &self.locals);
        let mut request = call.dialog.request(Method::Ack, cseq, &Self::via(flow, branch));
        for (name, value) in call.auth.iter().flat_map(|auth| &auth.invite) {
            request = request.header(*name, value);
        }
        let request = self.signed(request);
        let bytes = match sdp {
            Some(sdp) => request.body(APPLICATION_SDP, sdp).build()?,
            None => request.build()?,
        };
        if let Some(call) = self.calls.get_mut(handle) {
            call.ack = Some(Box::new(SentAck { cseq, bytes: bytes.clone(), flow }));
            call.ack_owed = None;
        }
        self.send(flow, bytes);
        Ok(())
    }

    /// Answers the offer of a 2xx to an INVITE of ours without one.
    ///
    /// # Errors
    /// [`CommandError`]; nothing was sent.
    pub fn ack_with(
        &mut self,
        _now: MonoTime,
        dialog: DialogId,
        sdp: &[u8],
    ) -> Result<(), CommandError> {
        let call = self.calls.get(dialog.0).ok_or(CommandError::NoSuchCall)?;
        let cseq = call.ack_owed.ok_or(CommandError::State)?;
        self.send_ack(dialog.0, cseq, Some(sdp))?;
        if let Some(call) = self.calls.get_mut(dialog.0) {
            call.local_sdp = Some(sdp.into());
            call.limit_at = MonoTime::MAX;
        }
        Ok(())
    }

    /// Acknowledges the failure of an INVITE.
    pub(super) fn ack_failure(&mut self, client: Handle, response: &Message) {
        let Some(txn) = self.clients.get(client) else { return };
        let (flow, invite) = (txn.flow, txn.request.clone());
        self.acknowledge(flow, &invite, response);
    }

    /// Sends the CANCEL of an INVITE; its headers are those that wait with the call.
    pub(super) fn send_cancel(&mut self, now: MonoTime, handle: Handle) {
        let Some(call) = self.calls.get_mut(handle) else { return };
        let headers = call.parting.take().unwrap_or_default();
        call.limit_at = now + self.config.timers.limit();
        let Some(txn) = call.client.and_then(|client| self.clients.get(client)) else { return };
        let (flow, branch, invite) = (txn.flow, txn.key.0, Message::parse(txn.request.clone()));
        self.arm_call(handle);
        let Ok(invite) = invite else { return };
        let Some(to) = invite.header(HeaderName::To) else { return };
        if let Ok(bytes) = self.beside(Method::Cancel, &invite, to, &headers) {
            let txn = self.plain_txn(now, flow, branch, bytes, Purpose::Cancel);
            // Without room for it, the INVITE is given up at the call's limit.
            let _ = self.insert_client(now, txn);
        }
    }

    /// A request in the shape of an INVITE of ours: its CANCEL, or the ACK of its failure.
    pub(super) fn beside(
        &self,
        method: Method,
        invite: &Message,
        to: &str,
        headers: &[(Box<str>, Box<str>)],
    ) -> Result<Bytes, BuildError> {
        let cseq = invite.cseq().map_or(FIRST_CSEQ, |cseq| cseq.number);
        let cseq = format!("{cseq} {method}");
        let mut request = RequestBuilder::new(method, invite.uri().unwrap_or_default());
        if let Some(via) = invite.values(HeaderName::Via).next() {
            request = request.header(HeaderName::Via, via);
        }
        for route in invite.headers(HeaderName::Route) {
            request = request.header(HeaderName::Route, route);
        }
        request = request
            .header(HeaderName::MaxForwards, MAX_FORWARDS)
            .header(HeaderName::From, invite.header(HeaderName::From).unwrap_or_default())
            .header(HeaderName::To, to)
            .header(HeaderName::CallId, invite.call_id().unwrap_or_default())
            .header(HeaderName::CSeq, &cseq);
        for (name, value) in headers {
            request = request.header(name, value);
        }
        self.signed(request).build()
    }

    /// Acknowledges a 2xx that belongs to no call any more or never did (another branch of a fork,
    /// a call that has ended), and ends what it stands for unless that is done.
    pub(super) fn decline_answer(
        &mut self,
        now: MonoTime,
        client: Handle,
        flow: Flow,
        response: &Message,
        end: bool,
    ) {
        let Some(txn) = self.clients.get(client) else { return };
        let cseq = txn.cseq;
        let Ok(invite) = Message::parse(txn.request.clone()) else { return };
        let Ok(dialog) = Dialog::answered(&invite, response) else { return };
        let branch = self.ids.number();
        let request = dialog.request(Method::Ack, cseq, &Self::via(flow, branch));
        if let Ok(bytes) = self.signed(request).build() {
            self.send(flow, bytes);
        }
        if !end {
            return;
        }
        let branch = self.ids.number();
        // Its early dialog may have had requests of its own.
        let cseq = dialog.local_cseq().saturating_add(EARLY_REQUESTS_MAX);
        let request = dialog.request(Method::Bye, cseq, &Self::via(flow, branch));
        if let Ok(bytes) = self.signed(request).build() {
            let txn = self.plain_txn(now, flow, branch, bytes, Purpose::Bye);
            // Without room for it, the peer's own timers end what nobody answers.
            let _ = self.insert_client(now, txn);
        }
    }
}

/// Whether a URI promises that every hop is secure.
pub(super) fn is_sips(uri: &str) -> bool {
    Uri::parse(uri).is_ok_and(|uri| uri.scheme == Scheme::Sips)
}

/// Adds fields to a request.
pub(super) fn with_fields(
    mut request: RequestBuilder,
    fields: &[(HeaderName, String)],
) -> RequestBuilder {
    for (name, value) in fields {
        request = request.header(*name, value);
    }
    request
}
