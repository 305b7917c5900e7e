//! Calls that come in: who calls, which route takes it, what audio is understood.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use adapters::agent::Direction;

use super::Control;
use super::begin::{Beginning, Peer, SipPeer};
use super::early::{RELIABLE, reliability_refusal};
use super::refusals::{Refused, cause_of};
use super::sip::{leg_format, log_refused};
use crate::calls::call::{AnswerBy, Fallback, Plan, Second};
use crate::calls::identity;
use crate::config::{AgentKind, Config, Masked};
use crate::directory::{self, Agent, Caller, Chance, Snapshot, Treatment, Trunk};
use crate::outward::Outward;
use crate::quota::{self, Bound, Permit, Way};
use crate::routing::Unrouted;
use crate::sip::core::endpoint::{DialogId, Flow, Reliability};
use crate::sip::core::headers::HeaderName;
use crate::sip::core::message::Message;
use crate::sip::core::offer_answer::{self, LocalMedia, LocalSrtp, NegotiationError};
use crate::sip::core::sdp::{Direction as MediaDirection, Sdp};
use crate::workers::command::{CallKey, LegFormat, RtpSockets};
use crate::workers::poller::now;

/// Seconds after which a caller that was refused for want of room may try again.
const RETRY_AFTER_S: &str = "5";
/// How long an agent in this process may take: it takes no time, but the state machine wants a
/// figure.
const LOCAL_CONNECT: Duration = Duration::from_secs(5);

/// Why a call is not taken.
struct Refusal {
    status: u16,
    reason: &'static str,
    header: Option<(&'static str, &'static str)>,
    /// For the log.
    why: Option<String>,
}

impl Refusal {
    const fn new(status: u16, reason: &'static str) -> Self {
        Self { status, reason, header: None, why: None }
    }

    /// An offer that nothing can be made of.
    fn of_offer(error: NegotiationError) -> Self {
        let header = Some(("Warning", error.warning()));
        Self { header, ..Self::new(488, "Not Acceptable Here") }.because(error)
    }

    const fn busy() -> Self {
        let header = Some(("Retry-After", RETRY_AFTER_S));
        Self { status: 503, reason: "Service Unavailable", header, why: None }
    }

    fn because(self, why: impl fmt::Display) -> Self {
        Self { why: Some(why.to_string()), ..self }
    }
}

impl From<quota::Refusal> for Refusal {
    fn from(refusal: quota::Refusal) -> Self {
        Self::busy().because(refusal)
    }
}

/// What is known of a call that is taken.
struct Admitted {
    max_forwards: Option<u8>,
    treatment: Arc<Treatment>,
    trunk: Option<Arc<Trunk>>,
    headers: Vec<(String, String)>,
    variables: Vec<(String, String)>,
    reliability: Reliability,
    media: LocalMedia,
    sockets: RtpSockets,
    format: Option<LegFormat>,
    sdp: Vec<u8>,
    from: String,
    to: String,
    permit: Permit,
    slot: Option<Permit>,
    offer: Option<Sdp>,
}

impl Control {
    /// A call came in.
    pub(super) fn incoming(
        &mut self,
        dialog: DialogId,
        request: &Message,
        flow: Flow,
        proven: Option<&str>,
        offer: Option<&Sdp>,
    ) {
        match self.admit(request, flow, proven, offer) {
            Ok(admitted) => self.take(dialog, flow, admitted),
            Err(Refusal { status, reason, header, why }) => {
                let peer = flow.peer.ip();
                if let Some(unlogged) = self.refusals.lines.of(status).line(now()) {
                    tracing::info!(status, %peer, why, unlogged, "call refused");
                }
                let refused =
                    self.endpoint.reject(now(), dialog, status, reason, header.as_slice());
                log_refused(refused.err());
                if self.may_log_refusal() {
                    self.log_refused_caller(request, flow, proven, status);
                }
            }
        }
    }

