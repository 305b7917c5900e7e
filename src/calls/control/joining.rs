//! Calls in which three talk: somebody joins peer and agent, and whoever leaves leaves the others
//! talking. If it is the peer that leaves, the call is over.

use super::Control;
use crate::calls::call::Input;
use crate::calls::cause::Cause;
use crate::calls::far::{Joined, Purpose, Seat};
use crate::calls::queue::Leaving;
use crate::calls::transfer::{State, TransferError};
use crate::workers::command::{CallKey, Command, GuestFrom, Steer};

impl Control {
    /// Whoever a transfer has called joins those who are there.
    pub(super) fn join_conversation(&mut self, key: CallKey) {
        let Some(call) = self.calls.get_mut(&key) else { return };
        let (worker, Some(mut far)) = (call.worker, call.coming.take()) else { return };
        let aside = std::mem::take(&mut far.aside);
        call.third = Some(far);
        self.three_talk(key);
        if aside {
            let from = GuestFrom::Aside;
            self.command(worker, Command::Guest { call: key, from });
        } else {
            self.settle_far(key, Seat::Third);
        }
        self.let_listen(key);
    }

    /// The telephone at the agent's end stays, and is joined by the agent that comes there next.
    pub(super) fn keep_far(&mut self, key: CallKey) {
        let Some(call) = self.calls.get_mut(&key) else { return };
        let (worker, Some(mut far)) = (call.worker, call.far.take()) else { return };
        far.purpose = Purpose::Transfer;
        (far.holds_peer, far.hears_nothing) = (false, false);
        call.third = Some(far);
        self.three_talk(key);
        let from = GuestFrom::Agent;
        self.command(worker, Command::Guest { call: key, from });
    }

    /// Notes that three talk because of the transfer that is under way.
    fn three_talk(&mut self, key: CallKey) {
        let Some(call) = self.calls.get_mut(&key) else { return };
        tracing::info!(parent: &call.span, "three talk");
        let listens = call.transfer.as_ref().is_some_and(|it| it.with.listens);
        call.joined = call.transfer.as_ref().map(|it| Joined { transfer: it.id, listens });
        call.call.accompany(true);
        self.mirror_hold(key);
        self.reschedule(key);
    }

    /// Whom others do not hear at the agent's end is not heard from now on.
    pub(super) fn let_listen(&mut self, key: CallKey) {
        let Some(call) = self.calls.get(&key) else { return };
        if call.joined.is_some_and(|joined| joined.listens) {
            let steer = Steer::Mute(true);
            self.command(call.worker, Command::Steer { call: key, steer });
        }
    }

    /// Whoever is at the agent's end leaves the two others talking.
    pub(super) fn leave_conversation(&mut self, key: CallKey) -> Result<(), TransferError> {
        let call = self.calls.get(&key).filter(|call| call.ended.is_none());
        if call.is_none_or(|call| call.third.is_none()) {
            return Err(TransferError::NothingToLeave);
        }
        self.leaves_queue(key, Leaving::Elsewhere);
        self.drop_far(key, Seat::There, Cause::Transferred);
        let Some(call) = self.calls.get_mut(&key) else { return Ok(()) };
        tracing::info!(parent: &call.span, "two are left of three");
        call.far = call.third.take();
        (call.joined, call.sounding) = (None, None);
        (call.slot, call.awaits, call.attempt) = (None, None, 0);
        call.call.accompany(false);
        let worker = call.worker;
        self.command(worker, Command::Withdraw { call: key });
        // A peer on hold would hear nothing of its partner.
        drop(self.hold(key, false));
        self.mirror_hold(key);
        // If the agent was being reached for again, nobody waits for it any more.
        self.tell(key, Input::AgentReady);
        Ok(())
    }

    /// Hangs up on whoever has joined: peer and agent are alone again. False if nobody has.
    pub(super) fn part(&mut self, key: CallKey, cause: Cause, told: &'static str) -> bool {
        let joined = self.calls.get(&key).is_some_and(|call| call.third.is_some());
        if joined {
            self.drop_far(key, Seat::Third, cause);
            self.third_left(key, told);
        }
        joined
    }

    /// Whoever had joined is gone: peer and agent are alone again.
    pub(super) fn third_left(&mut self, key: CallKey, cause: &'static str) {
        let Some(call) = self.calls.get_mut(&key) else { return };
        let (worker, joined) = (call.worker, call.joined.take());
        call.call.accompany(false);
        self.command(worker, Command::DropGuest { call: key });
        if joined.is_some_and(|joined| joined.listens) {
            // Nobody else is left to talk with the peer.
            let steer = Steer::Mute(false);
            self.command(worker, Command::Steer { call: key, steer });
        }
        let transfer = joined.map(|joined| joined.transfer);
        self.tell_transfer(key, transfer, State::Left, Some(cause));
        self.mirror_hold(key);
        self.reschedule(key);
    }
}
