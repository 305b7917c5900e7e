//! Calls that we place: where to, found first if names have to be looked up.

use std::sync::Arc;
use std::time::Duration;

use adapters::agent::Direction;
use tokio::sync::oneshot;
use uuid::Uuid;

use super::Control;
use super::begin::Beginning;
use super::incoming::plan;
use super::placing::{self, Hop};
use crate::calls::CallView;
use crate::calls::call::Plan;
use crate::calls::presented::{Presented, is_display_name};
use crate::calls::request::{PlaceCall, Request, RequestError};
use crate::directory::{self, Agent, Fallback, Snapshot, Treatment, Trunk};
use crate::quota::{Permit, Way};
use crate::sip::core::custom;
use crate::sip::core::locate::{LocateError, Locator};
use crate::sip::core::offer_answer;
use crate::sip::core::registrar;
use crate::sip::core::uri::{Host, Scheme, Uri};
use crate::sip::endpoint::resolver::{ResolveError, Resolver};
use crate::workers::command::CallKey;
use crate::workers::poller::now;

/// User of our From where the request names none.
const USER: &str = "talkpath";

/// A call to be placed, and who waits to hear of it.
#[derive(Debug)]
pub struct Errand {
    /// What for.
    pub(super) mission: Mission,
    /// The trunk that it goes through.
    pub(super) trunk: Option<Arc<Trunk>>,
    /// Where the INVITE may go, in order, if it has yet to be found out.
    pub(super) ways: Vec<Arc<placing::Way>>,
}

/// What a call is placed for.
#[derive(Debug)]
pub enum Mission {
    /// Somebody asked for it.
    Call {
        /// What is wanted.
        call: PlaceCall,
        /// Who talks.
        agent: Arc<Agent>,
        /// Its places with everything that has a limit.
        room: Room,
        /// Takes the outcome.
        reply: oneshot::Sender<Result<CallView, RequestError>>,
    },
    /// It is the leg at the far end of a call.
    Far {
        /// The call.
        key: CallKey,
        /// Which leg.
        attempt: u64,
    },
}

/// A call's places: what it counts for, and that at its agent.
#[derive(Debug)]
pub struct Room {
    permit: Permit,
    slot: Permit,
}

/// Where a call goes.
enum Bearing {
    /// To telephones that registered with us: those of a round at the same time.
    Phones(Vec<Vec<Hop>>),
    /// To servers, through a trunk if the call names one.
    Servers(Option<Arc<Trunk>>, Vec<Arc<placing::Way>>),
}

impl Control {
    /// Places a call; its agent is reached for at the same time.
    pub(super) fn place(
        &mut self,
        call: PlaceCall,
        reply: oneshot::Sender<Result<CallView, RequestError>>,
    ) {
        let snapshot = self.directory.load();
        // Whoever asked may have gone, here and below.
        let (agent, bearing, room) = match self.admit_errand(&snapshot, &call) {
            Err(error) => return drop(reply.send(Err(error))),
            Ok(admitted) => admitted,
        };
        match bearing {
            Bearing::Phones(rounds) => {
                drop(reply.send(self.set_out_to(&call, &agent, None, rounds, room)));
            }
            Bearing::Servers(trunk, ways) => {
                let mission = Mission::Call { call, agent, room, reply };
                let errand = Errand { mission, trunk, ways };
                match self.located(&errand.ways) {
                    Some(found) => self.set_out(errand, found),
                    None => self.locate(errand),
                }
            }
        }
    }

