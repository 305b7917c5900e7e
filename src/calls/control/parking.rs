//! Calls that are put aside, and come back.
//!
//! A call that keeps its agent is on hold with a time limit. Any other is given to an agent that
//! lets it wait, and comes back by a transfer, of whatever kind.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use super::Control;
use super::effects::millis;
use super::incoming::unix_us;
use super::transferring::is_talking;
use crate::calls::call::{Input, Which};
use crate::calls::cause::Cause;
use crate::calls::live::LiveCall;
use crate::calls::log::What;
use crate::calls::parked::{ParkWish, Parked, ParkedView, SLOT_FIRST, SLOT_LAST, is_slot};
use crate::calls::queue::Leaving;
use crate::calls::request::{RequestError, Unpark};
use crate::calls::transfer::{BRIDGE_LIMIT, Kind, State, Stay, TransferError};
use crate::config::{AgentConfig, PARK_TIMEOUT_S_MAX};
use crate::directory::{Agent, Named, file_id};
use crate::quota::Limits;
use crate::store::Timestamp;
use crate::workers::command::CallKey;
use crate::workers::poller::now;

/// What stands in front of a slot in the name of what lets a call wait there.
const PARK: &str = "park:";
/// The variable that tells an agent which slot its call comes back from.
const SLOT: &str = "parked_slot";

impl Control {
    /// Puts a call aside.
    pub(super) fn park(&mut self, id: Uuid, wish: ParkWish) -> Result<ParkedView, RequestError> {
        let key = self.living(id)?;
        self.may_transfer(key, Kind::Agent, Stay::No)?;
        let call = self.calls.get(&key).ok_or(RequestError::NoSuchCall)?;
        if call.parked.is_some() {
            return Err(RequestError::State("the call is put aside already"));
        }
        let (organisation, agent) = (call.agent.organisation, call.current_agent());
        let slot = self.slot_for(organisation, wish.slot)?;
        let timeout = match wish.timeout_s {
            None => self.config.park.timeout,
            Some(timeout_s) if (1..=PARK_TIMEOUT_S_MAX).contains(&timeout_s) => {
                Duration::from_secs(timeout_s)
            }
            Some(_) => {
                let problem = format!("not a number of seconds from 1 to {PARK_TIMEOUT_S_MAX}");
                return Err(RequestError::Field { field: "timeout_s", problem });
            }
        };
        let since = now();
        let parked = Parked {
            slot: slot.clone(),
            since,
            since_us: unix_us(),
            until: since + timeout,
            agent,
            keeps_agent: wish.keep_agent,
            returns: false,
        };
        if wish.keep_agent {
            self.hold(key, true)?;
        } else {
            self.let_wait(key, &parked)?;
        }
        let Some(call) = self.calls.get_mut(&key) else { return Err(RequestError::NoSuchCall) };
        tracing::info!(parent: &call.span, %slot, "the call is put aside");
        call.parked = Some(Box::new(parked));
        let (keep_agent, timeout_ms) = (wish.keep_agent, millis(timeout));
        self.log_fact(key, What::Parked { slot, keep_agent, timeout_ms });
        self.reschedule(key);
        let view = self.calls.get(&key).and_then(|call| view(call));
        view.ok_or(RequestError::NoSuchCall)
    }

    /// The slot of this name, or the next, if it is free.
    fn slot_for(&self, of: Uuid, wanted: Option<String>) -> Result<String, RequestError> {
        let own = self.calls.values().filter(|call| call.agent.organisation == of);
        let taken: HashSet<&str> =
            own.filter_map(|call| Some(call.parked.as_ref()?.slot.as_str())).collect();
        match wanted {
            Some(slot) if !is_slot(&slot) => {
                let problem = "letters, digits, \"-\", \"_\", \".\" and \"+\", up to 32".to_owned();
                Err(RequestError::Field { field: "slot", problem })
            }
            Some(slot) if taken.contains(slot.as_str()) => {
                Err(RequestError::State("another call is in this slot"))
            }
            Some(slot) => Ok(slot),
            None => {
                let mut slots = (SLOT_FIRST..=SLOT_LAST).map(|slot| slot.to_string());
                slots.find(|slot| !taken.contains(slot.as_str())).ok_or(RequestError::Full)
            }
        }
    }

    /// Gives a call to what lets it wait; whoever had it is told and let go.
    fn let_wait(&mut self, key: CallKey, parked: &Parked) -> Result<(), TransferError> {
        let former = &parked.agent;
        let music = self.config.park.hold_music.as_ref().or(former.hold_music.as_ref());
        let name = format!("{PARK}{}", parked.slot);
        let agent = Arc::new(Agent {
            id: file_id(Named::Agent, &name),
            organisation: former.organisation,
            // What it leads to reaches no further than what was there.
            is_of_file: former.is_of_file,
            limits: Limits::default(),
            config: AgentConfig::waiting(name, None, music.cloned()),
        });
        let next = self.place_at(key, agent, Vec::new())?;
        self.leaves_queue(key, Leaving::Elsewhere);
        self.give_to(key, next, false);
        Ok(())
    }

