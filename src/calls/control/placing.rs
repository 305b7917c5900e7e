//! The INVITEs of a call that we place: to one server after the other, until one takes it.

use std::net::SocketAddr;
use std::sync::Arc;

use super::Control;
use super::place::{field, host_text};
use crate::calls::request::RequestError;
use crate::sip::core::endpoint::{DialogId, InviteParams, Reliability, Transport};
use crate::sip::core::headers::HeaderName;
use crate::sip::core::locate::Target;
use crate::sip::core::message::Message;
use crate::sip::core::targets::{Attempts, FAILOVER_AFTER, Failure, retry_after};
use crate::sip::core::uri::Uri;
use crate::sip::endpoint::resolver::{ResolveError, Resolver};
use crate::sip::endpoint::streams::Verify;
use crate::sip::endpoint::tls::ClientTls;
use crate::workers::command::CallKey;
use crate::workers::poller::now;

/// What an INVITE says of where it goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Way {
    /// Request-URI.
    pub(super) uri: String,
    /// The URI that leads to its server: the first of the route, else the target, else `uri`.
    pub(super) next: String,
    /// Values of Route.
    pub(super) route: Vec<String>,
    /// What To says.
    to: String,
}

impl Way {
    /// Straight to what the Request-URI says.
    pub(super) fn direct(uri: &str) -> Self {
        Self::new(uri.to_owned(), uri, &[])
    }

    /// To `target`, or along a preset route. A first hop without `lr` is a strict router: it gets
    /// its own address as Request-URI (RFC 3261 12.2.1.1).
    pub(super) fn new(uri: String, target: &str, route: &[String]) -> Self {
        let to = format!("<{uri}>");
        let bracketed = |uri: &String| format!("<{uri}>");
        let Some((first, rest)) = route.split_first() else {
            return Self { uri, next: target.to_owned(), route: Vec::new(), to };
        };
        let next = first.clone();
        if Uri::parse(first).is_ok_and(|first| first.params.has("lr")) {
            let route = route.iter().map(bracketed).collect();
            return Self { uri, next, route, to };
        }
        let route = rest.iter().chain([&uri]).map(bracketed).collect();
        Self { uri: first.clone(), next, route, to }
    }
}

/// A server and what an INVITE to it says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hop {
    pub(super) to: Target,
    pub(super) way: Arc<Way>,
}

/// A call on its way to somebody.
pub struct Placing {
    attempts: Attempts<Hop>,
    current: Option<Hop>,
    /// TLS of the trunk.
    tls: Option<Arc<ClientTls>>,
    user: String,
    from_domain: Option<String>,
    pub(super) sdp: Vec<u8>,
    first: Option<SocketAddr>,
}

impl Placing {
    /// The server that is tried first.
    pub(super) const fn first(&self) -> Option<SocketAddr> {
        self.first
    }
}

impl Control {
    /// Transports that we can send by, and whether over IPv4.
    pub(super) fn able(&self) -> Vec<(Transport, bool)> {
        let locals = self.sockets.locals().iter();
        let own = locals.map(|(transport, local)| (*transport, local.is_ipv4()));
        let mut able: Vec<_> = own.filter(|(transport, _)| !transport.is_websocket()).collect();
        // TLS needs no listener of its own to go out.
        for v4 in [true, false] {
            if !able.contains(&(Transport::Tls, v4)) && able.contains(&(Transport::Tcp, v4)) {
                able.push((Transport::Tls, v4));
            }
        }
        able
    }

    /// Asks DNS; made when it is needed first.
    pub(super) fn resolver(&mut self) -> Result<Resolver, ResolveError> {
        if let Some(resolver) = &self.resolver {
            return Ok(resolver.clone());
        }
        let _runtime = self.io.enter();
        let resolver = Resolver::new(&self.config.sip.dns_servers)?;
        Ok(self.resolver.insert(resolver).clone())
    }

    /// A call to the first of `hops` that is up and not avoided, then the next, then the others.
    pub(super) fn placing(&self, user: String, trunk: Option<usize>, hops: Vec<Hop>) -> Placing {
        let at = now();
        let later = |hop: &Hop| self.avoided.is_avoided(at, &hop.to) || self.trunks.is_down(hop);
        let attempts = Attempts::new(hops, later);
        let config = trunk.and_then(|index| self.config.trunks.get(index));
        Placing {
            first: attempts.peek().map(|hop| hop.to.peer),
            attempts,
            current: None,
            tls: config.and_then(|trunk| self.trunk_tls.get(&trunk.name)).cloned(),
            user,
            from_domain: config.and_then(|trunk| trunk.outbound.from_domain.clone()),
            sdp: Vec::new(),
        }
    }

    /// Sends the INVITE to the next server that there is a way to; after `failure`, if there was
    /// one before.
    pub(super) fn invite_next(
        &mut self,
        placing: &mut Placing,
        failure: Option<Failure>,
    ) -> Result<(DialogId, SocketAddr), RequestError> {
        let mut failure = failure;
        let mut refused = "no server can be reached".to_owned();
        loop {
            let next = match failure {
                Some(failure) => placing.attempts.after(failure),
                None => placing.attempts.take_next(),
            };
            let Some(hop) = next else { return Err(field("to", refused)) };
            match self.invite(placing, &hop) {
                Ok(dialog) => {
                    let peer = hop.to.peer;
                    placing.current = Some(hop);
                    return Ok((dialog, peer));
                }
                Err(error) => refused = error,
            }
            failure = Some(Failure::Unreachable);
        }
    }