    /// Writes down that a call was refused, if it came from somebody who is known here: strangers
    /// would fill the log.
    fn log_refused_caller(
        &mut self,
        request: &Message,
        flow: Flow,
        proven: Option<&str>,
        status: u16,
    ) {
        let snapshot = self.directory.load();
        let registered = self.registered_trunk(request);
        let caller = self.caller(&snapshot, registered.as_ref(), flow, request, proven);
        let Some(caller) = caller else { return };
        let (from, _) = who_calls(&caller, calling(request), request);
        let trunk = match &caller {
            Caller::Trunk(trunk) => Some(&***trunk),
            Caller::User(_) | Caller::Local => None,
        };
        let to = match &registered {
            Some(_) => called_by_to(request),
            None => called(request),
        };
        self.log_refusal(Refused {
            organisation: trunk.map_or(snapshot.organisation, |trunk| trunk.organisation),
            direction: Direction::Inbound,
            from,
            to: to.unwrap_or_default(),
            trunk,
            agent: String::new(),
            cause: cause_of(status, self.draining),
            sip_status: Some(status),
            reason: None,
        });
    }

    fn admit(
        &mut self,
        request: &Message,
        flow: Flow,
        proven: Option<&str>,
        offer: Option<&Sdp>,
    ) -> Result<Admitted, Refusal> {
        if self.draining {
            return Err(Refusal::busy());
        }
        self.check_server(Way::In)?;
        let from = calling(request);
        let snapshot = self.directory.load();
        let registered = self.registered_trunk(request);
        let caller = self
            .caller(&snapshot, registered.as_ref(), flow, request, proven)
            .ok_or(Refusal::new(403, "Forbidden"))?;
        let (from, variables) = who_calls(&caller, from, request);
        let to = match &registered {
            Some(trunk) => called_by_to(request).or_else(|| trunk.username.clone()),
            None => called(request),
        };
        let to = to.ok_or(Refusal::new(404, "Not Found"))?;
        let (trunk, srtp) = match caller {
            Caller::Trunk(trunk) => (Some(trunk), trunk.srtp),
            Caller::User(user) => (None, user.srtp),
            Caller::Local => (None, None),
        };
        let reliability = trunk.map(|trunk| trunk.reliable_provisional).unwrap_or_default();
        if let Some((status, reason, name)) = reliability_refusal(request, reliability) {
            let header = Some((name, RELIABLE));
            return Err(Refusal { header, ..Refusal::new(status, reason) });
        }
        let srtp = self
            .local_srtp(srtp, flow.transport.is_secure())
            .map_err(|error| Refusal::new(488, "Not Acceptable Here").because(error))?;
        let (treatment, bounds) = routed(&snapshot, trunk, &to, request, &from)?;
        // The agent first: a place there costs no rate.
        let slot = match self.take_agent(&treatment.agent, Way::In) {
            Ok(slot) => Some(slot),
            Err(refusal) if treatment.fallback == directory::Fallback::Hangup => {
                return Err(refusal.into());
            }
            // The fallback is reached for when the agent would be.
            Err(_) => None,
        };
        let permit = self.take_places(Way::In, &bounds)?;
        let headers = shown_headers(trunk.map(|trunk| &**trunk), request);
        let codecs = trunk.and_then(|trunk| trunk.codecs.clone());
        let organisation = treatment.agent.organisation;
        let outward = self.outward_of_leg(organisation, trunk.map(|trunk| &**trunk));
        let (media, sockets, format, sdp) = self.described(codecs, offer, flow, srtp, &outward)?;
        let trunk = trunk.cloned();
        Ok(Admitted {
            max_forwards: request.max_forwards().ok().flatten(),
            offer: offer.filter(|_| may_call(&treatment)).cloned(),
            treatment,
            trunk,
            headers,
            variables,
            reliability,
            media,
            sockets,
            format,
            sdp,
            from,
            to,
            permit,
            slot,
        })
    }

    /// Ports for the call, and our description: the answer to its offer, or an offer.
    fn described(
        &mut self,
        codecs: Option<Vec<media::codec::AudioFormat>>,
        offer: Option<&Sdp>,
        flow: Flow,
        srtp: LocalSrtp,
        outward: &Outward,
    ) -> Result<(LocalMedia, RtpSockets, Option<LegFormat>, Vec<u8>), Refusal> {
        let peer = media_peer(offer, flow);
        let (media, sockets) = self.local_media(codecs, peer, srtp).map_err(|error| {
            Refusal::busy().because(format_args!("no RTP port is free: {error}"))
        })?;
        let Some(offer) = offer else {
            let sdp = offer_answer::build_offer(&media);
            return Ok((media, sockets, None, sdp));
        };
        let answer = offer_answer::answer(offer, &media).map_err(Refusal::of_offer)?;
        let format = leg_format(&answer.selected, flow.peer.ip(), outward);
        Ok((media, sockets, Some(format), answer.sdp))
    }

