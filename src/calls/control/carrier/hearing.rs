//! What carriers tell by sockets of events, and flows that outlive their calls: what is left at the
//! carrier is let go by them, and callers that were handed over are looked after.

use std::collections::HashMap;
use std::sync::Arc;

use adapters::agent::Direction;
use adapters::event::{CallEvent, CallFact, CarrierCallId, InboundCall};
use adapters::flow::{Alive, CallFlow, FlowInput, FlowMessage, FlowOutput, Routed};
use adapters::op::Managed;
use media::time::MonoTime;
use tokio::sync::oneshot;
use uuid::Uuid;

use super::Control;
use crate::calls::control::incoming::unix_us;
use crate::calls::log::from_carrier;
use crate::calls::tidings::{Tidings, TidingsKind};
use crate::carrier::Account;
use crate::workers::command::CallKey;
use crate::workers::poller::now;

/// Flows that may outlive their calls; beyond it those that end last are dropped.
const LINGERING_MAX: usize = 16_384;

/// What is heard of carriers by sockets of events.
#[derive(Default)]
pub(in crate::calls::control) struct Hearing {
    /// Configurations whose socket is up here, and what was found out about each.
    up: HashMap<Uuid, Managed>,
    lingering: HashMap<CallKey, Lingering>,
    /// The same by our ids of the calls.
    by_call: HashMap<Uuid, CallKey>,
    /// The same by configuration and the carrier's ids.
    by_leg: HashMap<(Uuid, CarrierCallId), CallKey>,
    /// Our ids of calls whose audio comes by a bare connection, by what that says.
    pub(super) by_connection: HashMap<Uuid, Uuid>,
}

/// A flow whose call is over here.
struct Lingering {
    /// Our id of the call; none of one that was refused before it began.
    call: Option<Uuid>,
    leg: Option<CarrierCallId>,
    account: Arc<Account>,
    flow: Box<dyn CallFlow>,
    /// When it is looked after next, by the control's table of deadlines.
    scheduled: MonoTime,
}

impl Hearing {
    /// Keeps a flow whose call is over.
    pub(super) fn linger(
        &mut self,
        (key, call): (CallKey, Option<Uuid>),
        leg: Option<CarrierCallId>,
        account: Arc<Account>,
        flow: Box<dyn CallFlow>,
    ) {
        if self.lingering.len() < LINGERING_MAX {
            self.by_call.extend(call.map(|call| (call, key)));
            self.by_leg.extend(leg.clone().map(|leg| ((account.id, leg), key)));
            let scheduled = MonoTime::MAX;
            self.lingering.insert(key, Lingering { call, leg, account, flow, scheduled });
        }
    }

    fn remove(&mut self, key: CallKey) -> Option<Lingering> {
        let over = self.lingering.remove(&key)?;
        over.call.map(|call| self.by_call.remove(&call));
        if let Some(leg) = &over.leg {
            self.by_leg.remove(&(over.account.id, leg.clone()));
        }
        Some(over)
    }

    /// The carrier calls a call by another id from now on.
    fn replaced(&mut self, key: CallKey, id: CarrierCallId) {
        let Some(lingering) = self.lingering.get_mut(&key) else { return };
        let account = lingering.account.id;
        if let Some(before) = lingering.leg.replace(id.clone()) {
            self.by_leg.remove(&(account, before));
        }
        self.by_leg.insert((account, id), key);
    }

    /// Whether the flow of a call that the carrier calls so is kept.
    pub(super) fn lingers(&self, account: Uuid, leg: &CarrierCallId) -> bool {
        self.by_leg.contains_key(&(account, leg.clone()))
    }

    /// When something is due of a flow whose call is over.
    pub(super) fn deadline(&self, key: CallKey) -> Option<MonoTime> {
        self.lingering.get(&key)?.flow.deadline()
    }
}

impl Control {
    /// Whether the carrier's word about calls by this configuration is heard here.
    pub(super) fn hears(&self, account: &Account) -> bool {
        account.spec.events.is_none() || self.hearing.up.contains_key(&account.id)
    }

    /// A configuration together with what was found out about its carrier.
    pub(super) fn as_found(&self, account: &Arc<Account>) -> Arc<Account> {
        let found = self.hearing.up.get(&account.id).filter(|found| !found.is_empty());
        let Some(found) = found else { return Arc::clone(account) };
        let mut config = account.config.clone();
        if let Err(errors) = account.spec.set_managed(&mut config, found) {
            tracing::error!(provider = account.spec.name, %errors, "what was found is refused");
            return Arc::clone(account);
        }
        Arc::new(Account { config, ..Account::clone(account) })
    }

    /// A carrier's socket of events has something to tell.
    pub(in crate::calls::control) fn tidings(&mut self, tidings: Tidings) {
        let Tidings { account, what } = tidings;
        match what {
            TidingsKind::Up { again, found } => {
                self.hearing.up.insert(account.id, found);
                if again {
                    self.heard_again(account.id);
                }
            }
            TidingsKind::Down => drop(self.hearing.up.remove(&account.id)),
            TidingsKind::Offered(offered, is_known) => {
                self.offered_by_event(&account, *offered, is_known);
            }
            TidingsKind::Message(routed, message) => self.told(&account, routed, &message),
            TidingsKind::Alive(reply) => drop(reply.send(self.alive(account.id))),
        }
    }

