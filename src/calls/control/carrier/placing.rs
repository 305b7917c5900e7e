//! Calls that a carrier places for us.

use std::sync::Arc;
use std::time::Duration;

use adapters::address::Address;
use adapters::agent::{Direction, EndedBy};
use adapters::event::CarrierCallId;
use adapters::op::{Originate, Originated};
use adapters::secret::Pii;
use media::time::MonoTime;
use uuid::Uuid;

use super::{Control, SHOWN_MS};
use crate::calls::CallView;
use crate::calls::call::{Input, Plan};
use crate::calls::carrier::{CarrierLeg, cause_of_error, is_out_of_order, may_succeed_elsewhere};
use crate::calls::control::begin::{Beginning, Peer};
use crate::calls::control::calling::{Calling, Wish, number_from};
use crate::calls::control::place::{Room, field};
use crate::calls::log::What;
use crate::calls::request::{PlaceCall, Request, RequestError};
use crate::carrier::{Account, Failure, ORIGINATE, Patience};
use crate::directory::{Agent, Fallback, Snapshot};
use crate::quota::{Bound, Permit, Refusal, Way};
use crate::routing::Called;
use crate::sip::core::custom::{self, CustomError};
use crate::workers::command::CallKey;
use crate::workers::poller::now;

/// The field of a configuration that names the headers which its calls may carry.
const HEADERS_OUT: &str = "headers_out";
/// How much longer than the ringing a media socket may take to come.
const TAKEN_WITHIN: Duration = Duration::from_secs(30);

/// The configurations of carriers that a call is placed by, in the order to try them: the one that
/// it names, or, if it names no way and its number no SIP peer, those of its organisation. None if
/// it goes over SIP.
pub(in crate::calls::control) fn accounts(
    snapshot: &Snapshot,
    organisation: Uuid,
    wanted: &PlaceCall,
) -> Vec<Arc<Account>> {
    let carriers = snapshot.carriers();
    if let Some(id) = wanted.telephony_configuration_id {
        let named = carriers.get(id).filter(|account| account.organisation == organisation);
        return named.filter(|_| wanted.trunk.is_none()).cloned().into_iter().collect();
    }
    if wanted.trunk.is_some() || Address::international(&wanted.to).is_err() {
        return Vec::new();
    }
    let all = carriers.outbound(organisation);
    let first_is_default = all.first().is_some_and(|account| account.is_default);
    if first_is_default || snapshot.outbound(organisation, |_| None).is_empty() {
        all
    } else {
        Vec::new()
    }
}

/// Longest call that carriers take.
const CARRIER_LONGEST: Duration = Duration::from_secs(24 * 3_600);

impl Control {
    /// Places a call by the first of these configurations that has room for it.
    pub(in crate::calls::control) fn place_at_carrier(
        &mut self,
        wanted: &PlaceCall,
        agent: &Arc<Agent>,
        accounts: Vec<Arc<Account>>,
        room: Room,
    ) -> Result<CallView, RequestError> {
        let to =
            Address::parse(&wanted.to, None).map_err(|error| field("to", error.to_string()))?;
        let mut others = self.shunned.order(now(), accounts);
        let mut refused = RequestError::Full;
        let (account, place, calling, from) = loop {
            let account = others.pop_front().ok_or(refused)?;
            if account.spec.calls.originate.is_none() {
                let why = "its carrier places no calls over HTTP".to_owned();
                refused = field("telephony_configuration_id", why);
                continue;
            }
            if !self.hears(&account) {
                refused = RequestError::State("the carrier's socket of events is not up here");
                continue;
            }
            match self.take_carrier_line(&account, wanted.into()) {
                Ok((place, calling)) => {
                    let from = number_from(wanted.from.as_deref(), calling.as_ref());
                    let from = self.calling_number(&account, from);
                    if from.is_some() || !account.spec.requires_caller_id {
                        break (account, place, calling, from);
                    }
                    let why = "the configuration has no active number to call from".to_owned();
                    refused = field("from", why);
                }
                Err(refusal) => refused = refusal.into(),
            }
        };
        let id = wanted.id.unwrap_or_else(Uuid::now_v7);
        let mut leg = CarrierLeg::new(self.as_found(&account), None);
        leg.extra = extra_of(&account, wanted)?;
        leg.others = others;
        leg.detect_machine = wanted.amd;
        leg.called_from.clone_from(&wanted.called_from);
        let none = || field("telephony_configuration_id", "it has no media socket".to_owned());
        let plan = Plan { agent_rings: false, ..self.outbound_plan(agent, wanted) };
        let within = plan.ring_timeout + TAKEN_WITHIN;
        let media = self.media_of(&mut leg, id, within).ok_or_else(none)?;
        let key = self.begin(Beginning {
            id: Some(id),
            peer: Peer::Carrier { leg: Box::new(leg), media },
            max_forwards: None,
            plan,
            from: from.as_ref().map(|from| from.expose().to_owned()).unwrap_or_default(),
            to: to.expose().to_owned(),
            trunk: None,
            headers: Vec::new(),
            variables: wanted.variables.clone().into_iter().collect(),
            agent: Arc::clone(agent),
            fallback: Fallback::Hangup,
            ambient: agent.ambient.clone(),
            keep: agent.keep.clone(),
            line: Some(place),
            permit: room.permit,
            slot: Some(room.slot),
        });
        self.log_calling(key, calling.as_ref());
        self.originate(key, &to, from);
        let call = self.calls.get(&key).ok_or(RequestError::NoSuchCall)?;
        Ok(call.view(now()))
    }