    /// Who talks on a call, where it goes, and its places with everything that has a limit: nothing
    /// of a call that is refused is dialled or looked up.
    fn admit_errand(
        &mut self,
        snapshot: &Snapshot,
        wanted: &PlaceCall,
    ) -> Result<(Arc<Agent>, Bearing, Room), RequestError> {
        if self.draining {
            return Err(RequestError::Draining);
        }
        let organisation = wanted.organisation.unwrap_or(snapshot.organisation);
        let agent = snapshot
            .agent(organisation, &wanted.agent)
            .ok_or_else(|| field("agent", format!("no agent is called \"{}\"", wanted.agent)))?;
        // Softphones are of the file, as is its organisation.
        let phones = match wanted.trunk {
            None if organisation == snapshot.organisation => self.phones(&wanted.to),
            _ => None,
        };
        let bearing = match phones {
            Some(phones) => {
                let to = self.address_of(&wanted.to);
                let rounds = phones.chunk_by(|one, next| one.q_milli == next.q_milli);
                let hop = |phone: &registrar::Target| Hop::phone(phone.clone(), &to);
                Bearing::Phones(rounds.map(|equals| equals.iter().map(hop).collect()).collect())
            }
            None => {
                let (trunk, ways) =
                    ways(snapshot, organisation, &wanted.to, wanted.trunk.as_deref())?;
                self.judge(&wanted.to, trunk.as_deref())?;
                Bearing::Servers(trunk, ways)
            }
        };
        let through = match &bearing {
            Bearing::Servers(trunk, _) => trunk.as_deref(),
            Bearing::Phones(_) => None,
        };
        // The agent first: a place there costs no rate.
        let slot = self.take_agent(agent, Way::Out)?;
        let permit = self.take_outbound(&snapshot.bounds(organisation, through, None))?;
        Ok((Arc::clone(agent), bearing, Room { permit, slot }))
    }

    /// The URI of a user of ours.
    pub(super) fn address_of(&self, user: &str) -> String {
        match Uri::parse(user) {
            Ok(_) => user.to_owned(),
            Err(_) => format!("sip:{user}@{}", self.own_host()),
        }
    }

    /// The servers of the ways, if all are addresses and nothing has to be looked up.
    pub(super) fn located(
        &self,
        ways: &[Arc<placing::Way>],
    ) -> Option<Result<Vec<Hop>, ResolveError>> {
        let mut hops = Vec::new();
        let mut wrong = None;
        for way in ways {
            match Uri::parse(&way.next).map(|uri| Locator::new(&uri, &self.able())) {
                Ok(Ok(locator)) if locator.question().is_some() => return None,
                Ok(Ok(locator)) => {
                    hops.extend(locator.into_targets().into_iter().map(|to| Hop::server(to, way)))
                }
                Ok(Err(error)) => wrong = Some(error),
                Err(_) => wrong = Some(LocateError::Uri),
            }
        }
        Some(match wrong {
            Some(error) if hops.is_empty() => Err(error.into()),
            _ => Ok(hops),
        })
    }

    /// Looks names up, and comes back with a request.
    pub(super) fn locate(&mut self, errand: Errand) {
        let (able, handle) = (self.able(), self.handle.clone());
        let resolver = self.resolver();
        self.io.spawn(async move {
            let found = match resolver {
                Ok(resolver) => find(&resolver, &errand.ways, &able).await,
                Err(error) => Err(error),
            };
            handle.send(Request::Located { errand, found }).await;
        });
    }

    /// The servers of a call are known: its INVITE goes to the first of them.
    pub(super) fn set_out(&mut self, errand: Errand, found: Result<Vec<Hop>, ResolveError>) {
        let Errand { mission, trunk, .. } = errand;
        match mission {
            Mission::Far { key, attempt } => self.set_out_far(key, attempt, found),
            Mission::Call { call, agent, room, reply } => {
                let view = found
                    .map_err(|error| field("to", error.to_string()))
                    .and_then(|hops| self.set_out_to(&call, &agent, trunk, one_by_one(hops), room));
                drop(reply.send(view));
            }
        }
    }

    fn set_out_to(
        &mut self,
        wanted: &PlaceCall,
        agent: &Arc<Agent>,
        trunk: Option<Arc<Trunk>>,
        rounds: Vec<Vec<Hop>>,
        room: Room,
    ) -> Result<CallView, RequestError> {
        if self.draining {
            return Err(RequestError::Draining);
        }
        let through = trunk.as_deref();
        let user = calling_user(wanted, through);
        let secure = rounds.iter().flatten().all(Hop::is_secure);
        let mut placing = self.placing(trunk.clone(), rounds);
        placing.present(presented(wanted, user.clone(), through)?, added(wanted, through)?);
        let none = || field("to", "no server or telephone is found".to_owned());
        let first = placing.first().ok_or_else(none)?;
        let codecs = trunk.as_ref().and_then(|trunk| trunk.codecs.clone());
        let policy = match &trunk {
            Some(trunk) => trunk.srtp,
            None => self.our_user(&wanted.to).and_then(|user| user.srtp),
        };
        let srtp =
            self.local_srtp(policy, secure).map_err(|error| field("to", error.to_string()))?;
        let (media, sockets) = self.local_media(codecs, first.ip(), srtp).map_err(|error| {
            tracing::error!(%error, "no RTP port is free");
            RequestError::Full
        })?;
        let sdp = offer_answer::build_offer(&media);
        placing.sdp.clone_from(&sdp);
        let (dialog, peer) = self.invite_next(&mut placing, None)?;
        let key = self.begin(Beginning {
            dialog,
            plan: self.outbound_plan(agent, wanted),
            from: user,
            to: wanted.to.clone(),
            trunk,
            headers: Vec::new(),
            variables: wanted.variables.clone().into_iter().collect(),
            agent: Arc::clone(agent),
            fallback: Fallback::Hangup,
            media,
            sockets,
            format: None,
            sdp,
            signalling: peer.ip(),
            ambient: agent.ambient.clone(),
            keep: agent.keep.clone(),
            permit: room.permit,
            slot: Some(room.slot),
            offer: None,
        });
        self.watch_branches(key, &placing);
        let call = self.calls.get_mut(&key).ok_or(RequestError::NoSuchCall)?;
        call.placing = Some(Box::new(placing));
        Ok(call.view(now()))
    }

