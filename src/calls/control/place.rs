//! Calls that we place: where to, found first if names have to be looked up.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use adapters::agent::Direction;
use tokio::sync::oneshot;

use super::Control;
use super::admitting::Bearing;
use super::again::Spare;
use super::begin::{Beginning, Peer, SipPeer};
use super::calling::{Calling, number_from};
use super::choosing::through;
use super::incoming::plan;
use super::placing::{self, Hop};
use super::presenting::{added, presented};
use crate::calls::CallView;
use crate::calls::call::Plan;
use crate::calls::request::{PlaceCall, Request, RequestError};
use crate::directory::{Agent, Fallback, Treatment, Trunk};
use crate::quota::Permit;
use crate::sip::core::locate::{LocateError, Locator};
use crate::sip::core::offer_answer;
use crate::sip::core::uri::{Host, Uri};
use crate::sip::endpoint::resolver::{ResolveError, Resolver};
use crate::workers::command::CallKey;
use crate::workers::poller::now;

/// A call to be placed, and who waits to hear of it.
#[derive(Debug)]
pub struct Errand {
    /// What for.
    pub(super) mission: Mission,
    /// The trunk that it goes through; none if straight to where its URI leads.
    pub(super) trunk: Option<Arc<Trunk>>,
    /// Where the INVITE may go, in order, if it has yet to be found out.
    pub(super) ways: Vec<Arc<placing::Way>>,
}

/// What a call is placed for.
#[derive(Debug)]
pub enum Mission {
    /// Somebody asked for it.
    Call(Box<Wanted>),
    /// It is the leg at the far end of a call.
    Far {
        /// The call.
        key: CallKey,
        /// Which leg.
        attempt: u64,
    },
    /// No server of its trunk took a call that goes on.
    Again {
        /// The call.
        key: CallKey,
        /// Its place on the next trunk.
        line: Permit,
        /// What is left to be tried.
        spare: Box<Spare>,
    },
}

/// A call that somebody asked for.
#[derive(Debug)]
pub struct Wanted {
    /// What is wanted.
    call: PlaceCall,
    /// Who talks.
    agent: Arc<Agent>,
    /// Trunks that are tried after the one that it goes through now.
    others: VecDeque<Arc<Trunk>>,
    /// The number that was picked for it, of its trunk.
    calling: Option<Calling>,
    /// Its places with everything that has a limit, until it has begun.
    room: Option<Room>,
    /// Takes the outcome.
    reply: oneshot::Sender<Result<CallView, RequestError>>,
}