    /// A call's place on a configuration, and on the number that it is placed from; that number if
    /// it was picked.
    fn take_carrier_line(
        &mut self,
        account: &Account,
        wish: Wish<'_>,
    ) -> Result<(Permit, Option<Calling>), Refusal> {
        let snapshot = self.directory.load();
        let calling = self.calling_by(&snapshot, account.id, wish)?;
        let from = number_from(wish.from, calling.as_ref());
        let place = self.quota.take(now(), Way::Out, &line_bounds(&snapshot, account, from))?;
        self.count_calling(calling.as_ref());
        Ok((place, calling))
    }

    /// Whether one of these configurations has room for a call that we place: nothing is taken.
    pub(in crate::calls::control) fn check_carriers(
        &self,
        snapshot: &Snapshot,
        accounts: &[Arc<Account>],
        wish: Wish<'_>,
    ) -> Result<(), Refusal> {
        let mut refused = None;
        for account in accounts {
            let checked = self.calling_by(snapshot, account.id, wish).and_then(|calling| {
                let from = number_from(wish.from, calling.as_ref());
                self.quota.check(now(), Way::Out, &line_bounds(snapshot, account, from))
            });
            match checked {
                Ok(()) => return Ok(()),
                Err(refusal) => refused = Some(refusal),
            }
        }
        refused.map_or(Ok(()), Err)
    }

    /// Takes the places of a leg that a carrier calls for a call of ours, `from` this number.
    pub(super) fn take_carriers_leg(
        &mut self,
        account: &Account,
        from: &str,
    ) -> Result<Permit, Refusal> {
        let snapshot = self.directory.load();
        // Its limits may have changed since the call began.
        let account = snapshot.carriers().get(account.id).map_or(account, |account| account);
        let mut bounds = snapshot.bounds(account.organisation, None, None);
        bounds.extend(line_bounds(&snapshot, account, Some(from)));
        self.take_leg(bounds)
    }

    /// The number that a call is placed from.
    fn calling_number(&self, account: &Account, from: Option<&str>) -> Option<Address> {
        let snapshot = self.directory.load();
        let from = from.or_else(|| snapshot.own_number(account.id))?;
        Address::parse(from, None).ok()
    }