    /// Brings a call to somebody; the id of the transfer, if there is one.
    pub(super) fn unpark(
        &mut self,
        key: CallKey,
        to: Unpark,
    ) -> Result<Option<Uuid>, RequestError> {
        let call = self.calls.get(&key).ok_or(RequestError::NoSuchCall)?;
        let parked = call.parked.as_ref();
        let parked = parked.ok_or(RequestError::State("the call is not put aside"))?;
        if parked.returns {
            return Err(RequestError::State("the call is on its way back"));
        }
        let keeps_agent = parked.keeps_agent;
        let (kind, destination, options) = match to {
            Unpark::Back if keeps_agent => return self.hold(key, false).map(|()| None),
            Unpark::Back => return Ok(Some(self.return_to_agent(key)?)),
            Unpark::Agent(name) => (Kind::Agent, name, Vec::new()),
            Unpark::Destination { to, trunk } => {
                let trunk = trunk.map(|name| ("trunk".to_owned(), name));
                (Kind::Bridge, to, trunk.into_iter().collect())
            }
            Unpark::Call(id) => {
                (Kind::Attended, String::new(), vec![("call_id".to_owned(), id.to_string())])
            }
        };
        let to = (kind.as_str(), destination.as_str());
        Ok(self.asked_to_transfer(key, to, options, Vec::new(), None)?)
    }

    /// Reaches for the agent that had a call before.
    fn return_to_agent(&mut self, key: CallKey) -> Result<Uuid, TransferError> {
        let parked = self.calls.get(&key).and_then(|call| call.parked.as_ref());
        let parked = parked.ok_or(TransferError::NotAnswered)?;
        let (agent, slot) = (Arc::clone(&parked.agent), parked.slot.clone());
        if self.has_no_place(&agent) {
            return Err(TransferError::AgentFull);
        }
        self.hand_to(key, &agent, vec![(SLOT.to_owned(), slot)], BRIDGE_LIMIT)
    }

    /// A transfer of a call has moved on; with `three` whoever had the call stays.
    pub(super) fn parking_moves(&mut self, key: CallKey, state: State, three: bool) {
        let parked = self.calls.get(&key).and_then(|call| call.parked.as_ref());
        let Some(returns) = parked.map(|parked| parked.returns) else { return };
        match state {
            State::Bridged if !three => self.is_back(key),
            State::Failed | State::Cancelled if returns => self.goes_astray(key),
            _ => {}
        }
    }

    /// Somebody talks with a call that was put aside.
    pub(super) fn is_back(&mut self, key: CallKey) {
        let Some(call) = self.calls.get_mut(&key) else { return };
        let Some(parked) = call.parked.take() else { return };
        let Parked { slot, since, agent, keeps_agent, returns, .. } = *parked;
        if !keeps_agent {
            // Whoever comes next follows it, not what let the call wait.
            (call.agent, call.which) = (agent, Which::Main);
        }
        let waited_ms = millis(now().since(since));
        tracing::info!(parent: &call.span, %slot, waited_ms, "the call is taken up again");
        // Of one whose time was over that has been told.
        if !returns {
            self.log_fact(key, What::Unparked { slot, waited_ms });
        }
        self.reschedule(key);
    }

    /// Looks whether a call has been aside for long enough.
    pub(super) fn parking_due(&mut self, key: CallKey) {
        let Some(call) = self.calls.get_mut(&key).filter(|call| is_talking(call)) else { return };
        let at = now();
        let is_due = call.parking_deadline() <= at;
        let Some(parked) = call.parked.as_mut().filter(|_| is_due) else { return };
        parked.returns = true;
        let (slot, keeps_agent) = (parked.slot.clone(), parked.keeps_agent);
        let waited_ms = millis(at.since(parked.since));
        tracing::info!(parent: &call.span, %slot, "nobody took the call up in time");
        self.log_fact(key, What::ParkTimedOut { slot, waited_ms });
        if keeps_agent {
            drop(self.hold(key, false));
        } else if let Err(error) = self.return_to_agent(key) {
            if let Some(call) = self.calls.get(&key) {
                tracing::warn!(parent: &call.span, %error, "the agent does not take the call back");
            }
            self.goes_astray(key);
        }
        self.reschedule(key);
    }

    /// The agent that had a call does not take it back: its route says what follows.
    fn goes_astray(&mut self, key: CallKey) {
        self.forget_parking(key);
        self.tell_later(key, Input::AgentGivesUp(Cause::NoAnswer));
    }

    /// A call is nowhere aside any more.
    pub(super) fn forget_parking(&mut self, key: CallKey) {
        if let Some(call) = self.calls.get_mut(&key) {
            call.parked = None;
        }
    }

    /// The call of an organisation that is in this slot.
    pub(super) fn in_slot(&self, of: Uuid, slot: &str) -> Option<CallKey> {
        let mut own = self.calls.values().filter(|call| call.agent.organisation == of);
        let is_there = |parked: &Parked| parked.slot == slot && !parked.returns;
        own.find(|call| call.parked.as_deref().is_some_and(is_there)).map(|call| call.key)
    }

    /// The calls of an organisation that are put aside, the first first.
    pub(super) fn parked_of(&self, organisation: Uuid) -> Vec<ParkedView> {
        let own = self.calls.values().filter(|call| call.agent.organisation == organisation);
        let mut views: Vec<_> = own.filter_map(|call| view(call)).collect();
        views.sort_by_key(|parked| (parked.parked_at, parked.call_id));
        views
    }
}

/// A call that is put aside, as the API shows it.
fn view(call: &LiveCall) -> Option<ParkedView> {
    let parked = call.parked.as_ref()?;
    let at = now();
    Some(ParkedView {
        slot: parked.slot.clone(),
        call_id: call.id,
        from: call.from.clone(),
        to: call.to.clone(),
        agent: parked.agent.name.clone(),
        keep_agent: parked.keeps_agent,
        parked_at: Timestamp(parked.since_us),
        waited_ms: millis(at.since(parked.since)),
        left_ms: millis(parked.until.since(at)),
    })
}
