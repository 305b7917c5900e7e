//! Callers that come back from a transfer that came to nothing, and legs that were called for one.
//!
//! What a carrier was asked for last may be carried out after the transfer was given up: it joins a
//! caller with nobody, or calls somebody for whom nobody waits. So the caller is taken back, or its
//! call ends, and such a leg is let go as soon as it shows itself, be it after the call.

use std::sync::Arc;
use std::time::Duration;

use adapters::agent::EndedBy;
use adapters::event::{CarrierCallId, TransferOf, TransferState};
use adapters::exchange::CarrierError;
use adapters::flow::{FlowCommand, FlowInput};
use adapters::hook::Take;
use adapters::op::TakeBack;
use uuid::Uuid;

use super::{Control, SOCKET_MS};
use crate::calls::call::Input as CallInput;
use crate::calls::carrier::Astray;
use crate::calls::cause::Cause;
use crate::calls::request::{HandedOver, HandingStep, Request};
use crate::carrier::{Account, Failure, Patience};
use crate::workers::command::CallKey;
use crate::workers::poller::now;

/// How long after a transfer was given up the end of its caller's stream means that the carrier has
/// joined it with nobody, in milliseconds: longer than it is asked for.
const ASTRAY_MS: u64 = 30_000;

impl Control {
    /// A transfer is given up: whoever the carrier has called apart is let go. If the carrier has
    /// been asked to join the two, the caller may yet be sent to where nobody is; not so where its
    /// flow joins them, which keeps the caller.
    pub(in crate::calls::control) fn drop_at_carrier(&mut self, key: CallKey) {
        let Some(call) = self.calls.get_mut(&key) else { return };
        let Some(underway) = call.transfer.as_mut() else { return };
        let (Some(leg), Some(at_carrier)) =
            (call.carrier.as_mut(), underway.with.at_carrier.as_mut())
        else {
            return;
        };
        let (transfer, called) = (underway.id, at_carrier.leg.take());
        let keeps = leg.account.spec.events.is_some() && leg.flow.is_some();
        if at_carrier.joins && !keeps {
            let until = now() + Duration::from_millis(ASTRAY_MS);
            leg.astray = Some(Astray { transfer, until });
        }
        let account = Arc::clone(&leg.account);
        self.past.given_up.insert(transfer);
        if keeps {
            let keep = FlowCommand::Keep(transfer.to_string());
            self.flow_input(key, FlowInput::Command(keep));
        }
        if let Some(called) = called {
            self.let_go(&account, called);
        }
    }

    /// Ends a leg that was called for a transfer which came to nothing, once.
    fn let_go(&mut self, account: &Arc<Account>, leg: CarrierCallId) {
        let known = (account.id, leg);
        if !self.past.over.contains(&known) {
            self.past.over.insert(known.clone());
            self.hang_up_at(account, known.1);
        }
    }

    /// A carrier tells of a transfer. If it has been given up, whoever is still called for it is
    /// let go, be the call over or not.
    pub(super) fn stray_leg(
        &mut self,
        account: &Arc<Account>,
        state: TransferState,
        of: &TransferOf,
    ) {
        let up = matches!(state, TransferState::Trying | TransferState::Answered);
        if let (true, Some(leg), Some(id)) = (up, &of.leg, transfer_id(of))
            && self.past.given_up.contains(&id)
        {
            self.let_go(account, leg.clone());
        }
    }

    /// A carrier has answered a request for a transfer that is over.
    pub(super) fn handed_late(&mut self, handed: HandedOver) {
        let HandedOver { call: key, transfer, account, step } = handed;
        match step {
            // Unless it went faster than its answer, and was joined.
            HandingStep::Begin(Ok(Some(leg))) if self.past.given_up.contains(&transfer) => {
                self.let_go(&account, leg);
            }
            HandingStep::Join(Ok(())) => self.went_astray(key, transfer),
            HandingStep::Join(Err(failure)) if !failure.perhaps_done => {
                let leg = self.calls.get_mut(&key).and_then(|call| call.carrier.as_mut());
                if let Some(leg) = leg {
                    leg.astray.take_if(|astray| astray.transfer == transfer);
                }
            }
            HandingStep::Begin(_) | HandingStep::Join(_) | HandingStep::Back(_) => {}
        }
    }

    /// A caller was joined with nobody, for this transfer.
    pub(super) fn went_astray(&mut self, key: CallKey, transfer: Uuid) {
        let leg = self.calls.get(&key).and_then(|call| call.carrier.as_ref());
        let astray = leg.and_then(|leg| leg.astray);
        if astray.is_some_and(|astray| astray.transfer == transfer) {
            self.bring_back(key);
        }
    }

