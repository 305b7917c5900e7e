//! Calls that a PBX in front of them owns: what it is told, and ends that wait for it.
//!
//! It is asked to hang up on the customer before our leg goes, as it would keep the customer alone
//! otherwise; but not for longer than one request may take. Nothing else waits for it.

use std::sync::Arc;

use adapters::agent::Direction;
use adapters::exchange::CarrierError;
use adapters::external_pbx::{self, Identity};

use super::Control;
use crate::calls::call::Effect;
use crate::calls::carrier::transfer_cause;
use crate::calls::cause::Cause;
use crate::calls::external::{Action, Asks, External, Held, Obeyed};
use crate::calls::live::LiveCall;
use crate::calls::request::RequestError;
use crate::calls::transfer::{Input, TransferError};
use crate::carrier::Account;
use crate::workers::command::{CallKey, Command};
use crate::workers::poller::now;

/// Why an update is refused where no PBX takes any.
const NO_PBX: &str = "no PBX in front of the call takes updates";
/// Why it is refused where too many wait.
const TOO_MANY: &str = "too many requests to the PBX wait";
/// What is told as the cause if nobody knows what became of a transfer.
const NO_RESPONSE: &str = "no_response";

impl Control {
    /// The PBX that a call which just came in belongs to, by its headers; what the PBX says of it
    /// become variables.
    pub(super) fn belongs_to_pbx(&mut self, key: CallKey) {
        let Some(call) = self.calls.get(&key) else { return };
        let Some((account, identity)) = owner(call) else { return };
        let Some(pbx) = external_pbx::find(&account.config) else { return };
        let asks = Asks {
            key,
            call: call.id,
            // It may be captured later.
            exchanges: self.exchanges.of_call(call.id, &self.captures),
            handle: self.handle.clone(),
            log: self.log.clone(),
        };
        let variables: Vec<_> = identity.variables().collect();
        let (external, task) = External::new(pbx, account, identity, asks);
        self.io.spawn(task);
        if let Some(call) = self.calls.get_mut(&key) {
            tracing::info!(parent: &call.span, pbx = pbx.name, "it belongs to a PBX");
            call.variables.extend(variables);
            call.external = Some(Box::new(external));
        }
    }

    /// What is done for the PBX before a call ends. The effects are kept back if the end is to wait
    /// for it.
    pub(super) fn pbx_before_end(&mut self, key: CallKey, effects: &mut Vec<Effect>) {
        let ends = effects.iter().find_map(|effect| match effect {
            Effect::Finish { cause, .. } => Some(*cause),
            _ => None,
        });
        let Some(cause) = ends else { return };
        let Some(call) = self.calls.get_mut(&key) else { return };
        let facts = facts(call, cause);
        let Some(external) = call.external.as_mut().filter(|it| !it.is_closing) else { return };
        external.is_closing = true;
        write_down(external, &facts);
        let ours = effects.iter().any(|effect| matches!(effect, Effect::Bye(_)));
        // Who was handed on is with somebody else; who was transferred otherwise went by itself.
        let keeps = external.handed || cause == Cause::Transferred;
        if !ours || (keeps && external.handing.is_none()) {
            return;
        }
        // What becomes of the customer is known once that has been answered.
        let asked = external.handing.or_else(|| hang_up(external));
        // A server that goes down waits for nobody.
        if let Some(number) = asked.filter(|_| cause != Cause::Draining) {
            let until = now() + external.patience();
            external.held = Some(Held { effects: std::mem::take(effects), number, until });
            self.reschedule(key);
        }
    }

    /// The end of a call has waited for the PBX for long enough.
    pub(super) fn external_due(&mut self, key: CallKey) {
        let external = self.calls.get_mut(&key).and_then(|call| call.external.as_mut());
        let Some(external) = external else { return };
        if external.held.as_ref().is_some_and(|held| held.until <= now()) {
            self.end_at_last(key);
        }
    }

    fn end_at_last(&mut self, key: CallKey) {
        let external = self.calls.get_mut(&key).and_then(|call| call.external.as_mut());
        if let Some(mut held) = external.and_then(|external| external.held.take()) {
            self.reschedule(key);
            self.perform(key, &mut held.effects);
        }
    }

    /// The PBX was asked for something.
    pub(super) fn obeyed(&mut self, obeyed: Obeyed) {
        let Obeyed { call: key, number, action, result } = obeyed;
        let Some(call) = self.calls.get_mut(&key) else { return };
        let worker = call.worker;
        let Some(external) = call.external.as_mut() else { return };
        if external.handing == Some(number) {
            external.handing = None;
            return self.handed_to_group(key, number, result);
        }
        if action == Action::Update && result.is_err() && !external.is_closing {
            let why = "update: the PBX did not take it";
            self.command(worker, Command::Refused { call: key, why });
        }
        self.ended_by_pbx(key, number);
    }

    /// The request that the end of a call may have waited for has been answered.
    fn ended_by_pbx(&mut self, key: CallKey, number: u32) {
        let external = self.calls.get(&key).and_then(|call| call.external.as_ref());
        let held = external.and_then(|external| external.held.as_ref());
        if held.is_some_and(|held| held.number == number) {
            self.end_at_last(key);
        }
    }

