//! Writing responses, and answering without a transaction.

use bytes::Bytes;
use media::time::MonoTime;

use super::Endpoint;
use super::event::Header;
use super::flow::{Flow, Transport};
use super::ids::tag_text;
use super::table::Handle;
use super::transactions::{Reply, ServerFsm, ServerTxn, server_key};
use crate::sip::core::headers::HeaderName;
use crate::sip::core::message::Message;
use crate::sip::core::method::Method;
use crate::sip::core::transaction::server::Server;
use crate::sip::core::transaction::server_invite::ServerInvite;
use crate::sip::core::validate::Refusal;
use crate::sip::core::write::{RequestBuilder, ResponseBuilder};

/// Content types that a body may have.
pub(super) const ACCEPT: &str = "application/sdp, multipart/mixed";

/// A refusal with one header.
pub(super) fn refusal(
    status: u16,
    reason: &'static str,
    header: HeaderName,
    value: impl Into<String>,
) -> Refusal {
    Refusal { headers: vec![(header, value.into())], ..Refusal::new(status, reason) }
}

/// Adds headers of the user to a response.
pub(super) fn with_headers<'a>(
    mut response: ResponseBuilder<'a>,
    headers: &[Header<'_>],
) -> ResponseBuilder<'a> {
    for (name, value) in headers {
        response = response.header(name, value);
    }
    response
}

impl Endpoint {
    /// `host:port` that Via and Contact name.
    pub(super) fn advertised(&self, flow: Flow) -> std::net::SocketAddr {
        let configured = match flow.transport {
            Transport::Udp => self.config.advertised_udp,
            Transport::Tcp => self.config.advertised_tcp,
        };
        configured.unwrap_or(flow.local)
    }

    /// Our Contact.
    pub(super) fn contact(&self, flow: Flow, user: &str) -> String {
        let address = self.advertised(flow);
        let at = if user.is_empty() { "" } else { "@" };
        let transport = if flow.transport == Transport::Tcp { ";transport=tcp" } else { "" };
        format!("<sip:{user}{at}{address}{transport}>")
    }

    /// Begins a response.
    pub(super) fn response<'a>(
        &self,
        request: &'a Message,
        reply: Reply,
        status: u16,
        reason: &'a str,
        tag: u64,
    ) -> ResponseBuilder<'a> {
        let mut response = ResponseBuilder::new(request, status, reason).source(reply.source);
        if status != 100 {
            response = response.to_tag(&tag_text(tag));
        } else if let Some(stamp) = request.header(HeaderName::Timestamp) {
            response = response.header(HeaderName::Timestamp, stamp);
        }
        if self.config.user_agent.is_empty() {
            return response;
        }
        response.header(HeaderName::Server, &self.config.user_agent)
    }

    /// Says in a request who we are.
    pub(super) fn signed(&self, request: RequestBuilder) -> RequestBuilder {
        if self.config.user_agent.is_empty() {
            return request;
        }
        request.header(HeaderName::UserAgent, &self.config.user_agent)
    }

    /// Answers a request without keeping anything: the same request gets the same answer, its tag
    /// included. Never answers an ACK.
    pub(super) fn refuse(&mut self, flow: Flow, request: &Message, refusal: &Refusal) {
        if request.method() == Some(&Method::Ack) || request.header(HeaderName::Via).is_none() {
            self.counters.unanswerable += 1;
            return;
        }
        let via = request.via().ok();
        // Back to the source if the Via cannot be read: the sender may recognise it.
        let reply =
            via.as_ref().map_or_else(|| Reply::to_source(flow), |via| Reply::new(flow, via));
        let tag = self.stateless_tag(request);
        let bytes = self.refusal_bytes(request, reply, refusal, tag);
        match refusal.status {
            503 => self.counters.overloaded += 1,
            200 => {}
            _ => self.counters.refused += 1,
        }
        self.send_reply(reply, bytes);
    }

    /// Our tag in a refusal that keeps nothing: the same for every copy of a request and its ACK.
    pub(super) fn stateless_tag(&self, request: &Message) -> u64 {
        let via = request.via().ok();
        let from = request.from().ok();
        let branch = via.as_ref().and_then(|via| via.branch());
        let from = from.as_ref().and_then(|from| from.tag());
        let tag = self.ids.digest(&(request.call_id().ok(), from, branch));
        u64::try_from(tag & u128::from(u64::MAX)).unwrap_or(0)
    }

    fn refusal_bytes(&self, request: &Message, reply: Reply, refusal: &Refusal, tag: u64) -> Bytes {
        let mut response = self.response(request, reply, refusal.status, refusal.reason, tag);
        for (name, value) in &refusal.headers {
            response = response.header(*name, value);
        }
        response.build()
    }

    /// Refusal of a new call while none is accepted or there is no room.
    pub(super) fn overload(&self) -> Refusal {
        let seconds = self.refusing.unwrap_or(self.config.limits.retry_after_s);
        refusal(503, "Service Unavailable", HeaderName::RetryAfter, seconds.to_string())
    }

    /// Begins a server transaction for a request. Refuses the request if there are too many.
    pub(super) fn begin_server(
        &mut self,
        flow: Flow,
        request: &Message,
        call: Option<Handle>,
        tag: u64,
    ) -> Option<Handle> {
        let (via, method) = (request.via().ok()?, request.method()?);
        let reliable = flow.transport.is_reliable();
        let fsm = match method {
            Method::Invite => ServerFsm::Invite(ServerInvite::new(reliable)),
            _ => ServerFsm::Other(Server::new(reliable)),
        };
        let txn = ServerTxn {
            fsm,
            key: server_key(self, request, &via, method.as_str()),
            merge: None,
            reply: Reply::new(flow, &via),
            response: Bytes::new(),
            request: Some(request.clone()),
            call,
            tag,
        };
        let handle = self.insert_server(txn);
        if handle.is_none() {
            self.refuse(flow, request, &self.overload());
        }
        handle
    }

    /// Answers the request of a pending transaction.
    pub(super) fn respond_with(
        &mut self,
        now: MonoTime,
        handle: Handle,
        status: u16,
        reason: &str,
        finish: impl for<'a> FnOnce(&Self, ResponseBuilder<'a>, &'a Message) -> ResponseBuilder<'a>,
    ) {
        let Some(txn) = self.servers.get(handle) else { return };
        let Some(request) = txn.request.clone() else { return };
        let response = self.response(&request, txn.reply, status, reason, txn.tag);
        let bytes = finish(self, response, &request).build();
        self.respond(now, handle, status, bytes);
    }

    /// Answers a request at once, in a transaction of its own; without one if there are too many,
    /// because a copy that gets another answer does less harm than a BYE refused.
    pub(super) fn respond_once(
        &mut self,
        now: MonoTime,
        flow: Flow,
        request: &Message,
        tag: u64,
        refusal: &Refusal,
    ) {
        if self.servers.is_full() {
            return self.refuse(flow, request, refusal);
        }
        let Some(handle) = self.begin_server(flow, request, None, tag) else { return };
        self.respond_with(now, handle, refusal.status, refusal.reason, |_, mut response, _| {
            for (name, value) in &refusal.headers {
                response = response.header(*name, value);
            }
            response
        });
    }
}