    /// Whether a caller whose stream has ended just now is about to be joined with nobody. If so it
    /// is taken back.
    pub(super) fn strays(&mut self, key: CallKey) -> bool {
        let leg = self.calls.get(&key).and_then(|call| call.carrier.as_ref());
        let astray = leg.and_then(|leg| leg.astray);
        let strays = astray.is_some_and(|astray| now() < astray.until);
        if strays {
            self.bring_back(key);
        }
        strays
    }

    /// Takes a caller back whom the carrier has sent to where nobody is; ends the call if the
    /// carrier has no way for that.
    fn bring_back(&mut self, key: CallKey) {
        let Some(call) = self.calls.get_mut(&key).filter(|call| call.ended.is_none()) else {
            return;
        };
        let span = &call.span;
        let Some(leg) = call.carrier.as_mut().filter(|leg| !leg.is_over) else { return };
        tracing::warn!(parent: span, "the carrier has joined the caller with nobody");
        (leg.astray, leg.is_streaming) = (None, false);
        let (account, id) = (Arc::clone(&leg.account), leg.id.clone());
        let (Some(take_back), Some(id)) = (account.spec.calls.take_back, id) else {
            return self.give_up_caller(key);
        };
        self.await_return(key);
        let Some(call) = self.calls.get(&key) else { return };
        let Some(leg) = call.carrier.as_ref() else { return };
        let hooks = account.hooks(&self.base_url).of_call(&call.id.to_string());
        let back = TakeBack { call: id, take: Take { stream_url: leg.stream_url.clone(), hooks } };
        let (exchanges, handle) = (self.exchanges.clone(), self.handle.clone());
        self.io.spawn(async move {
            let result = match take_back(&account.config, &back) {
                Ok(op) => exchanges.run(&account, "take_back", op, Patience::SHORT).await,
                Err(error) => Err(error.into()),
            };
            let step = HandingStep::Back(result);
            let handed = HandedOver { call: key, transfer: Uuid::nil(), account, step };
            handle.send(Request::HandedOver(Box::new(handed))).await;
        });
    }

    /// The carrier was asked to send a caller to us again. Its audio is waited for.
    pub(super) fn taken_back(&mut self, key: CallKey, result: Result<(), Failure>) {
        let Err(failure) = result else { return };
        let Some(call) = self.calls.get_mut(&key).filter(|call| call.ended.is_none()) else {
            return;
        };
        tracing::warn!(parent: &call.span, %failure, "the caller does not come back");
        let Some(leg) = call.carrier.as_mut().filter(|leg| !leg.is_streaming) else { return };
        if failure.error == CarrierError::CallOver {
            leg.is_over = true;
            return self.tell(key, CallInput::PeerEnded(Cause::Normal));
        }
        if !failure.perhaps_done {
            self.give_up_caller(key);
        }
    }

    /// Ends the call of a caller who hears nobody and cannot be taken back.
    fn give_up_caller(&mut self, key: CallKey) {
        self.end_at_carrier(key);
        self.tell(key, CallInput::End(Cause::NetworkFailure, EndedBy::Carrier));
    }

    /// The caller is about to come back from a transfer that failed.
    pub(in crate::calls::control) fn caller_returns(&mut self, key: CallKey) {
        let leg = self.calls.get(&key).and_then(|call| call.carrier.as_ref());
        let joins = leg.is_some_and(|leg| leg.account.spec.events.is_some());
        match leg.and_then(|leg| leg.astray) {
            // Nobody but we sends it back.
            Some(_) => self.bring_back(key),
            // It has never left the bridge; its audio comes the way that its flow knows.
            None if joins => self.await_socket(key),
            None => self.await_return(key),
        }
    }

    /// The audio of a caller who comes back comes by a socket that has yet to be opened.
    pub(super) fn await_return(&mut self, key: CallKey) {
        let within = Duration::from_millis(SOCKET_MS);
        let Some(call) = self.calls.get_mut(&key) else { return };
        let (Some(leg), Some(line)) = (call.carrier.as_mut(), call.carried.as_mut()) else {
            return;
        };
        // What the socket before has yet to tell is no news.
        leg.expects_stop = true;
        if let Some(token) = Self::media_token(leg.account.spec.name, within) {
            leg.stream_url = token.url(&self.public_url, call.id);
            line.token = token;
        }
        self.await_socket(key);
    }
}

/// The transfer that a fact is about, if it is one of ours.
pub(super) fn transfer_id(of: &TransferOf) -> Option<Uuid> {
    of.id.as_deref().and_then(|id| id.parse().ok())
}
