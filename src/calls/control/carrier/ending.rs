//! What a carrier is asked for when its call is answered, refused or over.

use adapters::event::CarrierCallId;
use adapters::flow::{FlowCommand, FlowInput};
use std::sync::Arc;
use uuid::Uuid;

use super::Control;
use crate::calls::call::Effect;
use crate::calls::carrier::{CarrierLeg, refusal_of};
use crate::calls::cause::Cause;
use crate::calls::request::Heard;
use crate::carrier::{Account, Patience};
use crate::workers::command::CallKey;

impl Control {
    /// Carries out an effect on a call whose peer is a carrier. False if it is none of the peer's.
    pub(in crate::calls::control) fn carrier_effect(
        &mut self,
        key: CallKey,
        effect: Effect,
    ) -> bool {
        if self.calls.get(&key).is_none_or(|call| call.carrier.is_none()) {
            return false;
        }
        match effect {
            // The carrier sees to that.
            Effect::Ring | Effect::Progress => {}
            Effect::Answer => {
                self.take_call(key);
                self.flow_input(key, FlowInput::Command(FlowCommand::Answer));
            }
            Effect::Reject(cause) => self.refuse_offered(key, cause),
            Effect::Bye(_) | Effect::Cancel(_) => self.end_at_carrier(key),
            Effect::Connect { .. }
            | Effect::State(_)
            | Effect::Comfort
            | Effect::Expiring { .. }
            | Effect::Leave
            | Effect::PlayMessage
            | Effect::Finish { .. } => return false,
        }
        true
    }

    fn refuse_offered(&mut self, key: CallKey, cause: Cause) {
        let Some(leg) = self.calls.get_mut(&key).and_then(|call| call.carrier.as_mut()) else {
            return;
        };
        let refusal = refusal_of(cause);
        if leg.waiting.is_empty() {
            // Its offer has been answered already.
            self.flow_input(key, FlowInput::Command(FlowCommand::Refuse(refusal)));
            return;
        }
        leg.tell(&Heard::Refuse(refusal));
        leg.is_over = true;
    }

    /// Ends a call at its carrier, unless it is over there. What comes of it is not waited for.
    pub(super) fn end_at_carrier(&mut self, key: CallKey) {
        let Some(leg) = self.calls.get_mut(&key).and_then(|call| call.carrier.as_mut()) else {
            return;
        };
        if std::mem::replace(&mut leg.is_over, true) {
            return;
        }
        let account = Arc::clone(&leg.account);
        match &leg.id {
            // Its flow knows what else is to go.
            _ if account.spec.events.is_some() && leg.flow.is_some() => {
                self.flow_input(key, FlowInput::Command(FlowCommand::Hangup));
            }
            Some(id) if account.spec.calls.hangup.is_some() => {
                let id = id.clone();
                self.hang_up_at(&account, id);
            }
            _ => self.flow_input(key, FlowInput::Command(FlowCommand::Hangup)),
        }
    }

    /// Ends a carrier's call, whether we have one for it or not.
    pub(super) fn hang_up_at(&self, account: &Arc<Account>, id: CarrierCallId) {
        let Some(hangup) = account.spec.calls.hangup else { return };
        let known = self.by_carrier.get(&(account.id, id.clone())).copied();
        let exchanges = known.map_or_else(|| self.exchanges.clone(), |key| self.exchanges_of(key));
        let account = Arc::clone(account);
        self.io.spawn(async move {
            let op = hangup(&account.config, &id);
            let ended = match op {
                Ok(op) => exchanges.run(&account, "hangup", op, Patience::LONG).await,
                Err(error) => Err(error.into()),
            };
            if let Err(failure) = ended {
                let configuration = account.id;
                tracing::warn!(%configuration, call = id.0, %failure, "a call was not ended");
            }
        });
    }

    /// A call is over and its record complete. Its flow may have something to do yet.
    pub(in crate::calls::control) fn carrier_closed(
        &mut self,
        (key, call): (CallKey, Uuid),
        mut leg: CarrierLeg,
    ) {
        let (account, flow) = (Arc::clone(&leg.account), leg.flow.take());
        if let Some(connection) = leg.connection {
            self.hearing.by_connection.remove(&connection);
        }
        if let Some(carrier_id) = leg.id.clone() {
            let known = (account.id, carrier_id);
            self.by_carrier.remove(&known);
            self.past.over.insert(known);
        }
        let is_due = flow.as_ref().is_some_and(|flow| flow.deadline().is_some());
        if let Some(flow) = flow.filter(|_| account.spec.events.is_some() || is_due) {
            self.hearing.linger((key, Some(call)), leg.id, account, flow);
            self.lingers_on(key);
        }
    }
}
