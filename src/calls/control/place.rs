//! Calls that we place.

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
use crate::sip::core::endpoint::{Flow, InviteParams, Reliability, Transport};
use crate::sip::core::offer_answer;
use crate::sip::core::uri::{Scheme, Uri};
use crate::workers::poller::now;

/// Port of SIP where a URI names none (RFC 3261 19.1.2).
const SIP_PORT: u16 = 5060;

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
        let (flow, remote) = self.target(&wanted.to)?;
        let (media, sockets) = self.local_media(None).map_err(|error| {
            tracing::error!(%error, "no RTP port is free");
            RequestError::Full
        })?;
        let sdp = offer_answer::build_offer(&media);
        let user = wanted.from.clone().unwrap_or_else(|| "talkpath".to_owned());
        let host = host_text(self.local);
        let params = InviteParams {
            uri: wanted.to.clone(),
            flow,
            from: format!("<sip:{user}@{host}>"),
            to: format!("<{}>", wanted.to),
            contact_user: Some(user.clone()),
            sdp: Some(sdp.clone()),
            reliability: Reliability::default(),
            headers: Vec::new(),
        };
        let dialog =
            self.endpoint.invite(now(), params).map_err(|error| field("to", error.to_string()))?;
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
            described: None,
        });
        let view = self.calls.get(&key).map(|call| call.view(now()));
        view.ok_or(RequestError::NoSuchCall)
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
            max_duration: within(wanted.max_duration_s, limits.max_duration),
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