    fn outbound_plan(&self, agent: &Arc<Agent>, wanted: &PlaceCall) -> Plan {
        let limits = &self.config.limits;
        let within = |wanted: Option<u64>, most: Duration| {
            wanted.map_or(most, |seconds| Duration::from_secs(seconds).min(most))
        };
        let treatment = Treatment {
            agent: Arc::clone(agent),
            fallback: Fallback::Hangup,
            agent_answers: false,
            early_media: false,
            max_duration: within(wanted.max_duration_s, limits.max_duration),
            ambient: agent.ambient.clone(),
            keep: agent.keep.clone(),
        };
        Plan {
            ring_timeout: within(wanted.ring_timeout_s, limits.ring),
            ..plan(&self.config, Direction::Outbound, &treatment)
        }
    }
}

/// Where the INVITE may go, and by which trunk.
pub(super) fn ways(
    snapshot: &Snapshot,
    organisation: Uuid,
    to: &str,
    trunk: Option<&str>,
) -> Result<(Option<Arc<Trunk>>, Vec<Arc<placing::Way>>), RequestError> {
    let Some(name) = trunk else {
        let uri = Uri::parse(to).map_err(|error| field("to", error.to_string()))?;
        if !matches!(uri.scheme, Scheme::Sip | Scheme::Sips) {
            return Err(field("to", "only sip: and sips: URIs are called".to_owned()));
        }
        return Ok((None, vec![Arc::new(placing::Way::direct(to))]));
    };
    let trunk = snapshot
        .trunk(organisation, name)
        .ok_or_else(|| field("trunk", format!("no trunk is called \"{name}\"")))?;
    if trunk.outbound.targets.is_empty() {
        return Err(field("trunk", "the trunk has no targets".to_owned()));
    }
    let to = directory::written(trunk, to);
    let ways = trunk.outbound.order().into_iter().map(|target| {
        let uri = called_uri(&to, target).ok_or_else(|| {
            field("to", "neither a SIP URI nor a number, such as +493012345".to_owned())
        })?;
        Ok(Arc::new(placing::Way::new(uri, target, &trunk.outbound.route)))
    });
    Ok((Some(Arc::clone(trunk)), ways.collect::<Result<_, RequestError>>()?))
}

/// Asks for the servers of every way; those that are found count, whatever became of the others.
pub(super) async fn find(
    resolver: &Resolver,
    ways: &[Arc<placing::Way>],
    able: &[(crate::sip::core::endpoint::Transport, bool)],
) -> Result<Vec<Hop>, ResolveError> {
    let mut hops = Vec::new();
    let mut failed = None;
    for way in ways {
        match resolver.locate(&way.next, able).await {
            Ok(found) => {
                hops.extend(found.into_iter().map(|to| Hop::server(to, way)));
            }
            Err(error) => failed = Some(error),
        }
    }
    match failed {
        Some(error) if hops.is_empty() => Err(error),
        _ => Ok(hops),
    }
}

/// The Request-URI of a call to `to` at `target`: a SIP URI as it is, a number as the user of the
/// target.
fn called_uri(to: &str, target: &str) -> Option<String> {
    if let Ok(uri) = Uri::parse(to) {
        return matches!(uri.scheme, Scheme::Sip | Scheme::Sips).then(|| to.to_owned());
    }
    let number = |byte: u8| byte.is_ascii_alphanumeric() || b"+-_.*#".contains(&byte);
    if to.is_empty() || to.len() > USER_BYTES_MAX || !to.bytes().all(number) {
        return None;
    }
    let (scheme, rest) = target.split_once(':')?;
    // RFC 3261 25.1: a user has no bare `#`.
    Some(format!("{scheme}:{}@{rest}", to.replace('#', "%23")))
}

