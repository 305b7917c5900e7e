//! Calls that we place.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use adapters::agent::Direction;

use super::Control;
use super::begin::Beginning;
use super::incoming::plan;
use crate::calls::CallView;
use crate::calls::call::{AnswerBy, Plan};
use crate::calls::request::{PlaceCall, RequestError};
use crate::config::{AgentConfig, Fallback, RouteConfig, RoutePattern};
use crate::sip::core::endpoint::{
    CommandError, DialogId, Flow, InviteParams, Placing, Reliability, Transport,
};
use crate::sip::core::offer_answer;
use crate::sip::core::registrar::Target;
use crate::sip::core::uri::{Scheme, Uri};
use crate::workers::poller::now;

/// Port of SIP where a URI names none (RFC 3261 19.1.2).
const SIP_PORT: u16 = 5060;

/// How long a telephone rings if there is another one to be tried.
const RING_EACH: Duration = Duration::from_secs(20);

/// What all attempts to place a call have in common.
#[derive(Clone, Copy)]
struct Attempt<'c> {
    from: &'c str,
    to: &'c str,
    sdp: &'c [u8],
    /// There is nobody else to be tried.
    last: bool,
}

impl Control {
    /// Places a call; its agent is reached for at the same time.
    pub(super) fn place(&mut self, wanted: &PlaceCall) -> Result<CallView, RequestError> {
        if self.draining {
            return Err(RequestError::Draining);
        }
        if self.calls.len() >= self.config.limits.max_calls as usize || !self.rate.take(now()) {
            return Err(RequestError::Full);
        }
        let config = Arc::clone(&self.config);
        let agent = config
            .agent(&wanted.agent)
            .ok_or_else(|| field("agent", format!("no agent is called \"{}\"", wanted.agent)))?;
        if !self.slots.has_room(&agent.name, agent.max_calls) {
            return Err(RequestError::Full);
        }
        let mut targets = self.targets(&wanted.to)?;
        let secure = targets.iter().all(|target| target.flow.transport.is_secure());
        let first = targets
            .pop_front()
            .ok_or_else(|| field("to", "no telephone of this user is registered".to_owned()))?;
        let srtp = self
            .local_srtp(self.our_user(&wanted.to).and_then(|user| user.srtp), secure)
            .map_err(|error| field("to", error.to_string()))?;
        let (media, sockets) = self.local_media(None, srtp).map_err(|error| {
            tracing::error!(%error, "no RTP port is free");
            RequestError::Full
        })?;
        let sdp = offer_answer::build_offer(&media);
        let user = wanted.from.clone().unwrap_or_else(|| "talkpath".to_owned());
        let attempt = Attempt { from: &user, to: &wanted.to, sdp: &sdp, last: targets.is_empty() };
        let remote = first.flow.peer;
        let dialog = self.invite(first, attempt).map_err(|error| field("to", error.to_string()))?;
        let key = self.begin(Beginning {
            dialog,
            plan: self.outbound_plan(agent, wanted),
            from: user,
            to: wanted.to.clone(),
            trunk: None,
            headers: Vec::new(),
            variables: wanted.variables.clone().into_iter().collect(),
            agent: agent.clone(),
            fallback: Fallback::Hangup,
            media,
            sockets,
            format: None,
            sdp,
            signalling: remote.ip(),
            keep: agent.keep.clone(),
        });
        if let Some(call) = self.calls.get_mut(&key) {
            call.targets = targets;
        }
        let view = self.calls.get(&key).map(|call| call.view(now()));
        view.ok_or(RequestError::NoSuchCall)
    }

    /// Where a call to `to` may go, in the order in which it is tried.
    fn targets(&self, to: &str) -> Result<VecDeque<Target>, RequestError> {
        if let Some(phones) = self.phones(to) {
            return Ok(phones.into());
        }
        let (flow, _) = self.target(to)?;
        let routes = self.service_route_at(flow.peer.ip()).to_vec();
        Ok([Target { uri: to.to_owned(), flow, routes }].into())
    }

