//! An INVITE that is too long for a datagram goes by a stream, and in a datagram all the same if
//! nobody takes it from there (RFC 3261 18.1.1).
//!
//! That nothing was said on the stream does not mean that nobody has heard. So what goes in the
//! datagram is the same request once more: Call-ID, tag, number and branch are those of the first,
//! and both are one transaction here. Whoever gets both knows the second for a copy of the first
//! (17.2.3), and rings once; whoever tells transactions apart by their transport says 482 to it
//! (8.2.2.2), which means that the other one is under way. What is said afterwards, such as a
//! CANCEL, goes the way of the one that was answered.

use bytes::Bytes;
use media::time::MonoTime;

use super::Endpoint;
use super::call::State;
use super::event::{DialogId, Event};
use super::flow::Flow;
use super::table::Handle;
use super::transactions::ClientFsm;
use crate::sip::core::headers::HeaderName;
use crate::sip::core::message::Message;
use crate::sip::core::method::Method;
use crate::sip::core::targets::FAILOVER_AFTER;
use crate::sip::core::transaction::client_invite::ClientInvite;
use crate::sip::core::write::RequestBuilder;

/// Merged Request (RFC 3261 8.2.2.2).
const MERGED: u16 = 482;

/// The other way of an INVITE.
pub(super) enum Twin {
    /// How it goes if nobody takes it.
    Spare {
        /// The way.
        flow: Flow,
        /// Somebody else is asked if nobody takes it there either.
        hurries: bool,
    },
    /// How it went as well.
    Sent(Other),
    /// How it went as well, and was known for a copy.
    Merged(Other),
}

/// A request that was sent, and the way that it went.
pub(super) struct Other {
    flow: Flow,
    request: Bytes,
}

impl Endpoint {
    /// Sends an INVITE that nobody has taken the other way. False if there is none; nothing was
    /// sent then.
    pub(super) fn send_twin(&mut self, now: MonoTime, client: Handle) -> bool {
        let Some(txn) = self.clients.get(client) else { return false };
        let Some(Twin::Spare { flow, hurries }) = txn.twin.as_deref() else { return false };
        let (flow, hurries, branch) = (*flow, *hurries, txn.key.0);
        let Some(handle) = txn.call else { return false };
        let Some(call) = self.calls.get(handle).filter(|call| call.state == State::Calling) else {
            return false;
        };
        let contact = Self::contact(flow, &call.contact_user, call.secure);
        let Some(request) = rewritten(&txn.request, &Self::via(flow, branch), &contact) else {
            return false;
        };
        let mut fsm = ClientInvite::new(now, &self.config.timers, flow.transport.is_reliable());
        if hurries {
            fsm.expect_within(now, FAILOVER_AFTER);
        }
        if let Some(txn) = self.clients.get_mut(client) {
            let first = std::mem::replace(&mut txn.request, request.clone());
            let first = Other { flow: std::mem::replace(&mut txn.flow, flow), request: first };
            txn.twin = Some(Box::new(Twin::Sent(first)));
            txn.fsm = ClientFsm::Invite(fsm);
        }
        if let Some(call) = self.calls.get_mut(handle) {
            call.flow = flow;
        }
        self.send(flow, request);
        self.events.push_back(Event::ByDatagram { dialog: DialogId(handle) });
        true
    }

    /// A response to an INVITE that went two ways came along `flow`: the transaction goes on where
    /// it was said. True if it says only that the other one is under way.
    pub(super) fn heard_twin(
        &mut self,
        now: MonoTime,
        client: Handle,
        flow: Flow,
        response: &Message,
    ) -> bool {
        let Some(txn) = self.clients.get_mut(client) else { return false };
        let of = |copy: &Other| copy.flow.transport == flow.transport;
        let merged = response.status() == Some(MERGED);
        match txn.twin.as_deref_mut() {
            Some(Twin::Merged(copy)) if merged && of(copy) => {
                let (flow, request) = (copy.flow, copy.request.clone());
                self.acknowledge(flow, &request, response);
                true
            }
            Some(Twin::Sent(copy)) if merged => {
                let is_other = of(copy);
                if !is_other {
                    std::mem::swap(&mut copy.flow, &mut txn.flow);
                    std::mem::swap(&mut copy.request, &mut txn.request);
                    let reliable = txn.flow.transport.is_reliable();
                    let fsm = ClientInvite::new(now, &self.config.timers, reliable);
                    txn.fsm = ClientFsm::Invite(fsm);
                }
                let (flow, request) = (copy.flow, copy.request.clone());
                if let Some(Twin::Sent(copy)) = txn.twin.take().map(|twin| *twin) {
                    txn.twin = Some(Box::new(Twin::Merged(copy)));
                }
                self.acknowledge(flow, &request, response);
                true
            }
            Some(Twin::Sent(copy)) => {
                if of(copy) {
                    std::mem::swap(&mut copy.flow, &mut txn.flow);
                    std::mem::swap(&mut copy.request, &mut txn.request);
                }
                false
            }
            Some(Twin::Spare { .. } | Twin::Merged(_)) | None => false,
        }
    }

    /// Sends the ACK of a failure: where the INVITE went, in its transaction (RFC 3261 17.1.1.3).
    pub(super) fn acknowledge(&mut self, flow: Flow, invite: &Bytes, response: &Message) {
        let Ok(invite) = Message::parse(invite.clone()) else { return };
        let Some(to) = response.header(HeaderName::To) else { return };
        if let Ok(bytes) = self.beside(Method::Ack, &invite, to, &[]) {
            self.send(flow, bytes);
        }
    }
}

/// An INVITE with another Via and Contact.
fn rewritten(invite: &Bytes, via: &str, contact: &str) -> Option<Bytes> {
    let invite = Message::parse(invite.clone()).ok()?;
    let mut request = RequestBuilder::new(Method::Invite, invite.uri().unwrap_or_default());
    for (name, value) in invite.all_headers() {
        request = match HeaderName::from_name(name) {
            Some(HeaderName::Via) => request.header(HeaderName::Via, via),
            Some(HeaderName::Contact) => request.header(HeaderName::Contact, contact),
            Some(HeaderName::ContentLength | HeaderName::ContentType) => request,
            _ => request.header(name, value),
        };
    }
    if !invite.body().is_empty() {
        let kind = invite.header(HeaderName::ContentType).unwrap_or_default();
        request = request.body(kind, invite.body());
    }
    request.build().ok()
}
