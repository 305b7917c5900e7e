//! The INVITEs of a call that we place: to one server after the other, until one takes it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use super::Control;
use super::again::Spare;
use super::datagrams::Unsent;
use super::forking::{Branch, rank};
use super::place::host_text;
use super::registrations::account;
use crate::calls::presented::Presented;
use crate::calls::reason::PeerReason;
use crate::calls::redirect::history::History;
use crate::config::Outbound;
use crate::directory::Trunk;
use crate::listen::tls::ClientTls;
use crate::outward::Outward;
use crate::sip::core::auth::Account;
use crate::sip::core::endpoint::{self, DialogId, Flow, InviteParams, Reliability, Transport};
use crate::sip::core::headers::HeaderName;
use crate::sip::core::locate::{Locator, Target};
use crate::sip::core::message::Message;
use crate::sip::core::registrar;
use crate::sip::core::targets::{Attempts, FAILOVER_AFTER, Failure};
use crate::sip::core::uri::Uri;
use crate::sip::endpoint::dial::{Dial, Verify, Web};
use crate::sip::endpoint::resolver::{ResolveError, Resolver};
use crate::workers::poller::now;

/// What an INVITE says of where it goes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Way {
    /// Request-URI.
    pub(super) uri: String,
    /// The URI that leads to its server: the first of the route, else the target, else `uri`.
    pub(super) next: String,
    /// Values of Route.
    pub(super) route: Vec<String>,
    /// What To says.
    to: String,
    /// Where the call was before.
    history: History,
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
            return Self { uri, next: target.to_owned(), to, ..Self::default() };
        };
        let next = first.clone();
        if Uri::parse(first).is_ok_and(|first| first.params.has("lr")) {
            let route = route.iter().map(bracketed).collect();
            return Self { uri, next, route, to, history: History::default() };
        }
        let route = rest.iter().chain([&uri]).map(bracketed).collect();
        Self { uri: first.clone(), next, route, to, history: History::default() }
    }
}

/// Where an INVITE goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Where {
    /// To a server that was looked up.
    Server(Target),
    /// To a telephone that has registered, the way its REGISTER came.
    Phone(Flow),
}

/// Where an INVITE goes, and what it says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hop {
    pub(super) to: Where,
    pub(super) way: Arc<Way>,
}

impl Hop {
    /// A server that was found on a way.
    pub(super) fn server(to: Target, way: &Arc<Way>) -> Self {
        Self { to: Where::Server(to), way: Arc::clone(way) }
    }

    /// A telephone of the user that `to` names.
    pub(super) fn phone(phone: registrar::Target, to: &str) -> Self {
        let registrar::Target { uri, flow, routes, .. } = phone;
        let to = format!("<{to}>");
        let way = Way { next: uri.clone(), uri, route: routes, to, history: History::default() };
        Self { to: Where::Phone(flow), way: Arc::new(way) }
    }

    /// The server, if it is one.
    pub(super) const fn target(&self) -> Option<&Target> {
        match &self.to {
            Where::Server(target) => Some(target),
            Where::Phone(_) => None,
        }
    }

    /// Whether nobody on the way to it can read what is said.
    pub(super) const fn is_secure(&self) -> bool {
        match &self.to {
            Where::Server(target) => target.transport.is_secure(),
            Where::Phone(flow) => flow.transport.is_secure(),
        }
    }

    /// Where its messages go.
    pub(super) const fn peer(&self) -> SocketAddr {
        match &self.to {
            Where::Server(target) => target.peer,
            Where::Phone(flow) => flow.peer,
        }
    }
}

/// How long telephones ring if there are others to be tried after them.
const RING_EACH: Duration = Duration::from_secs(20);

/// How servers are connected to, as far as their URIs do not say.
#[derive(Clone, Default)]
pub(super) struct Reach {
    /// Authorities and our own certificate; those of the system if absent.
    tls: Option<Arc<ClientTls>>,
    /// The name that certificates have to prove; that of the server if absent.
    tls_name: Option<Arc<str>>,
    /// Path of WebSockets.
    ws_path: Option<Arc<str>>,
}

/// A call on its way to somebody.
pub struct Placing {
    /// Rounds: the hops of one are asked at the same time.
    pub(super) attempts: Attempts<Vec<Hop>>,
    /// INVITEs that have no final response.
    pub(super) branches: Vec<Branch>,
    /// What says most of why nobody has taken the call yet.
    best: Option<(u16, PeerReason, Failure)>,
    /// How servers of the trunk are connected to.
    reach: Reach,
    /// The trunk, if it names one.
    trunk: Option<Arc<Trunk>>,
    /// Whose call it is.
    organisation: Uuid,
    /// How far it reaches.
    pub(super) outward: Outward,
    /// What proves to that trunk who we are.
    account: Option<Arc<Account>>,
    reliability: Reliability,
    /// Who is said to call.
    presented: Presented,
    /// Fields that whoever places the call adds.
    headers: Vec<(String, String)>,
    pub(super) sdp: Vec<u8>,
    /// How many hops its INVITEs may take; as many as any if absent.
    pub(super) max_forwards: Option<u8>,
    first: Option<SocketAddr>,
    /// Hops whose INVITE was too long for a datagram and went by a stream first.
    pub(super) datagrams: Vec<Hop>,
    /// Trunks that are tried when no server of this one takes the call.
    pub(super) spare: Option<Box<Spare>>,
}

