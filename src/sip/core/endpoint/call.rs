//! What the endpoint keeps of one call.

use std::net::{IpAddr, SocketAddr};

use bytes::Bytes;
use media::time::MonoTime;

use super::Endpoint;
use super::early::Early;
use super::event::{DialogId, Event};
use super::extensions::lists;
use super::flow::{Flow, Transport};
use super::guard::Proof;
use super::refer::Refers;
use super::reliable::{Reliability, Reliable};
use super::retry::CallAuth;
use super::table::{Handle, Timed};
use super::transactions::Reply;
use crate::sip::core::dialog::Dialog;
use crate::sip::core::headers::HeaderName;
use crate::sip::core::message::Message;
use crate::sip::core::method::Method;
use crate::sip::core::session_timer::SessionTimer;
use crate::sip::core::transaction::Clock;

/// Where a call stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// It came in and has no final response.
    Incoming,
    /// We place it and have no final response.
    Calling,
    /// We gave up placing it and wait for the INVITE's final response.
    Cancelling,
    /// A 2xx was sent or received.
    Confirmed,
    /// We said BYE.
    Closing,
}

/// Headers of a request that is not sent yet.
pub(super) type OwnedHeaders = Box<[(Box<str>, Box<str>)]>;

/// A 2xx of ours that waits for its ACK (RFC 3261 13.3.1.4).
pub(super) struct Unacked {
    pub(super) response: Bytes,
    pub(super) reply: Reply,
    pub(super) cseq: u32,
    pub(super) clock: Clock,
    /// The 2xx made the offer, so the ACK has the answer.
    pub(super) offered: bool,
    /// The call's first answer, not that of a change.
    pub(super) first: bool,
}

/// The ACK of the latest 2xx we got, sent again for every copy of it.
pub(super) struct SentAck {
    pub(super) cseq: u32,
    pub(super) bytes: Bytes,
    pub(super) flow: Flow,
}

/// What a change of ours is for, and by which method it is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// The user's, by re-INVITE.
    Reinvite,
    /// The user's, by UPDATE.
    Update,
    /// A refresh of the session, by re-INVITE.
    Refresh,
}

/// A change of ours that is under way, or met one of the peer and waits to be tried again
/// (RFC 3261 14.1).
pub(super) struct Retry {
    pub(super) at: MonoTime,
    pub(super) sdp: Option<Vec<u8>>,
    pub(super) tries: u8,
    pub(super) change: Change,
}

/// One call.
pub(super) struct Call {
    pub(super) state: State,
    pub(super) dialog: Dialog,
    pub(super) tag: u64,
    /// User of our Contact.
    pub(super) contact_user: Box<str>,
    /// Where the latest message came from, or where the INVITE went.
    pub(super) flow: Flow,
    /// The peer is where it says it is: not behind an address translator.
    pub(super) direct: bool,
    /// Our Contact is a `sips:` URI.
    pub(super) secure: bool,
    /// We placed it.
    pub(super) outgoing: bool,
    /// Our INVITE (or the change under way) made the offer.
    pub(super) offered: bool,
    /// Number of the INVITE whose 2xx, with an offer, waits for `ack_with`.
    pub(super) ack_owed: Option<u32>,
    /// A provisional response came, so that a CANCEL may go out.
    pub(super) proceeding: bool,
    /// The final event has been told.
    pub(super) told: bool,
    /// The INVITE or UPDATE of the peer that we owe a final response.
    pub(super) server: Option<Handle>,
    /// The UPDATE or PRACK with an offer before the answer that we owe a final response.
    pub(super) asked: Option<Handle>,
    /// When that has waited too long.
    pub(super) asked_at: MonoTime,
    /// Our INVITE that has no final response.
    pub(super) client: Option<Handle>,
    /// Our UPDATE that has no final response.
    pub(super) asking: Option<Handle>,
    /// Offer and answer of a call that came in have been exchanged reliably before the answer.
    pub(super) settled: bool,
    /// How provisional responses are treated.
    pub(super) reliability: Reliability,
    /// Our reliable provisional responses.
    pub(super) reliable: Option<Box<Reliable>>,
    /// Early dialogs of a call that we place.
    pub(super) early: Vec<Early>,
    /// Reliable responses that were taken. Of the call, for early dialogs come and go (RFC 6228).
    pub(super) pracks: u16,
    pub(super) timer: SessionTimer,
    /// The description of ours that holds, or was offered.
    pub(super) local_sdp: Option<Box<[u8]>>,
    /// The peer takes UPDATE.
    pub(super) update_allowed: bool,
    /// The peer says that it takes INFO.
    pub(super) info_allowed: bool,
    /// It says what it takes, and INFO is not among it.
    pub(super) info_refused: bool,
    pub(super) unacked: Option<Box<Unacked>>,
    pub(super) ack: Option<Box<SentAck>>,
    pub(super) retry: Option<Box<Retry>>,
    /// Transfers that are under way.
    pub(super) refers: Refers,
    /// The call that this one is to replace (RFC 3891).
    pub(super) replaces: Option<Handle>,
    /// Headers of a BYE or CANCEL that has to wait.
    pub(super) parting: Option<OwnedHeaders>,
    /// Who we are, if challenges are to be answered.
    pub(super) auth: Option<Box<CallAuth>>,
    /// Who opened the call, if that was proven.
    pub(super) proof: Option<Box<Proof>>,
    /// When the provisional response is repeated.
    pub(super) repeat_at: MonoTime,
    /// When the state has lasted too long.
    pub(super) limit_at: MonoTime,
}

