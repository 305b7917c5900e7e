//! Another agent takes the place of a call's agent: it is reached for while the old one talks, and
//! has the call once it is ready. The caller's leg stays as it is.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use adapters::agent::DialectSpec;
use uuid::Uuid;

use super::Control;
use super::incoming::times;
use super::quotas::way;
use crate::agent::dial::DialError;
use crate::calls::call::{Input as CallInput, Which};
use crate::calls::cause::Cause;
use crate::calls::far::{Dial, Purpose, Seat};
use crate::calls::live::Under;
use crate::calls::log::Asked;
use crate::calls::transfer::{Accept, Input, Kind, Plan, Stay, TransferError};
use crate::calls::underway::{Next, With};
use crate::config::AgentKind;
use crate::directory::Agent;
use crate::workers::command::{AgentLine, CallKey, Command};

/// The variable that names the agent which had the call before.
const BY: &str = "transferred_by";

impl Control {
    /// The agent of this name, with a place for the call.
    pub(super) fn next_agent(
        &mut self,
        key: CallKey,
        name: &str,
        variables: Vec<(String, String)>,
    ) -> Result<Next, TransferError> {
        let call = self.calls.get(&key).ok_or(TransferError::NotAnswered)?;
        let snapshot = self.directory.load();
        let agent = snapshot.agent(call.agent.organisation, name).ok_or(TransferError::Agent)?;
        let agent = Arc::clone(agent);
        if self.has_no_place(&agent) {
            return Err(TransferError::AgentFull);
        }
        self.place_at(key, agent, variables)
    }

    /// An agent with a place for the call.
    pub(super) fn place_at(
        &mut self,
        key: CallKey,
        agent: Arc<Agent>,
        variables: Vec<(String, String)>,
    ) -> Result<Next, TransferError> {
        let call = self.calls.get(&key).ok_or(TransferError::NotAnswered)?;
        let way = way(call.direction);
        let slot = self.take_agent(&agent, way).map_err(|_| TransferError::AgentFull)?;
        let attempt = self.next_attempt;
        self.next_attempt += 1;
        Ok(Next { agent, variables, slot, attempt, awaits: None, line: None })
    }

    /// Hands a call that nobody talks with to an agent, which may take so long to be there; the id
    /// of that transfer.
    pub(super) fn hand_to(
        &mut self,
        key: CallKey,
        agent: &Arc<Agent>,
        variables: Vec<(String, String)>,
        limit: Duration,
    ) -> Result<Uuid, TransferError> {
        self.may_transfer(key, Kind::Agent, Stay::No)?;
        let next = self.place_at(key, Arc::clone(agent), variables)?;
        let accept = Accept::default();
        let (kind, stay) = (Kind::Agent, Stay::No);
        let plan = Plan { kind, limit, accept, holds: false, by_carrier: false, stay };
        let asked = Asked {
            kind: kind.as_str().to_owned(),
            destination: agent.name.clone(),
            other_call: None,
            options: BTreeMap::new(),
        };
        let with = With { next: Some(next), ..With::default() };
        let id = self.begin_transfer(key, plan, asked, with);
        self.reach_next(key);
        self.reschedule(key);
        Ok(id)
    }

    /// Reaches for the agent that a call is handed to.
    pub(super) fn reach_next(&mut self, key: CallKey) {
        let Some(call) = self.calls.get_mut(&key) else { return };
        let id = call.id;
        let Some(next) = call.transfer.as_mut().and_then(|it| it.with.next.as_mut()) else {
            return;
        };
        let (agent, attempt) = (Arc::clone(&next.agent), next.attempt);
        self.transfer_input(key, Input::Dialling);
        match &agent.kind {
            AgentKind::Builtin(_) | AgentKind::Rtp(_) => {
                self.transfer_input(key, Input::Answered);
            }
            AgentKind::Sip(sip) => {
                let (to, trunk, from) = (sip.uri.clone(), sip.trunk.clone(), sip.from.clone());
                let dial = Dial { to, trunk, from, early_media: false, referral: None };
                self.dial_for_transfer(key, dial);
            }
            AgentKind::WebSocket(socket) => {
                let Some(spec) = super::agents::dialect(socket) else {
                    return self.transfer_input(key, Input::Refused("agent_unreachable"));
                };
                if let Some(next) = self.next_of(key) {
                    next.awaits = Some(spec);
                }
                if !self.dial_socket(key, attempt, id, spec, (&agent, socket)) {
                    self.transfer_input(key, Input::Refused("agent_unreachable"));
                }
            }
        }
    }