impl Placing {
    /// The server that is tried first.
    pub(super) const fn first(&self) -> Option<SocketAddr> {
        self.first
    }

    /// The branch of this dialog.
    pub(super) fn branch(&self, dialog: DialogId) -> Option<&Branch> {
        self.branches.iter().find(|branch| branch.dialog == dialog)
    }

    /// The same, to be changed.
    pub(super) fn branch_mut(&mut self, dialog: DialogId) -> Option<&mut Branch> {
        self.branches.iter_mut().find(|branch| branch.dialog == dialog)
    }

    /// Its server has said something.
    pub(super) fn provisional(&mut self, status: u16) {
        self.attempts.provisional(status);
    }

    /// Forgets a branch that has failed; where it went.
    pub(super) fn end_branch(&mut self, dialog: DialogId) -> Option<Hop> {
        let at = self.branches.iter().position(|branch| branch.dialog == dialog)?;
        Some(self.branches.remove(at).hop)
    }

    /// Notes how a branch failed; what says most of all that have.
    pub(super) fn best(
        &mut self,
        status: u16,
        reason: PeerReason,
        failure: Failure,
    ) -> (PeerReason, Failure) {
        let better = self.best.as_ref().is_none_or(|(known, ..)| rank(status) <= rank(*known));
        if better {
            self.best = Some((status, reason.clone(), failure));
        }
        let (_, reason, failure) = self.best.clone().unwrap_or((status, reason, failure));
        (reason, failure)
    }

    /// Tries these before all others: the called party is there (RFC 3261 8.1.3.4), as `response`
    /// on this branch says.
    pub(super) fn redirect(
        &mut self,
        dialog: DialogId,
        to: Vec<(String, Target)>,
        response: &Message,
    ) {
        let Some(Branch { hop: current, .. }) = self.branch(dialog) else { return };
        let way = |uri: String, place| {
            let history = current.way.history.redirected(&current.way.uri, response, place);
            Way { next: uri.clone(), uri, route: Vec::new(), to: current.way.to.clone(), history }
        };
        let hop = |(place, (uri, target))| {
            vec![Hop { to: Where::Server(target), way: Arc::new(way(uri, place)) }]
        };
        let rounds = (1..).zip(to).map(hop).collect();
        self.attempts.redirect(rounds);
    }

    /// Lets its INVITEs say who calls, and carry these fields.
    pub(super) fn present(&mut self, presented: Presented, headers: Vec<(String, String)>) {
        (self.presented, self.headers) = (presented, headers);
    }
}

impl Control {
    /// Transports that we can send by, and whether over IPv4.
    pub(super) fn able(&self) -> Vec<(Transport, bool)> {
        let locals = self.sockets.locals().iter();
        let own = locals.map(|(transport, local)| (*transport, local.is_ipv4()));
        let mut able: Vec<_> = own.filter(|(transport, _)| !transport.is_websocket()).collect();
        // These need no listener of their own to go out.
        for v4 in [true, false] {
            for transport in [Transport::Tls, Transport::Ws, Transport::Wss] {
                if !able.contains(&(transport, v4)) && able.contains(&(Transport::Tcp, v4)) {
                    able.push((transport, v4));
                }
            }
        }
        able
    }

