//! The call is handed to somebody whom Asterisk calls: once they answered they are put into the
//! peer's bridge, and our audio is taken out of it.

use media::time::MonoTime;

use super::super::calls::{hangup_request, join_request};
use super::super::causes::Ending;
use super::super::events::{Channel, What};
use super::super::names::{self, Role};
use super::things::Thing;
use super::{Flow, Kind};
use crate::event::{CallFact, CarrierCallId, HangupCause, TransferOf, TransferState};

/// Most legs that are remembered because nobody wants them any more.
const STRAYS_MAX: usize = 16;

/// Who is to take the call over.
#[derive(Debug)]
pub(super) struct Target {
    pub(super) thing: Thing,
    role: Role,
    /// Our id of the transfer.
    transfer: Option<String>,
    /// They have answered.
    entered: bool,
    joining: bool,
    /// The last word of `Dial`.
    dialled: String,
    /// It is a channel by which Asterisk has called somebody else, for the one before.
    pub(super) stands_in: bool,
}

impl Target {
    /// What tells which transfer it is of.
    fn of(&self, cause: Option<HangupCause>) -> TransferOf {
        let leg = Some(CarrierCallId(self.thing.name.clone()));
        TransferOf { id: self.transfer.clone(), leg, cause }
    }
}

impl Flow {
    fn tell_transfer(&mut self, state: TransferState) {
        let Some(target) = &self.target else { return };
        let of = target.of(None);
        self.tell(None, CallFact::Transfer { state, of });
    }

    /// Something happened to the leg of whoever is called.
    pub(super) fn of_target(&mut self, now: MonoTime, role: Role, channel: &Channel, what: &What) {
        let known = self.target.as_ref().is_some_and(|target| target.thing.name == channel.id);
        if !known && !self.meets_target(now, role, channel, what) {
            return;
        }
        match what {
            What::Entered(_) => {
                let entered = self.target.as_mut().map(|target| &mut target.entered);
                if entered.is_some_and(|entered| !std::mem::replace(entered, true)) {
                    self.tell_transfer(TransferState::Answered);
                }
            }
            What::Dial(status) => {
                if let Some(target) = &mut self.target {
                    target.dialled.clone_from(status);
                }
            }
            What::Joined => self.hand_over(),
            What::Destroyed { cause, tech_cause } => {
                let target = self.target.as_ref();
                let ending = Ending {
                    cause: *cause,
                    tech_cause: *tech_cause,
                    answered: target.is_some_and(|target| target.entered),
                    dialled: target.map_or("", |target| &target.dialled),
                    ..Ending::default()
                };
                let cause = ending.ended().cause;
                self.target_gone(now, Some(cause));
            }
            _ => {}
        }
    }

    /// A leg shows itself for the first time. False if it is none that is waited for: then it goes.
    fn meets_target(&mut self, now: MonoTime, role: Role, channel: &Channel, what: &What) -> bool {
        if matches!(what, What::Destroyed { .. }) || self.strays.contains(&channel.id) {
            return false;
        }
        let app = self.names.as_ref().map(|names| names.app()).unwrap_or_default();
        let transfer = names::transfer_of(app, &channel.id).map(str::to_owned);
        let given_up = transfer.as_ref().is_some_and(|id| self.given_up.contains(id));
        if given_up || self.ending || self.handed_over || self.target.is_some() {
            self.let_stray(now, &channel.id);
            return false;
        }
        let thing = Thing::there(channel.id.clone());
        let (entered, joining, dialled, stands_in) = (false, false, String::new(), false);
        self.target = Some(Target { thing, role, transfer, entered, joining, dialled, stands_in });
        self.tell_transfer(TransferState::Trying);
        true
    }

    /// Ends a leg that nobody waits for, once.
    pub(super) fn let_stray(&mut self, now: MonoTime, leg: &str) {
        if self.strays.len() >= STRAYS_MAX {
            self.strays.remove(0);
        }
        self.strays.push(leg.to_owned());
        let request = hangup_request(&self.config, leg, "normal");
        self.send(now, Kind::Other, request);
    }

    /// A transfer is given up: the caller stays where it is, whatever has been asked for.
    pub(super) fn keep(&mut self, now: MonoTime, transfer: String) {
        let of_it = |target: &mut Target| target.transfer.as_ref() == Some(&transfer);
        if let Some(target) = self.target.take_if(of_it) {
            if self.handed_over {
                // They talk already.
                self.target = Some(target);
                return;
            }
            self.let_stray(now, &target.thing.name);
        }
        if self.given_up.len() >= STRAYS_MAX {
            self.given_up.remove(0);
        }
        self.given_up.push(transfer);
    }

    /// Puts whoever answered into the bridge, unless that is asked for.
    pub(super) fn join_target(&mut self, now: MonoTime) {
        let bridge = self.bridge.name.clone();
        let Some(target) = &mut self.target else { return };
        if target.role == Role::BlindTarget && target.entered && !target.joining && self.joined {
            target.joining = true;
            let request = join_request(&self.config, &bridge, &target.thing.name);
            self.send(now, Kind::JoinTarget, request);
        }
    }

    /// Whether whoever is known was to be joined.
    pub(super) fn joins_target(&self) -> bool {
        self.target.as_ref().is_some_and(|target| target.joining)
    }

    /// Peer and destination hear each other, unless whoever was to be joined is gone by now.
    pub(super) fn hand_over(&mut self) {
        let there = self.target.is_some();
        if !self.ending && there && !std::mem::replace(&mut self.handed_over, true) {
            self.due = None;
            self.tell_transfer(TransferState::Done);
        }
    }

    /// Whoever was called is gone: before the answer nothing came of it, after it the call is over.
    pub(super) fn target_gone(&mut self, now: MonoTime, cause: Option<HangupCause>) {
        if let Some(target) = &mut self.target {
            target.thing.gone();
        }
        if self.handed_over {
            return self.end_with(now, "normal");
        }
        if let Some(target) = self.target.take().filter(|_| !self.ending) {
            let (state, of) = (TransferState::Failed, target.of(cause));
            self.tell(None, CallFact::Transfer { state, of });
        }
    }

    /// They answered, and cannot be joined.
    pub(super) fn target_failed(&mut self, now: MonoTime) {
        if let Some(name) = self.target.as_ref().map(|target| target.thing.name.clone()) {
            self.let_stray(now, &name);
        }
        self.target_gone(now, Some(HangupCause::Failed));
    }
}