    fn next_of(&mut self, key: CallKey) -> Option<&mut Next> {
        self.calls.get_mut(&key)?.transfer.as_mut()?.with.next.as_mut()
    }

    /// The subprotocol of an agent that may attach to take a call over.
    pub(super) fn awaits_next(&self, key: CallKey) -> Option<&'static DialectSpec> {
        let next = self.calls.get(&key)?.transfer.as_ref()?.with.next.as_ref()?;
        let attaches = matches!(
            &next.agent.kind,
            AgentKind::WebSocket(it) if it.url.is_none() && !it.mux
        );
        next.awaits.filter(|_| attaches)
    }

    /// The agent that a call is handed to was dialled, or has attached. Gives back what became of
    /// another attempt.
    pub(super) fn next_dialled(
        &mut self,
        key: CallKey,
        attempt: Option<u64>,
        result: Result<AgentLine, DialError>,
    ) -> Option<Result<AgentLine, DialError>> {
        let Some(next) = self.next_of(key) else { return Some(result) };
        if attempt.is_some_and(|attempt| attempt != next.attempt) {
            return Some(result);
        }
        if next.line.is_some() {
            // It took long enough for its time to be over, and came all the same.
            return None;
        }
        match result {
            Ok(line) => {
                next.line = Some(line);
                self.transfer_input(key, Input::Answered);
            }
            Err(error) => {
                if let Some(call) = self.calls.get(&key) {
                    tracing::warn!(parent: &call.span, %error, "the next agent is not reached");
                }
                self.transfer_input(key, Input::Refused("agent_unreachable"));
            }
        }
        None
    }

    /// The agent that a call is handed to is ready: the one before is told and let go.
    pub(super) fn hand_to_next(&mut self, key: CallKey) {
        let Some(underway) = self.calls.get_mut(&key).and_then(|call| call.transfer.as_mut())
        else {
            return;
        };
        let three = underway.transfer.makes_three();
        if let Some(next) = underway.with.next.take() {
            self.give_to(key, next, three);
        }
    }

    /// Another agent has a call from now on, and is ready: the one before is told and let go. With
    /// `three` a telephone that was there stays.
    pub(super) fn give_to(&mut self, key: CallKey, next: Next, three: bool) {
        let Next { agent, variables, slot, awaits, line, .. } = next;
        let Some(call) = self.calls.get_mut(&key) else { return };
        tracing::info!(parent: &call.span, agent = %agent.name, "another agent has the call");
        let before = call.current_agent().name.clone();
        call.variables.retain(|(name, _)| name != BY && variables.iter().all(|(it, _)| it != name));
        call.variables.extend(variables);
        call.variables.push((BY.to_owned(), before));
        call.under = Under::new(agent.ambient.clone()).told(call.under.told.take());
        call.slot = Some((agent.id, slot));
        (call.awaits, call.attempt, call.awaits_sound) = (None, 0, None);
        (call.which, call.resumed, call.playing_message) = (Which::Main, false, false);
        call.call.handed_over(times(&agent).1);
        call.agent = Arc::clone(&agent);
        let worker = call.worker;
        self.command(worker, Command::Release { call: key });
        if three {
            self.keep_far(key);
            drop(self.hold(key, false));
        } else if matches!(agent.kind, AgentKind::Sip(_)) {
            self.seat_coming(key, Purpose::Agent);
        } else {
            // The telephone of an agent before, or one that the call was handed to.
            self.drop_far(key, Seat::There, Cause::Transferred);
            drop(self.hold(key, false));
        }
        match &agent.kind {
            AgentKind::Builtin(builtin) => self.connect_builtin(key, builtin, false),
            AgentKind::Rtp(rtp) => self.connect_rtp(key, rtp, &self.outward_of_agent(&agent)),
            AgentKind::Sip(_) => {
                self.log_agent(key);
                self.ambient(key);
                self.tell_later(key, CallInput::AgentReady);
            }
            AgentKind::WebSocket(_) => {
                let Some(line) = line else { return };
                if let Some(call) = self.calls.get_mut(&key) {
                    call.awaits = awaits;
                }
                self.attach_line(key, line);
            }
        }
        if three {
            self.let_listen(key);
        }
    }
}