    /// Sends the INVITE of a call that we place.
    fn invite(&mut self, target: Target, attempt: Attempt<'_>) -> Result<DialogId, CommandError> {
        let Attempt { from: user, to, sdp, last } = attempt;
        let host = host_text(self.local);
        let literal = Uri::parse(&target.uri).ok().and_then(|uri| uri.host?.address());
        let placing = Placing {
            account: self.account_at(target.flow.peer.ip()),
            ring_limit: (!last).then_some(RING_EACH),
            indirect: literal.is_some_and(|address| address != target.flow.peer.ip()),
        };
        let to = if Uri::parse(to).is_ok() { to.to_owned() } else { format!("sip:{to}@{host}") };
        let params = InviteParams {
            uri: target.uri,
            flow: target.flow,
            from: format!("<sip:{user}@{host}>"),
            to: format!("<{to}>"),
            contact_user: Some(user.to_owned()),
            sdp: Some(sdp.to_vec()),
            reliability: Reliability::default(),
            headers: target.routes.into_iter().map(|hop| ("Route".to_owned(), hop)).collect(),
        };
        self.endpoint.invite_with(now(), params, placing)
    }

    /// A call that we place failed at one telephone: tries the next one. False if there is none, or
    /// the user has declined the call everywhere (RFC 3261 21.6).
    pub(super) fn try_next(&mut self, dialog: DialogId, status: u16) -> bool {
        let Some(key) = self.by_dialog.get(&dialog).copied() else { return false };
        if status >= 600 {
            return false;
        }
        while let Some(call) = self.calls.get_mut(&key)
            && let Some(target) = call.targets.pop_front()
        {
            let (from, to, sdp) = (call.from.clone(), call.to.clone(), call.sdp.clone());
            let last = call.targets.is_empty();
            let attempt = Attempt { from: &from, to: &to, sdp: &sdp, last };
            let remote = target.flow.peer.ip();
            if let Ok(next) = self.invite(target, attempt) {
                self.by_dialog.remove(&dialog);
                self.by_dialog.insert(next, key);
                if let Some(call) = self.calls.get_mut(&key) {
                    call.dialog = Some(next);
                    call.signalling = remote;
                }
                return true;
            }
        }
        false
    }

    fn outbound_plan(&self, agent: &AgentConfig, wanted: &PlaceCall) -> Plan {
        let limits = &self.config.limits;
        let within = |wanted: Option<u64>, most: Duration| {
            wanted.map_or(most, |seconds| Duration::from_secs(seconds).min(most))
        };
        let route = RouteConfig {
            to: RoutePattern::Any,
            trunk: None,
            agent: agent.name.clone(),
            fallback: Fallback::Hangup,
            agent_answers: false,
            early_media: false,
            max_duration: within(wanted.max_duration_s, limits.max_duration),
            keep: agent.keep.clone(),
        };
        Plan {
            answer_by: AnswerBy::Connected,
            ring_timeout: within(wanted.ring_timeout_s, limits.ring),
            ..plan(&self.config, Direction::Outbound, agent, &route)
        }
    }

    /// Where an INVITE to `to` goes.
    pub(super) fn target(&self, to: &str) -> Result<(Flow, SocketAddr), RequestError> {
        let uri = Uri::parse(to).map_err(|error| field("to", error.to_string()))?;
        if uri.scheme != Scheme::Sip {
            return Err(field("to", "only sip: URIs are called".to_owned()));
        }
        let address = uri.host.and_then(|host| host.address()).ok_or_else(|| {
            field("to", "the host is no address; names are not looked up".to_owned())
        })?;
        let peer = SocketAddr::new(address, uri.port.unwrap_or(SIP_PORT));
        let tcp = uri.params.get("transport").is_some_and(|name| name.eq_ignore_ascii_case("tcp"));
        let transport = if tcp { Transport::Tcp } else { Transport::Udp };
        let enabled = if tcp { self.config.sip.tcp } else { self.config.sip.udp };
        if !enabled {
            return Err(field("to", format!("SIP over {} is not enabled", transport.as_str())));
        }
        Ok((Flow { transport, local: self.local, peer, connection: 0 }, peer))
    }
}

const fn field(field: &'static str, problem: String) -> RequestError {
    RequestError::Field { field, problem }
}

fn host_text(address: SocketAddr) -> String {
    match address.ip() {
        std::net::IpAddr::V4(v4) => v4.to_string(),
        std::net::IpAddr::V6(v6) => format!("[{v6}]"),
    }
}