    /// Asks the carrier to place a call that has begun here.
    fn originate(&mut self, key: CallKey, to: &Address, from: Option<Address>) {
        let base = Arc::clone(&self.base_url);
        let Some(call) = self.calls.get_mut(&key) else { return };
        let (id, plan) = (call.id, *call.call.plan());
        let Some(leg) = call.carrier.as_mut() else { return };
        leg.attempt += 1;
        let (attempt, account) = (leg.attempt, Arc::clone(&leg.account));
        let seconds = |time: Duration| u32::try_from(time.as_secs()).unwrap_or(u32::MAX);
        let wanted = Originate {
            to: to.clone(),
            from,
            stream_url: leg.stream_url.clone(),
            hooks: account.hooks(&base).of_call(&id.to_string()),
            ring_timeout_s: seconds(plan.ring_timeout),
            max_duration_s: seconds(plan.max_duration.min(CARRIER_LONGEST)),
            detect_machine: leg.detect_machine,
            extra: leg.extra.clone(),
        };
        let (exchanges, handle) = (self.exchanges_of(key), self.handle.clone());
        let Some(originate) = account.spec.calls.originate else { return };
        self.io.spawn(async move {
            let result = match originate(&account.config, &wanted) {
                Ok(op) => exchanges.run(&account, ORIGINATE, op, Patience::SHORT).await,
                Err(error) => Err(error.into()),
            };
            handle.send(Request::Originated { call: key, attempt, account, result }).await;
        });
    }

    /// What became of the request to place a call.
    pub(in crate::calls::control) fn originated(
        &mut self,
        key: CallKey,
        attempt: u32,
        account: &Arc<Account>,
        result: Result<Originated, Failure>,
    ) {
        let call = self.calls.get(&key).filter(|call| call.ended.is_none());
        let leg = call.and_then(|call| call.carrier.as_ref());
        let current = leg.is_some_and(|leg| leg.attempt == attempt);
        match result {
            Ok(Originated { call }) if current => {
                self.shunned.worked(account.id);
                self.learn(key, &call);
                self.placed_at_carrier(key);
            }
            // Its end has overtaken the answer to the request that placed it.
            Ok(Originated { call }) if self.is_over_at(key, account, &call) => {
                tracing::info!(configuration = %account.id, "a call is over that was just placed");
            }
            // Nobody wants it any more.
            Ok(Originated { call }) => self.hang_up_at(account, call),
            Err(failure) if current => self.not_placed(key, failure),
            Err(_) => {}
        }
    }

    /// Whether a call that the carrier has placed for `key` is known to be over there, or has been
    /// asked to end.
    fn is_over_at(&self, key: CallKey, account: &Account, id: &CarrierCallId) -> bool {
        let leg = self.calls.get(&key).and_then(|call| call.carrier.as_ref());
        let here = leg.is_some_and(|leg| leg.is_over && leg.id.as_ref() == Some(id));
        here || self.past.over.contains(&(account.id, id.clone()))
    }

    /// The carrier has taken a call of ours; where its control takes a conversation, that begins,
    /// once.
    pub(super) fn placed_at_carrier(&mut self, key: CallKey) {
        let Some(call) = self.calls.get_mut(&key) else { return };
        let leg = call.carrier.as_ref();
        let begins = leg.is_some_and(|leg| {
            leg.account.spec.flow.is_some() && leg.flow.is_none() && !leg.is_over
        });
        if call.direction != Direction::Outbound || !begins {
            return;
        }
        let to = Address::parse(&call.to, None).ok();
        let (id, from) = (call.id, Address::parse(&call.from, None).ok());
        let (Some(mut leg), Some(to)) = (call.carrier.take(), to) else { return };
        self.open_flow(&mut leg, id, Direction::Outbound, &to, from.as_ref());
        if let Some(call) = self.calls.get_mut(&key) {
            call.carrier = Some(leg);
        }
        self.reschedule(key);
    }

    /// A call was not placed, or perhaps not.
    fn not_placed(&mut self, key: CallKey, failure: Failure) {
        let Some(call) = self.calls.get_mut(&key) else { return };
        tracing::warn!(parent: &call.span, %failure, "the carrier did not place the call");
        let Some(leg) = call.carrier.as_mut() else { return };
        if leg.id.is_some() {
            // It has shown itself meanwhile.
            return;
        }
        if is_out_of_order(&failure.error) {
            self.shunned.failed(now(), leg.account.id);
        }
        if failure.perhaps_done {
            leg.shown_by = now() + Duration::from_millis(SHOWN_MS);
            return self.reschedule(key);
        }
        if may_succeed_elsewhere(&failure.error) && self.place_by_next(key, &failure) {
            return;
        }
        let Some(call) = self.calls.get_mut(&key) else { return };
        call.peer_reason.text = Some(failure.to_string());
        if let Some(leg) = call.carrier.as_mut() {
            leg.is_over = true;
        }
        let cause = cause_of_error(&failure.error);
        self.tell(key, Input::End(cause, EndedBy::Carrier));
    }