impl Call {
    pub(super) fn new(state: State, dialog: Dialog, tag: u64, flow: Flow) -> Self {
        Self {
            state,
            dialog,
            tag,
            contact_user: Box::default(),
            flow,
            direct: true,
            secure: false,
            outgoing: state == State::Calling,
            offered: false,
            ack_owed: None,
            proceeding: false,
            told: false,
            server: None,
            asked: None,
            asked_at: MonoTime::MAX,
            client: None,
            asking: None,
            settled: false,
            reliability: Reliability::default(),
            reliable: None,
            early: Vec::new(),
            pracks: 0,
            timer: SessionTimer::default(),
            local_sdp: None,
            update_allowed: false,
            info_allowed: false,
            info_refused: false,
            unacked: None,
            ack: None,
            retry: None,
            refers: Refers::default(),
            replaces: None,
            parting: None,
            auth: None,
            proof: None,
            repeat_at: MonoTime::MAX,
            limit_at: MonoTime::MAX,
        }
    }

    pub(super) fn deadline(&self) -> MonoTime {
        let unacked = self.unacked.as_ref().map_or(MonoTime::MAX, |u| u.clock.deadline());
        let retry = self.retry.as_ref().map_or(MonoTime::MAX, |r| r.at);
        let timer = match self.state {
            State::Confirmed => self.timer.deadline(),
            State::Incoming => self.reliable.as_ref().map_or(MonoTime::MAX, |r| r.deadline()),
            State::Calling | State::Cancelling | State::Closing => MonoTime::MAX,
        };
        let changes = self.asked_at.min(retry).min(self.refers.deadline());
        self.repeat_at.min(self.limit_at).min(changes).min(unacked).min(timer)
    }

    /// Whether it is placed by us and has no final response.
    pub(super) const fn is_calling(&self) -> bool {
        matches!(self.state, State::Calling | State::Cancelling)
    }

    /// Whether a change by either side is under way or waits.
    pub(super) const fn is_changing(&self) -> bool {
        self.server.is_some()
            || self.asked.is_some()
            || self.client.is_some()
            || self.asking.is_some()
            || self.unacked.is_some()
            || self.ack_owed.is_some()
            || self.retry.is_some()
    }

    /// Notes what the peer says that it can do.
    pub(super) fn heard(&mut self, message: &Message) {
        if message.header(HeaderName::Allow).is_some() {
            self.update_allowed = lists(message, HeaderName::Allow, Method::Update.as_str());
            self.info_allowed = lists(message, HeaderName::Allow, Method::Info.as_str());
            self.info_refused = !self.info_allowed;
        }
    }

    /// The offer of our change holds now.
    pub(super) fn keep_offer(&mut self) {
        if let Some(sdp) = self.retry.take().and_then(|retry| retry.sdp) {
            self.local_sdp = Some(sdp.into());
        }
    }

    /// Notes where a request within the dialog came from. A call that was opened with credentials
    /// goes to no other address than the one they were shown from last.
    pub(super) fn moved(&mut self, flow: Flow, request: &Message) {
        if self.proof.as_ref().is_some_and(|proof| proof.address != flow.peer.ip()) {
            return;
        }
        self.flow = flow;
        self.direct = is_direct(flow, request);
    }