    /// What becomes of the call is told by its flow.
    fn offered_by_event(&mut self, account: &Arc<Account>, offered: InboundCall, is_known: bool) {
        // As it is now: its limits may have changed since the socket was opened.
        let current = self.directory.load().carriers().get(account.id).cloned();
        let (reply, _nobody) = oneshot::channel();
        self.offered(current.as_ref().unwrap_or(account), offered, is_known, reply);
    }

    /// A message about a call.
    fn told(&mut self, account: &Account, routed: Routed, message: &[u8]) {
        let key = match routed {
            Routed::Of(id) => {
                let id = (account.id, id);
                self.by_carrier.get(&id).or_else(|| self.hearing.by_leg.get(&id)).copied()
            }
            Routed::Ours { call, leg } => self.ours_shown(account, &call, leg.as_ref()),
            Routed::Offered(_) | Routed::Nothing | Routed::Replaced => None,
        };
        if let Some(key) = key {
            self.flow_input(key, FlowInput::Message(FlowMessage(message)));
        }
    }

    /// The call of ours with that id. One that we placed shows itself before the request for it is
    /// answered, or without.
    fn ours_shown(
        &mut self,
        account: &Account,
        call: &str,
        leg: Option<&CarrierCallId>,
    ) -> Option<CallKey> {
        let id: Uuid = call.parse().ok()?;
        let Some(key) = self.carried(account, Some(id), None) else {
            let key = self.hearing.by_call.get(&id)?;
            let lingering = self.hearing.lingering.get(key)?;
            return (lingering.account.id == account.id).then_some(*key);
        };
        if let Some(leg) = leg {
            let outbound = self.calls.get(&key)?.direction == Direction::Outbound;
            if outbound {
                self.learn(key, leg);
                self.placed_at_carrier(key);
            }
        }
        Some(key)
    }

    /// The socket was lost, and is up again: each flow asks how its call stands.
    fn heard_again(&mut self, account: Uuid) {
        let of = |call: &crate::calls::live::LiveCall| {
            call.carrier.as_ref().is_some_and(|leg| leg.account.id == account)
        };
        let living = self.calls.values().filter(|call| of(call)).map(|call| call.key);
        let keys: Vec<_> = living.chain(self.hearing.of(account)).collect();
        for key in keys {
            self.flow_input(key, FlowInput::Reconnected);
        }
    }

    /// Calls of a configuration that live here, or are being let go.
    fn alive(&self, account: Uuid) -> Alive {
        let mut alive = Alive { as_of: Uuid::now_v7().to_string(), ..Alive::default() };
        for call in self.calls.values() {
            let Some(leg) = call.carrier.as_ref().filter(|leg| leg.account.id == account) else {
                continue;
            };
            alive.calls.push(call.id.to_string());
            alive.legs.extend(leg.id.clone());
        }
        let lingering = self.hearing.lingering.values();
        let lingering = lingering.filter(|lingering| lingering.account.id == account);
        alive.calls.extend(lingering.filter_map(|lingering| Some(lingering.call?.to_string())));
        alive
    }

    /// Tells a flow whose call is over what its carrier tells by a hook. False if that belongs to
    /// the call's record all the same, or if there is no such flow.
    pub(super) fn heard_of_the_refused(&mut self, account: &Account, event: &CallEvent) -> bool {
        let leg = (account.id, event.call.clone());
        let Some(key) = self.hearing.by_leg.get(&leg).copied() else { return false };
        self.lingering_input(key, FlowInput::Event(event));
        // That the call was answered for the sake of a word is no answer.
        matches!(event.what, CallFact::Initiated | CallFact::Answered | CallFact::Spoken)
    }

    /// Tells a flow something whose call is over, and does what it wants.
    pub(super) fn lingering_input(&mut self, key: CallKey, input: FlowInput<'_>) {
        let Some(lingering) = self.hearing.lingering.get_mut(&key) else { return };
        lingering.flow.handle(now(), input);
        self.lingers_on(key);
    }

    /// Does what the flow of a call wants that is over.
    pub(super) fn lingers_on(&mut self, key: CallKey) {
        loop {
            let Some(lingering) = self.hearing.lingering.get_mut(&key) else { return };
            let (call, account) = (lingering.call, Arc::clone(&lingering.account));
            match lingering.flow.poll() {
                None => break,
                Some(FlowOutput::Send { request, what }) => {
                    self.ask_for_flow(key, account, request, what);
                }
                Some(FlowOutput::Event(event)) => {
                    let fact = call.and_then(|call| from_carrier(call, &event, unix_us()));
                    fact.map(|fact| self.log.tell(fact));
                }
                Some(FlowOutput::Replaced(id)) => self.hearing.replaced(key, id),
                Some(FlowOutput::Done) => {
                    if let Some(over) = self.hearing.remove(key) {
                        self.deadlines.remove(&(over.scheduled, key));
                    }
                }
                Some(FlowOutput::Media(_) | FlowOutput::Message(_) | FlowOutput::Connect(_)) => {}
            }
        }
        let Some(lingering) = self.hearing.lingering.get_mut(&key) else { return };
        let due = lingering.flow.deadline().unwrap_or(MonoTime::MAX);
        let before = std::mem::replace(&mut lingering.scheduled, due);
        self.deadlines.remove(&(before, key));
        if due < MonoTime::MAX {
            self.deadlines.insert((due, key));
        }
    }
}

impl Hearing {
    /// Flows of a configuration whose calls are over.
    fn of(&self, account: Uuid) -> Vec<CallKey> {
        let of = self.lingering.iter().filter(|(_, lingering)| lingering.account.id == account);
        of.map(|(key, _)| *key).collect()
    }
}