    /// Places a call by the next configuration that has room for it. False if there is none.
    fn place_by_next(&mut self, key: CallKey, failure: &Failure) -> bool {
        loop {
            let Some(call) = self.calls.get_mut(&key) else { return false };
            let (to, wanted_from) = (Address::parse(&call.to, None).ok(), call.from.clone());
            let called = call.to.clone();
            let (id, within) = (call.id, call.call.plan().ring_timeout + TAKEN_WITHIN);
            let Some(format) = call.format else { return false };
            let Some(leg) = call.carrier.as_mut() else { return false };
            let (Some(account), Some(to)) = (leg.others.pop_front(), to) else { return false };
            // The worker expects a socket as by the configuration before, and one that only its
            // events tell of has more to be made ready.
            let other = account.spec.events.is_some() || leg.account.spec.events.is_some();
            if account.spec.calls.originate.is_none() || other {
                continue;
            }
            let last = leg.called_from.clone();
            let snapshot = self.directory.load();
            if snapshot.carriers().get(account.id).is_none() {
                // It was parked or deleted meanwhile.
                continue;
            }
            // A number of another configuration is none of this one's.
            let wish = Wish { from: None, to: &called, last: last.as_deref() };
            let Ok((place, calling)) = self.take_carrier_line(&account, wish) else { continue };
            let kept = (!account.spec.requires_caller_id).then_some(wanted_from.as_str());
            let own = number_from(None, calling.as_ref());
            let own = own.or_else(|| snapshot.own_number(account.id)).or(kept);
            let Some(own) = own.map(str::to_owned) else { continue };
            let from = self.calling_number(&account, Some(&own));
            let mut next = CarrierLeg::new(account, None);
            let Some((line_of_it, plan)) = self.line_of(&mut next, id, within) else { continue };
            if plan.format != format {
                // The worker expects another carrier's audio.
                continue;
            }
            let Some(call) = self.calls.get_mut(&key) else { return false };
            let Some(before) = call.carrier.as_mut() else { return false };
            next.attempt = before.attempt;
            next.detect_machine = before.detect_machine;
            next.extra = std::mem::take(&mut before.extra);
            next.called_from = last;
            next.others = std::mem::take(&mut before.others);
            next.socket_by = MonoTime::MAX;
            call.carrier = Some(Box::new(next));
            call.carried = Some(line_of_it);
            call.line = Some(place);
            call.from = own;
            let (sip_status, _) = cause_of_error(&failure.error).sip_status();
            self.log_fact(key, What::PlacedElsewhere { sip_status });
            self.log_line(key);
            self.log_calling(key, calling.as_ref());
            self.originate(key, &to, from);
            return true;
        }
    }
}

/// What a call is to carry to the far end: its headers, each of which the configuration must let
/// out, and its variables.
fn extra_of(account: &Account, wanted: &PlaceCall) -> Result<Vec<(String, Pii)>, RequestError> {
    let fields = wanted.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let allowed = account.config.texts(HEADERS_OUT).into_iter().map(str::to_owned);
    custom::check(fields, Some(&allowed.collect::<Vec<_>>())).map_err(|error| match error {
        CustomError::NotAllowed(name) => {
            field("headers", format!("{name} is not among the {HEADERS_OUT} of the configuration"))
        }
        error => field("headers", error.to_string()),
    })?;
    let all = wanted.headers.iter().chain(&wanted.variables);
    Ok(all.map(|(name, value)| (name.clone(), Pii::new(value.as_str()))).collect())
}

/// What a call counts for because of a configuration, and of the number of it that the call is
/// placed from.
pub(super) fn line_bounds(
    snapshot: &Snapshot,
    account: &Account,
    from: Option<&str>,
) -> Vec<Bound> {
    let from = from.or_else(|| snapshot.own_number(account.id));
    let from = from.map(|from| Called::new(from, Some(from), None));
    let number = from.and_then(|from| snapshot.table.number(account.id, &from));
    snapshot.carrier_bounds(account.id, account.limits, number.map(|number| number.id))
}