    /// Where requests within the dialog go.
    ///
    /// An open connection of the dialog is used whatever the target says. Else the next hop's
    /// address, if it is literal and the peer is where it says it is; a peer behind an address
    /// translator, and a name (the shell resolved or knows it already), is reached where its
    /// latest message came from.
    pub(super) fn next_hop(
        &self,
        dialog: &Dialog,
        live: Flow,
        locals: &[(Transport, SocketAddr)],
    ) -> Flow {
        if live.connection != 0 || live.transport.is_websocket() {
            return live;
        }
        let Some(uri) = dialog.next_hop() else { return live };
        let named = uri.host.as_ref().and_then(|host| host.address());
        let Some(ip) = named.filter(|ip| self.direct && is_usable(*ip, live.peer.ip())) else {
            return live;
        };
        let wanted = Transport::of_uri(&uri).ok().flatten().filter(|t| !t.is_websocket());
        // What Via names has to belong to the transport: without a local address, none is changed.
        let changed = wanted.filter(|transport| *transport != live.transport).and_then(|wanted| {
            locals.iter().find(|(t, local)| *t == wanted && local.is_ipv4() == ip.is_ipv4())
        });
        let (transport, local) = changed.copied().unwrap_or((live.transport, live.local));
        let port = uri.port.filter(|p| *p != 0).unwrap_or(transport.default_port());
        Flow { transport, local, peer: SocketAddr::new(ip, port), connection: 0 }
    }
}

/// Whether the sender of a request stands where its Via says.
pub(super) fn is_direct(flow: Flow, request: &Message) -> bool {
    request.via().ok().and_then(|via| via.host.address()).is_none_or(|ip| ip == flow.peer.ip())
}

/// Whether an address that a peer named can be meant from here: of the same family, and not a
/// private one named by a peer on a public one.
fn is_usable(named: IpAddr, source: IpAddr) -> bool {
    named.is_ipv4() == source.is_ipv4()
        && !named.is_unspecified()
        && (!is_private(named) || is_private(source))
}

fn is_private(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => {
            let [a, b, ..] = ip.octets();
            // Carrier-grade translators use 100.64.0.0/10 (RFC 6598).
            ip.is_private()
                || ip.is_loopback()
                || ip.is_link_local()
                || (a == 100 && b & 0xc0 == 64)
        }
        IpAddr::V6(ip) => ip.is_loopback() || ip.is_unique_local() || ip.is_unicast_link_local(),
    }
}

impl Endpoint {
    pub(super) fn insert_call(&mut self, call: Call) -> Option<Handle> {
        let tag = call.tag;
        let handle = self.calls.insert(call)?;
        self.call_tags.insert(tag, handle);
        Some(handle)
    }

    /// Forgets a call. An INVITE of ours that is still out is given up some time later.
    pub(super) fn remove_call(&mut self, now: MonoTime, handle: Handle) {
        if let Some(mut call) = self.calls.remove(handle) {
            self.call_tags.remove(&call.tag);
            for server in call.asked.into_iter().chain(call.refers.forget_theirs()) {
                self.respond_with(now, server, 487, "Request Terminated", |_, response, _| {
                    response
                });
            }
            if let Some(client) = call.client {
                self.give_up(now, client);
            }
        }
    }

    /// Tells how a call ended, once.
    pub(super) fn tell_end(&mut self, handle: Handle, event: impl FnOnce(DialogId) -> Event) {
        if let Some(call) = self.calls.get_mut(handle)
            && !std::mem::replace(&mut call.told, true)
        {
            self.events.push_back(event(DialogId(handle)));
        }
    }

    /// Waits for the call's next deadline.
    pub(super) fn arm_call(&mut self, handle: Handle) {
        let Self { schedule, calls, .. } = self;
        if let Some(deadline) = calls.get(handle).map(Call::deadline)
            && deadline < MonoTime::MAX
        {
            schedule.arm(calls, handle, deadline, Timed::Call);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Private addresses count as usable only from private ones.
    #[test]
    fn usable_addresses() {
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        for (named, source, expected) in [
            ("192.0.2.1", "198.51.100.1", true),
            ("10.0.0.1", "198.51.100.1", false),
            ("10.0.0.1", "172.16.0.1", true),
            ("127.0.0.1", "127.0.0.1", true),
            ("100.64.0.1", "8.8.8.8", false),
            ("100.128.0.1", "8.8.8.8", true),
            ("0.0.0.0", "10.0.0.1", false),
            ("2001:db8::1", "192.0.2.1", false),
            ("fd00::1", "2001:db8::1", false),
            ("2001:db8::2", "2001:db8::1", true),
        ] {
            assert_eq!(is_usable(ip(named), ip(source)), expected, "{named} from {source}");
        }
    }
}
