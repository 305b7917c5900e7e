//! The call is handed to somebody whom Asterisk calls: once they answered they are put into the
//! peer's bridge, and our audio is taken out of it.

use media::time::MonoTime;

use super::super::calls::{hangup_request, join_request};
use super::super::events::{Channel, What};
use super::super::names::Role;
use super::things::Thing;
use super::{Flow, Kind};
use crate::event::{CallFact, TransferOf, TransferState};

/// Who is to take the call over.
#[derive(Debug)]
pub(super) struct Target {
    pub(super) thing: Thing,
    role: Role,
    /// They have answered.
    entered: bool,
    joining: bool,
}

impl Flow {
    fn tell_transfer(&mut self, state: TransferState) {
        self.tell(None, CallFact::Transfer { state, of: TransferOf::default() });
    }

    /// Something happened to the leg of whoever is called.
    pub(super) fn of_target(&mut self, now: MonoTime, role: Role, channel: &Channel, what: &What) {
        let known = self.target.as_ref().is_some_and(|target| target.thing.name == channel.id);
        if !known {
            if matches!(what, What::Destroyed { .. }) || self.ending || self.handed_over {
                return;
            }
            let thing = Thing::there(channel.id.clone());
            self.target = Some(Target { thing, role, entered: false, joining: false });
            self.tell_transfer(TransferState::Trying);
        }
        match what {
            What::Entered(_) => {
                let entered = self.target.as_mut().map(|target| &mut target.entered);
                if entered.is_some_and(|entered| !std::mem::replace(entered, true)) {
                    self.tell_transfer(TransferState::Answered);
                }
            }
            What::Joined => self.hand_over(),
            What::Destroyed { .. } => self.target_gone(now),
            _ => {}
        }
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

    /// Peer and destination hear each other.
    pub(super) fn hand_over(&mut self) {
        if !self.ending && !std::mem::replace(&mut self.handed_over, true) {
            self.due = None;
            self.tell_transfer(TransferState::Done);
        }
    }

    /// Whoever was called is gone: before the answer nothing came of it, after it the call is over.
    pub(super) fn target_gone(&mut self, now: MonoTime) {
        if let Some(target) = &mut self.target {
            target.thing.gone();
        }
        if self.handed_over {
            return self.end_with(now, "normal");
        }
        if self.target.take().is_some() && !self.ending {
            self.tell_transfer(TransferState::Failed);
        }
    }

    /// They answered, and cannot be joined.
    pub(super) fn target_failed(&mut self, now: MonoTime) {
        if let Some(target) = &self.target {
            let request = hangup_request(&self.config, &target.thing.name, "normal");
            self.send(now, Kind::Other, request);
        }
        self.target_gone(now);
    }
}