    /// The PBX was asked to hand the customer to a group.
    fn handed_to_group(
        &mut self,
        key: CallKey,
        number: u32,
        result: Result<(), crate::carrier::Failure>,
    ) {
        let external = self.calls.get_mut(&key).and_then(|call| call.external.as_mut());
        let Some(external) = external else { return };
        // It may have done so, and must not hang up on who talks with somebody else.
        external.handed |= result.as_ref().err().is_none_or(|failure| failure.perhaps_done);
        let again = match &mut external.held {
            Some(_) if !external.handed => hang_up(external),
            _ => None,
        };
        if let (Some(again), Some(held)) = (again, &mut external.held) {
            held.number = again;
        }
        let input = match result {
            Ok(()) => Input::Progress { status: Some(200), last: true },
            Err(failure) if failure.perhaps_done => Input::Refused(NO_RESPONSE),
            Err(failure) => Input::Refused(transfer_cause(&failure.error)),
        };
        self.transfer_input(key, input);
        if again.is_none() {
            self.ended_by_pbx(key, number);
        }
    }

    /// Asks the PBX to hand the customer to a group.
    pub(super) fn hand_to_group(&mut self, key: CallKey, name: &str) -> Result<(), TransferError> {
        let call = self.calls.get_mut(&key).ok_or(TransferError::NotAnswered)?;
        let external = call.external.as_mut().ok_or(TransferError::Way)?;
        let (config, identity) = (&external.account.config, &external.identity);
        let group = external_pbx::group(config, identity, name);
        let group = group.ok_or(TransferError::Destination)?;
        let status = external.status.as_deref();
        let status = status.or_else(|| external_pbx::usual_status(config, true));
        let op = (external.pbx.transfer)(config, identity, &group, status);
        let op = op.map_err(|_| TransferError::Way)?;
        let asked = external.ask(Action::Transfer, Vec::new(), Ok(op));
        external.handing = Some(asked.ok_or(TransferError::Full)?);
        Ok(())
    }

    /// Lets the PBX change the customer's record. What is empty is left out; a status is that of
    /// the call as well.
    pub(super) fn update_at_pbx(
        &mut self,
        key: CallKey,
        fields: Vec<(String, String)>,
    ) -> Result<(), RequestError> {
        let call = self.calls.get_mut(&key).ok_or(RequestError::NoSuchCall)?;
        let external = call.external.as_mut().filter(|external| !external.is_closing);
        let external = external.ok_or(RequestError::State(NO_PBX))?;
        let mut fields = fields;
        fields.retain(|(_, value)| !value.trim().is_empty());
        let invalid = |why: &str| RequestError::Invalid(why.to_owned());
        (external.pbx.check)(&fields).map_err(invalid)?;
        let op = (external.pbx.update)(&external.account.config, &external.identity, &fields);
        let op = op.map_err(|error| match error {
            CarrierError::Config(why) => RequestError::State(why),
            error => RequestError::Invalid(error.to_string()),
        })?;
        let status = fields.iter().find(|(name, _)| name == external.pbx.status_field);
        let status = status.map(|(_, status)| status.clone());
        let names = fields.into_iter().map(|(name, _)| name).collect();
        let asked = external.ask(Action::Update, names, Ok(op));
        asked.ok_or(RequestError::State(TOO_MANY))?;
        external.status = status.or_else(|| external.status.take());
        Ok(())
    }

    /// The agent wants that; it is told what is wrong with it.
    pub(super) fn agent_updates(&mut self, key: CallKey, fields: Vec<(String, String)>) {
        let Err(error) = self.update_at_pbx(key, fields) else { return };
        let Some(call) = self.calls.get(&key) else { return };
        tracing::info!(parent: &call.span, %error, "the agent's update is left out");
        let why = "update: the PBX takes no such fields now";
        self.command(call.worker, Command::Refused { call: key, why });
    }
}

/// The configuration by which a call came, and what its PBX calls it.
fn owner(call: &LiveCall) -> Option<(Arc<Account>, Identity)> {
    if call.direction != Direction::Inbound {
        return None;
    }
    let of_trunk = || Some(Arc::new(call.trunk.as_ref()?.pbx_account()?));
    let account = match &call.carrier {
        Some(leg) => Arc::clone(&leg.account),
        None => of_trunk()?,
    };
    let pbx = external_pbx::find(&account.config)?;
    let identity = (pbx.identify)(&account.config, &call.headers)?;
    Some((account, identity))
}

/// What is known of a call at its end, for what is written down.
fn facts(call: &LiveCall, cause: Cause) -> Vec<(&'static str, String)> {
    let lasted_ms = call.duration_ms(now());
    vec![
        ("cause", cause.as_str().to_owned()),
        ("duration_s", lasted_ms.div_ceil(1_000).to_string()),
        ("call_id", call.id.to_string()),
        ("agent", call.current_agent().name.clone()),
        ("from", call.from.clone()),
        ("to", call.to.clone()),
    ]
}

/// Lets the PBX write down what the configuration wants written at the end.
fn write_down(external: &mut External, facts: &[(&str, String)]) {
    let (config, identity) = (&external.account.config, &external.identity);
    let mut fields = external_pbx::closing(config, identity, facts);
    // The status of who was handed on is the group's business, and what the agent said stands.
    let settled = external.handed || external.handing.is_some() || external.status.is_some();
    fields.retain(|(name, _)| !(settled && name == external.pbx.status_field));
    if fields.is_empty() {
        return;
    }
    let op = (external.pbx.update)(config, identity, &fields);
    let names = fields.into_iter().map(|(name, _)| name).collect();
    if external.ask(Action::Update, names, op).is_none() {
        tracing::warn!("nothing is written at the PBX: too many requests wait");
    }
}

/// Lets the PBX hang up on the customer.
fn hang_up(external: &mut External) -> Option<u32> {
    let (config, identity) = (&external.account.config, &external.identity);
    let status = external.status.as_deref();
    let status = status.or_else(|| external_pbx::usual_status(config, false));
    let op = (external.pbx.hangup)(config, identity, status);
    external.ask(Action::HangUp, Vec::new(), op)
}
