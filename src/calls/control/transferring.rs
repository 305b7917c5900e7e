//! Transfers that we ask the peer for: the REFER, what the peer says about it, and what follows.

use adapters::agent::EndedBy;

use super::Control;
use crate::calls::call::Input;
use crate::calls::cause::Cause;
use crate::calls::log::What;
use crate::calls::transfer::{self, Destination, Effect, Transfer, TransferError, Wish};
use crate::sip::core::endpoint::{CommandError, DialogId};
use crate::sip::core::refer_to;
use crate::sip::core::uri::Uri;
use crate::workers::command::{CallKey, Command};
use crate::workers::poller::now;

impl Control {
    /// Asks the peer of a call to call somebody else.
    pub(super) fn transfer(&mut self, key: CallKey, wish: &Wish) -> Result<(), TransferError> {
        if let Destination::Bridge(bridge) = &wish.to {
            return self.bridge(key, bridge);
        }
        let call = self.calls.get(&key).ok_or(TransferError::NotAnswered)?;
        let answered = call.ended.is_none() && call.call.answered_at().is_some();
        let dialog = call.dialog.filter(|_| answered).ok_or(TransferError::NotAnswered)?;
        let called = call.far.as_ref().is_some_and(|far| !far.is_up());
        if call.transfer.is_some() || call.takeover.is_some() || called {
            return Err(TransferError::Busy);
        }
        if let Destination::Uri(to) | Destination::User(to) = &wish.to {
            self.judge(to, call.trunk.as_deref())?;
        }
        self.may_add(key, &wish.headers).map_err(TransferError::Headers)?;
        let refer_to = self.refer_to(key, dialog, &wish.to)?;
        let added = wish.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let added: Vec<_> = added.collect();
        match self.endpoint.refer(now(), dialog, &refer_to, &added) {
            Ok(()) => {}
            Err(CommandError::Busy) => return Err(TransferError::Busy),
            Err(CommandError::Build(_) | CommandError::Address) => {
                return Err(TransferError::Destination);
            }
            Err(CommandError::NoSuchCall | CommandError::State) => {
                return Err(TransferError::NotAnswered);
            }
            Err(_) => return Err(TransferError::Full),
        }
        let mut effects = Vec::new();
        let transfer = Transfer::start(now(), wish.limit, &mut effects);
        if let Some(call) = self.calls.get_mut(&key) {
            call.transfer = Some(transfer);
        }
        self.transfer_effects(key, effects);
        Ok(())
    }

    /// The value of Refer-To.
    fn refer_to(
        &self,
        key: CallKey,
        dialog: DialogId,
        to: &Destination,
    ) -> Result<String, TransferError> {
        match to {
            Destination::Uri(uri) => Ok(format!("<{uri}>")),
            Destination::User(user) => {
                // Whoever has the call knows best where its numbers are.
                let target = self.endpoint.target(dialog).ok_or(TransferError::NotAnswered)?;
                let target = Uri::parse(target).map_err(|_| TransferError::Destination)?;
                let host = target.host.ok_or(TransferError::Destination)?;
                let port = target.port.map(|port| format!(":{port}")).unwrap_or_default();
                Ok(format!("<sip:{user}@{host}{port}>"))
            }
            Destination::Bridge(_) => Err(TransferError::Destination),
            Destination::Call(id) => {
                let ours = self.calls.get(&key).map(|call| call.agent.organisation);
                let other = self.by_id.get(id).filter(|other| **other != key);
                let other = other.and_then(|other| self.calls.get(other));
                // Another organisation's call is none: not even that it is there is told.
                let other = other.filter(|other| Some(other.agent.organisation) == ours);
                let other = other.ok_or(TransferError::CallId)?;
                let other = other.dialog.ok_or(TransferError::NotAnswered)?;
                let (target, replaces) =
                    self.endpoint.replacement(other).ok_or(TransferError::NotAnswered)?;
                Ok(format!("<{target}?Replaces={}>", refer_to::escape(&replaces)))
            }
        }
    }

    /// The peer said something about its transfer.
    pub(super) fn transfer_news(&mut self, dialog: DialogId, input: transfer::Input) {
        if let Some(key) = self.by_dialog.get(&dialog).copied() {
            self.transfer_input(key, input);
        }
    }

    /// Tells a call's transfer a fact and does what follows.
    pub(super) fn transfer_input(&mut self, key: CallKey, input: transfer::Input) {
        let Some(call) = self.calls.get_mut(&key) else { return };
        let Some(transfer) = call.transfer.as_mut() else { return };
        let mut effects = Vec::new();
        transfer.handle(now(), input, &mut effects);
        self.transfer_effects(key, effects);
    }

    fn transfer_effects(&mut self, key: CallKey, effects: Vec<Effect>) {
        for effect in effects {
            let Some(call) = self.calls.get_mut(&key) else { return };
            match effect {
                Effect::Tell(state, cause) => self.tell_transfer(key, state, cause),
                Effect::Release => {
                    self.tell_later(key, Input::End(Cause::Transferred, EndedBy::Agent));
                }
                Effect::Forget => {
                    call.transfer = None;
                    if let Some(dialog) = call.dialog {
                        self.endpoint.forget_refer(dialog);
                    }
                }
            }
        }
        self.reschedule(key);
    }

    /// Tells the agent how far a transfer is.
    pub(super) fn tell_transfer(
        &mut self,
        key: CallKey,
        state: &'static str,
        cause: Option<&'static str>,
    ) {
        let Some(call) = self.calls.get(&key) else { return };
        tracing::info!(parent: &call.span, state, cause, "transfer");
        self.command(call.worker, Command::Transfer { call: key, state, cause });
        let (state, cause) = (state.to_owned(), cause.map(str::to_owned));
        self.log_fact(key, What::Transfer { state, cause });
    }

    /// The agent asks for a transfer; what is wrong with it is told as its failure.
    pub(super) fn agent_transfers(&mut self, key: CallKey, wish: Result<Wish, TransferError>) {
        if let Err(error) = wish.and_then(|wish| self.transfer(key, &wish)) {
            self.tell_transfer(key, "failed", Some(error.as_str()));
        }
    }
}