/// A call's places: what it counts for whatever way it takes, that on its trunk, that at its agent.
#[derive(Debug)]
pub(super) struct Room {
    pub(super) permit: Permit,
    pub(super) line: Option<Permit>,
    pub(super) slot: Permit,
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
            Err(error) => {
                self.log_unplaced(&call, &error);
                return drop(reply.send(Err(error)));
            }
            Ok(admitted) => admitted,
        };
        let (room, others) = (Some(room), VecDeque::new());
        let calling = None;
        let mut wanted = Box::new(Wanted { call, agent, others, calling, room, reply });
        match bearing {
            Bearing::Phones(rounds) => {
                let view = self.set_out_to(&mut wanted, None, rounds);
                drop(wanted.reply.send(view));
            }
            Bearing::Straight => {
                let ways = vec![Arc::new(placing::Way::direct(&wanted.call.to))];
                self.find_way(wanted, None, ways);
            }
            Bearing::Carriers(accounts) => {
                if let Some(room) = wanted.room.take() {
                    let (call, agent) = (&wanted.call, &wanted.agent);
                    let view = self.place_at_carrier(call, agent, accounts, room);
                    drop(wanted.reply.send(view));
                }
            }
            Bearing::Trunks(trunks) => {
                wanted.others = trunks.into();
                self.next_trunk(wanted, RequestError::Full);
            }
        }
    }

    /// Takes a call through the next trunk that has room for it; without any, `error` is told.
    fn next_trunk(&mut self, mut wanted: Box<Wanted>, mut error: RequestError) {
        while let Some(trunk) = wanted.others.pop_front() {
            match self.way_through(&mut wanted, &trunk) {
                Ok(ways) => return self.find_way(wanted, Some(trunk), ways),
                Err(refused) => error = refused,
            }
        }
        self.log_unplaced(&wanted.call, &error);
        drop(wanted.reply.send(Err(error)));
    }

    fn way_through(
        &mut self,
        wanted: &mut Wanted,
        trunk: &Trunk,
    ) -> Result<Vec<Arc<placing::Way>>, RequestError> {
        let ways = through(trunk, &wanted.call.to)?;
        if let Some(room) = &mut wanted.room {
            let organisation = wanted.agent.organisation;
            self.hold_through(organisation, &wanted.call.to, trunk, &mut room.permit)?;
        }
        let line = self.take_number(trunk, &wanted.call, &mut wanted.calling)?;
        if let Some(room) = &mut wanted.room {
            room.line = Some(line);
        }
        Ok(ways)
    }

    /// Finds the servers of a call, and comes back with a request if that takes time.
    fn find_way(
        &mut self,
        wanted: Box<Wanted>,
        trunk: Option<Arc<Trunk>>,
        ways: Vec<Arc<placing::Way>>,
    ) {
        let errand = Errand { mission: Mission::Call(wanted), trunk, ways };
        match self.located(&errand.ways) {
            Some(found) => self.set_out(errand, found),
            None => self.locate(errand),
        }
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

    /// The servers of a call are known: its INVITE goes to the first of them that can be reached,
    /// else through the next trunk.
    pub(super) fn set_out(&mut self, errand: Errand, found: Result<Vec<Hop>, ResolveError>) {
        let mut wanted = match errand.mission {
            Mission::Far { key, attempt } => {
                return self.set_out_far(key, attempt, found.map(one_by_one));
            }
            Mission::Again { key, line, spare } => {
                return self.set_out_again(key, spare, (errand.trunk, line), found);
            }
            Mission::Call(wanted) => wanted,
        };
        let organisation = wanted.agent.organisation;
        let outward = self.outward_of_leg(organisation, errand.trunk.as_deref());
        let found = found.map_err(|error| field("to", error.to_string()));
        let found = found.map(one_by_one);
        let found = found.and_then(|rounds| self.reached_rounds(&outward, organisation, rounds));
        match found.and_then(|rounds| self.set_out_to(&mut wanted, errand.trunk, rounds)) {
            Err(error @ RequestError::Field { .. }) => self.next_trunk(wanted, error),
            view => drop(wanted.reply.send(view)),
        }
    }

    fn set_out_to(
        &mut self,
        errand: &mut Wanted,
        trunk: Option<Arc<Trunk>>,
        rounds: Vec<Vec<Hop>>,
    ) -> Result<CallView, RequestError> {
        if self.draining {
            return Err(RequestError::Draining);
        }
        let (wanted, through) = (&errand.call, trunk.as_deref());
        let from = number_from(wanted.from.as_deref(), errand.calling.as_ref());
        let user = self.calling_user(from, through);
        let secure = rounds.iter().flatten().all(Hop::is_secure);
        let organisation = errand.agent.organisation;
        let outward = self.outward_of_leg(organisation, through);
        let mut placing = self.placing(organisation, outward, trunk.clone(), rounds);
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
        placing.spare = Spare::new(wanted, errand.calling.clone(), errand.others.clone());
        let (dialog, peer) = self.invite_next(&mut placing, None)?;
        let room = errand.room.take().ok_or(RequestError::Full)?;
        let (wanted, agent) = (&errand.call, &errand.agent);
        let key = self.begin(Beginning {
            id: wanted.id,
            peer: Peer::Sip(Box::new(SipPeer {
                dialog,
                media,
                sockets,
                format: None,
                sdp,
                signalling: peer.ip(),
                offer: None,
            })),
            max_forwards: None,
            plan: self.outbound_plan(agent, wanted),
            from: user,
            to: wanted.to.clone(),
            trunk,
            headers: Vec::new(),
            variables: wanted.variables.clone().into_iter().collect(),
            agent: Arc::clone(agent),
            fallback: Fallback::Hangup,
            ambient: agent.ambient.clone(),
            keep: agent.keep.clone(),
            permit: room.permit,
            line: room.line,
            slot: Some(room.slot),
        });
        self.log_calling(key, errand.calling.as_ref());
        self.watch_branches(key, &placing);
        let call = self.calls.get_mut(&key).ok_or(RequestError::NoSuchCall)?;
        call.placing = Some(Box::new(placing));
        Ok(call.view(now()))
    }

    pub(super) fn outbound_plan(&self, agent: &Arc<Agent>, wanted: &PlaceCall) -> Plan {
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

/// Hops that are tried one after the other, as rounds.
pub(super) fn one_by_one(hops: Vec<Hop>) -> Vec<Vec<Hop>> {
    hops.into_iter().map(|hop| vec![hop]).collect()
}

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