    fn invite(&mut self, placing: &Placing, hop: &Hop) -> Result<DialogId, String> {
        let verify = self.verify(&hop.to, placing.tls.as_ref())?;
        let transport = hop.to.transport;
        let flow = self
            .sockets
            .path(transport, hop.to.peer, verify)
            .ok_or_else(|| format!("no way over {} to {}", transport.as_str(), hop.to.peer))?;
        self.endpoint.handle_connected(flow.connection);
        let host = placing.from_domain.clone().unwrap_or_else(|| host_text(flow.local.ip()));
        let route = |value: &String| (HeaderName::Route.as_str().to_owned(), value.clone());
        let params = InviteParams {
            uri: hop.way.uri.clone(),
            flow,
            from: format!("<sip:{}@{host}>", placing.user),
            to: hop.way.to.clone(),
            contact_user: Some(placing.user.clone()),
            sdp: Some(placing.sdp.clone()),
            headers: hop.way.route.iter().map(route).collect(),
            reliability: Reliability::default(),
            patience: placing.attempts.has_more().then_some(FAILOVER_AFTER),
        };
        self.endpoint.invite(now(), params).map_err(|error| error.to_string())
    }

    /// Whom TLS has to meet at a server.
    pub(super) fn verify(
        &mut self,
        to: &Target,
        tls: Option<&Arc<ClientTls>>,
    ) -> Result<Option<Verify>, String> {
        if to.transport != Transport::Tls {
            return Ok(None);
        }
        let tls = match tls {
            Some(tls) => Arc::clone(tls),
            None => self.sockets.default_tls().map_err(|error| error.to_string())?,
        };
        Ok(Some(Verify { name: Arc::clone(&to.name), tls }))
    }

    /// A call that we place has reached somebody.
    pub(super) fn provisional(&mut self, key: CallKey, status: u16) {
        if let Some(placing) = self.calls.get_mut(&key).and_then(|call| call.placing.as_mut()) {
            placing.attempts.provisional(status);
        }
    }

    /// A call that we place was answered: its server is good, and no other is needed.
    pub(super) fn placed(&mut self, key: CallKey) {
        let placing = self.calls.get_mut(&key).and_then(|call| call.placing.take());
        if let Some(hop) = placing.and_then(|placing| placing.current) {
            self.avoided.answered(&hop.to);
        }
    }

    /// A call that we place failed at one server; true if it goes on at another.
    pub(super) fn place_elsewhere(
        &mut self,
        dialog: DialogId,
        status: u16,
        response: Option<&Message>,
    ) -> bool {
        let Some(key) = self.by_dialog.get(&dialog).copied() else { return false };
        let placing = self.calls.get_mut(&key).and_then(|call| call.placing.take());
        let Some(mut placing) = placing else { return false };
        let failure = match response {
            None => Failure::Unreachable,
            Some(response) => {
                let header = response.header(HeaderName::RetryAfter);
                Failure::Status { status, retry_after: header.and_then(retry_after) }
            }
        };
        if let Some(hop) = &placing.current {
            self.avoided.failed(now(), &hop.to, failure);
        }
        let Ok((next, peer)) = self.invite_next(&mut placing, Some(failure)) else { return false };
        self.by_dialog.remove(&dialog);
        self.by_dialog.insert(next, key);
        if let Some(call) = self.calls.get_mut(&key) {
            tracing::info!(parent: &call.span, status, %peer, "the call is placed at another server");
            call.dialog = Some(next);
            call.signalling = peer.ip();
            call.placing = Some(placing);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Without a route the INVITE goes to its target, with one to the first hop; a strict router
    /// finds its own address in the request line and ours at the end of the route.
    #[test]
    fn preset_routes() {
        let way = |route: &[&str]| {
            let route: Vec<String> = route.iter().map(|uri| (*uri).to_owned()).collect();
            Way::new("sip:1@gw".into(), "sip:gw", &route)
        };
        let none = way(&[]);
        assert_eq!((none.uri.as_str(), none.next.as_str()), ("sip:1@gw", "sip:gw"));
        assert_eq!(none.route, Vec::<String>::new());
        let loose = way(&["sip:p1;lr", "sip:p2;lr"]);
        assert_eq!((loose.uri.as_str(), loose.next.as_str()), ("sip:1@gw", "sip:p1;lr"));
        assert_eq!(loose.route, ["<sip:p1;lr>", "<sip:p2;lr>"]);
        let strict = way(&["sip:p1", "sip:p2;lr"]);
        assert_eq!((strict.uri.as_str(), strict.next.as_str()), ("sip:p1", "sip:p1"));
        assert_eq!(strict.route, ["<sip:p2;lr>", "<sip:1@gw>"]);
        assert!([none, loose, strict].iter().all(|way| way.to == "<sip:1@gw>"));
    }
}