    /// Who calls: a trunk by its certificate or by the contact that it was told, else whoever the
    /// address or a password tells.
    pub(super) fn caller<'c>(
        &self,
        snapshot: &'c Snapshot,
        registered: Option<&'c Arc<Trunk>>,
        flow: Flow,
        request: &Message,
        proven: Option<&str>,
    ) -> Option<Caller<'c>> {
        let address = flow.peer.ip();
        let certified = snapshot.trunk_by_names(address, &self.sockets.identities().names(flow));
        match (certified, registered) {
            (Some(trunk), _) => Some(Caller::Trunk(trunk)),
            // Only who was told our contact knows it.
            (None, Some(trunk)) => trunk.takes(address).then_some(Caller::Trunk(trunk)),
            (None, None) => {
                let called = called(request).unwrap_or_default();
                snapshot.caller(address, &calling(request), proven, &called)
            }
        }
    }

    fn take(&mut self, dialog: DialogId, flow: Flow, admitted: Admitted) {
        let Admitted {
            max_forwards,
            treatment,
            trunk,
            headers,
            variables,
            reliability,
            media,
            sockets,
            format,
            sdp,
            from,
            to,
            permit,
            slot,
            offer,
        } = admitted;
        log_refused(self.endpoint.set_reliability(dialog, reliability).err());
        self.use_trunk_account(dialog, trunk.as_deref());
        self.begin(Beginning {
            id: None,
            peer: Peer::Sip(Box::new(SipPeer {
                dialog,
                media,
                sockets,
                format,
                sdp,
                signalling: flow.peer.ip(),
                offer,
            })),
            max_forwards,
            plan: plan(&self.config, Direction::Inbound, &treatment),
            from,
            to,
            trunk,
            headers,
            variables,
            agent: Arc::clone(&treatment.agent),
            fallback: treatment.fallback.clone(),
            ambient: treatment.ambient.clone(),
            keep: treatment.keep.clone(),
            line: None,
            permit,
            slot,
        });
    }

    /// Ports for a call and what we can do on them, of the family of `peer`.
    pub(super) fn local_media(
        &mut self,
        codecs: Option<Vec<media::codec::AudioFormat>>,
        peer: IpAddr,
        srtp: LocalSrtp,
    ) -> std::io::Result<(LocalMedia, RtpSockets)> {
        let address = self.config.rtp.address_for(peer);
        let sockets = self.ports.bind(address)?;
        let media = LocalMedia {
            address: self.config.rtp.advertised_for(address),
            port: sockets.rtp.local_addr()?.port(),
            codecs: codecs.unwrap_or_else(|| self.config.sip.codecs.clone()),
            telephone_event: true,
            comfort_noise: false,
            ptime_ms: self.config.media.ptime_ms,
            direction: MediaDirection::SendRecv,
            rtcp_mux: true,
            xr: self.config.rtp.xr,
            srtp,
            session_id: unix_ms(),
            session_version: 1,
        };
        Ok((media, sockets))
    }

    pub(super) const fn next_key(&mut self) -> CallKey {
        let key = CallKey(self.next_key);
        self.next_key += 1;
        key
    }
}

/// Who takes the call, and what it counts for beside the server.
fn routed(
    snapshot: &Snapshot,
    trunk: Option<&Arc<Trunk>>,
    to: &str,
    request: &Message,
    from: &str,
) -> Result<(Arc<Treatment>, Vec<Bound>), Refusal> {
    let trunk = trunk.map(|trunk| &**trunk);
    let chance = Chance { at: jiff::Timestamp::now(), lot: fastrand::u64(..) };
    let decision = snapshot.route(trunk, to, request.uri(), from, chance);
    let decision = decision.map_err(|error| {
        let name = trunk.map_or("", |trunk| trunk.name.as_str());
        let refusal = match error {
            Unrouted::Suspended => Refusal::new(403, "Forbidden"),
            _ => Refusal::new(404, "Not Found"),
        };
        refusal.because(format_args!("{name} to {}: {error}", Masked(to)))
    })?;
    let organisation = trunk.map_or(snapshot.organisation, |trunk| trunk.organisation);
    let number = decision.number.map(|number| number.id);
    Ok((Arc::clone(decision.treatment), snapshot.bounds(organisation, trunk, number)))
}