/// Hops that are tried one after the other, as rounds.
pub(super) fn one_by_one(hops: Vec<Hop>) -> Vec<Vec<Hop>> {
    hops.into_iter().map(|hop| vec![hop]).collect()
}

/// The calling number or user, as the trunk wants numbers written.
fn calling_user(wanted: &PlaceCall, trunk: Option<&Trunk>) -> String {
    let own = || trunk?.outbound.caller_id.clone();
    let user = wanted.from.clone().or_else(own).unwrap_or_else(|| USER.to_owned());
    trunk.map_or_else(|| user.clone(), |trunk| directory::written(trunk, &user))
}

/// Who is said to call, by the request and by the trunk.
fn presented(
    wanted: &PlaceCall,
    user: String,
    trunk: Option<&Trunk>,
) -> Result<Presented, RequestError> {
    if wanted.from_name.as_deref().is_some_and(|name| !is_display_name(name)) {
        let problem = "not of 1 to 128 bytes without control characters";
        return Err(field("from_name", problem.to_owned()));
    }
    let own = presented_as(user, trunk);
    let (name, privacy) = (wanted.from_name.clone(), wanted.privacy.unwrap_or(own.privacy));
    Ok(Presented { name, privacy, ..own })
}

/// Who is said to call, as the trunk wants to be told.
pub(super) fn presented_as(user: String, trunk: Option<&Trunk>) -> Presented {
    let outbound = trunk.map(|trunk| &trunk.outbound);
    Presented {
        user,
        name: None,
        privacy: outbound.map(|outbound| outbound.privacy).unwrap_or_default(),
        header: outbound.map(|outbound| outbound.caller_id_header).unwrap_or_default(),
        identity: outbound.and_then(|outbound| outbound.asserted_identity.clone()),
    }
}

/// The fields that the trunk and whoever places a call add, checked. What the call says takes the
/// place of what the trunk says; of that, whatever may not be added is left out, for the call is
/// not to blame.
fn added(wanted: &PlaceCall, trunk: Option<&Trunk>) -> Result<Vec<(String, String)>, RequestError> {
    let fields = wanted.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let allowed = trunk.map(|trunk| trunk.outbound.headers_out.as_slice());
    custom::check(fields, allowed).map_err(|error| field("headers", error.to_string()))?;
    let mut added: Vec<_> = wanted.headers.clone().into_iter().collect();
    for (name, value) in trunk.iter().flat_map(|trunk| &trunk.outbound.headers) {
        let known = added.iter().any(|(other, _)| other.eq_ignore_ascii_case(name));
        if !known && custom::check([(name.as_str(), value.expose())], None).is_ok() {
            added.push((name.clone(), value.expose().to_owned()));
        }
    }
    Ok(added)
}

/// The longest number or user that is called.
const USER_BYTES_MAX: usize = 64;

/// A field of the request that is wrong.
pub(super) const fn field(field: &'static str, problem: String) -> RequestError {
    RequestError::Field { field, problem }
}

/// An address as a URI writes it.
pub(super) fn host_text(address: std::net::IpAddr) -> String {
    match address {
        std::net::IpAddr::V4(v4) => Host::V4(v4).to_string(),
        std::net::IpAddr::V6(v6) => Host::V6(v6).to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::called_uri;

    /// Numbers become users of the target; what could change the URI is refused.
    #[test]
    fn numbers_become_users() {
        let gateway = "sip:gw.example:5070;transport=tls";
        for (to, expected) in [
            ("+4930123", Some("sip:+4930123@gw.example:5070;transport=tls")),
            ("*21#", Some("sip:*21%23@gw.example:5070;transport=tls")),
            ("sip:bob@192.0.2.1", Some("sip:bob@192.0.2.1")),
            ("tel:+4930123", None),
            ("", None),
            ("a@b", None),
            ("1;x=y", None),
            ("1?h=v", None),
            ("1\r\nX: y", None),
        ] {
            assert_eq!(called_uri(to, gateway).as_deref(), expected, "{to}");
        }
    }
}