    /// The host that we are known by.
    pub(super) fn own_host(&self) -> String {
        let local = self.sockets.locals().first();
        local.map_or_else(|| "localhost".to_owned(), |(_, local)| host_text(local.ip()))
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

    /// A call of an organisation to the first of `rounds` that is up and not avoided, then the
    /// next, then the others.
    pub(super) fn placing(
        &self,
        organisation: Uuid,
        outward: Outward,
        trunk: Option<Arc<Trunk>>,
        rounds: Vec<Vec<Hop>>,
    ) -> Placing {
        let at = now();
        let bad = |to: &Target| self.avoided.is_avoided(at, to) || self.trunks.is_down(to);
        let later = |round: &Vec<Hop>| round.iter().filter_map(Hop::target).any(bad);
        let phones = rounds.iter().flatten().all(|hop| hop.target().is_none());
        let attempts =
            if phones { Attempts::hunting(rounds) } else { Attempts::new(rounds, later) };
        let first = attempts.peek().and_then(|round| round.first()).map(Hop::peer);
        Placing {
            first,
            attempts,
            branches: Vec::new(),
            best: None,
            reach: trunk.as_deref().map(|trunk| self.reach(trunk)).unwrap_or_default(),
            account: trunk.as_deref().and_then(|trunk| account(trunk)),
            reliability: trunk.as_ref().map(|it| it.reliable_provisional).unwrap_or_default(),
            organisation,
            outward,
            trunk,
            presented: Presented::default(),
            headers: Vec::new(),
            sdp: Vec::new(),
            max_forwards: None,
            datagrams: Vec::new(),
            spare: None,
        }
    }

    /// Sends one INVITE.
    pub(super) fn invite(&mut self, placing: &Placing, hop: &Hop) -> Result<DialogId, Unsent> {
        let flow = match &hop.to {
            Where::Phone(flow) => *flow,
            Where::Server(to) => self.path_to(to, &placing.reach).map_err(Unsent::Refused)?,
        };
        let stream = self.stream_instead(placing, hop);
        let domain = placing.trunk.as_ref().and_then(|trunk| trunk.outbound.from_domain.clone());
        let host = domain.unwrap_or_else(|| host_text(flow.local.ip()));
        // Without a route of its own, the call takes the one that the registrar wants.
        let wanted = match (&hop.to, hop.way.route.as_slice()) {
            (Where::Server(to), []) => self.service_route_at(placing.organisation, to.peer.ip()),
            (_, route) => route,
        };
        let route = |value: &String| (HeaderName::Route.as_str().to_owned(), value.clone());
        let presented = &placing.presented;
        let mut headers: Vec<_> = wanted.iter().map(route).collect();
        headers.extend(presented.headers(&host));
        headers.extend(hop.way.history.headers(&hop.way.uri));
        headers.extend(placing.headers.iter().cloned());
        let params = InviteParams {
            uri: hop.way.uri.clone(),
            flow,
            from: presented.from(&host),
            to: hop.way.to.clone(),
            contact_user: presented.contact_user(),
            sdp: Some(placing.sdp.clone()),
            headers,
            reliability: placing.reliability,
        };
        let datagram = placing.datagram_of(hop).and_then(Hop::target).cloned();
        let datagram = datagram.and_then(|to| self.path_to(&to, &placing.reach).ok());
        let more = placing.attempts.has_more();
        let literal = Uri::parse(&hop.way.uri).ok().and_then(|uri| uri.host?.address());
        let phone = hop.target().is_none();
        let how = endpoint::Placing {
            account: self.account_for(placing, hop),
            ring_limit: (placing.attempts.hunts() && placing.attempts.has_more())
                .then_some(RING_EACH),
            indirect: phone && literal.is_some_and(|address| address != flow.peer.ip()),
            patience: (more || placing.spare.is_some()).then_some(FAILOVER_AFTER),
            datagram,
            max_forwards: placing.max_forwards,
            datagram_max: stream.as_ref().and(self.config.sip.udp_request_max),
        };
        let placed = self.endpoint.invite_with(now(), params, how);
        placed.map_err(|error| Unsent::of(error, stream))
    }

    /// Who we are if a hop asks: to the trunk that the call names, else to the provider whose
    /// server it is. A telephone may ask in the name of any provider and gets no answer.
    fn account_for(&self, placing: &Placing, hop: &Hop) -> Option<Arc<Account>> {
        match &hop.to {
            _ if placing.trunk.is_some() => placing.account.clone(),
            Where::Server(to) => self.account_at(placing.organisation, to.peer.ip()),
            Where::Phone(_) => None,
        }
    }

    /// The server at the address that a URI names; none if it has to be looked up, or there is no
    /// way.
    pub(super) fn literal(&self, uri: &str) -> Option<Target> {
        let locator = Locator::new(&Uri::parse(uri).ok()?, &self.able()).ok()?;
        locator.question().is_none().then(|| locator.into_targets().into_iter().next())?
    }

    /// How servers of a trunk are connected to.
    pub(super) fn reach(&self, trunk: &Trunk) -> Reach {
        let tls = self.trunk_tls.get(&trunk.id).cloned();
        let Outbound { tls_name, ws_path, .. } = &trunk.outbound;
        Reach { tls, tls_name: tls_name.clone(), ws_path: ws_path.clone() }
    }

    /// A path to a server, opened if there is none.
    pub(super) fn path_to(&mut self, to: &Target, reach: &Reach) -> Result<Flow, String> {
        let web = to.transport.is_websocket().then(|| Web {
            host: Arc::clone(&to.name),
            path: reach.ws_path.clone().unwrap_or_else(|| "/".into()),
        });
        let dial = Dial { verify: self.verify(to, reach)?, web };
        let flow = self
            .sockets
            .path(to.transport, to.peer, dial)
            .ok_or_else(|| format!("no way over {} to {}", to.transport.as_str(), to.peer))?;
        self.endpoint.handle_connected(flow.connection);
        Ok(flow)
    }

    /// Whom TLS has to meet at a server.
    fn verify(&mut self, to: &Target, reach: &Reach) -> Result<Option<Verify>, String> {
        if !to.transport.is_secure() {
            return Ok(None);
        }
        let tls = match &reach.tls {
            Some(tls) => Arc::clone(tls),
            None => self.sockets.default_tls().map_err(|error| error.to_string())?,
        };
        let name = Arc::clone(reach.tls_name.as_ref().unwrap_or(&to.name));
        Ok(Some(Verify { name, tls }))
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