/// Where media of a caller come from, as far as it says: its family is what counts.
pub(super) fn media_peer(offer: Option<&Sdp>, flow: Flow) -> IpAddr {
    let named = offer.and_then(|offer| {
        let audio = offer.media.iter().find(|media| media.is_rtp_audio())?;
        offer.address_of(audio)?.ip()
    });
    named.unwrap_or(flow.peer.ip())
}

/// Whether a call so treated may be joined with a telephone.
fn may_call(treatment: &Treatment) -> bool {
    let second = match &treatment.fallback {
        directory::Fallback::Agent(agent) => Some(agent),
        _ => None,
    };
    let mut agents = second.into_iter().chain([&treatment.agent]);
    agents.any(|agent| matches!(agent.kind, AgentKind::Sip(_)))
}

/// Who calls, and what else is known of it.
fn who_calls(
    caller: &Caller<'_>,
    from: String,
    request: &Message,
) -> (String, Vec<(String, String)>) {
    match caller {
        // Whatever From says, this is who it is.
        Caller::User(user) => (user.name.clone(), Vec::new()),
        Caller::Trunk(_) => {
            let identity = identity::of(request);
            (identity.from.unwrap_or(from), identity.variables)
        }
        Caller::Local => (from, Vec::new()),
    }
}

/// The headers that a trunk lets agents see.
fn shown_headers(trunk: Option<&Trunk>, request: &Message) -> Vec<(String, String)> {
    let allowed = trunk.map(|trunk| trunk.headers.as_slice()).unwrap_or_default();
    let shown = |name: &String| Some((name.clone(), request.header_named(name)?.to_owned()));
    allowed.iter().filter_map(shown).collect()
}

/// How a call is treated, as the state machine takes it.
pub(super) fn plan(config: &Config, direction: Direction, treatment: &Treatment) -> Plan {
    let (local, first) = times(&treatment.agent);
    let second = match &treatment.fallback {
        directory::Fallback::Agent(agent) => times(agent).1,
        _ => Second::default(),
    };
    // The answer of a telephone is the call's.
    let asks = treatment.agent_answers && !first.rings;
    Plan {
        direction,
        answer_by: if asks { AnswerBy::Agent } else { AnswerBy::Connected },
        early_media: asks && treatment.early_media,
        agent_is_local: local,
        fallback: match treatment.fallback {
            directory::Fallback::Hangup => Fallback::Hangup,
            directory::Fallback::Message(_) => Fallback::Message,
            directory::Fallback::Agent(_) => Fallback::Agent,
        },
        connect_timeout: first.connect_timeout,
        grace: first.grace,
        agent_rings: first.rings,
        second,
        ring_timeout: config.limits.ring,
        max_duration: treatment.max_duration,
    }
}

/// Whether an agent is of this process, and how long it may take for what.
pub(super) fn times(agent: &Agent) -> (bool, Second) {
    let (local, connect_timeout, grace, rings) = match &agent.kind {
        AgentKind::WebSocket(agent) => (false, agent.connect_timeout, agent.grace, false),
        AgentKind::Sip(agent) => (false, agent.ring_timeout, Duration::ZERO, true),
        AgentKind::Builtin(_) | AgentKind::Rtp(_) => (true, LOCAL_CONNECT, Duration::ZERO, false),
    };
    (local, Second { connect_timeout, grace, rings })
}

/// The calling number or user, as From says.
pub(super) fn calling(request: &Message) -> String {
    let from = request.from().map(|from| from.uri).ok();
    let user = from.and_then(|uri| uri.user_decoded().map(String::from));
    user.unwrap_or_else(|| "anonymous".to_owned())
}

/// The called number or user: user part of the Request-URI, or the digits of a tel URI.
pub(super) fn called(request: &Message) -> Option<String> {
    let uri = crate::sip::core::uri::Uri::parse(request.uri()?).ok()?;
    uri.user_decoded().map(String::from).or_else(|| called_by_to(request))
}

/// The called number or user as To says: where the Request-URI is a contact of ours.
fn called_by_to(request: &Message) -> Option<String> {
    let to = request.header(HeaderName::To)?;
    let to = crate::sip::core::headers::NameAddr::parse(to).ok()?;
    to.uri.user_decoded().map(String::from)
}

/// Milliseconds since 1970.
pub(super) fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// Microseconds since 1970.
pub(super) fn unix_us() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}
