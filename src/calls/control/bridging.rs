//! Transfers that we carry out ourselves: somebody is called while the agent still talks, and takes
//! its place. Nothing is asked of the peer, which may not even know transfers.

use std::sync::Arc;

use super::Control;
use crate::calls::call::Input;
use crate::calls::cause::Cause;
use crate::calls::far::{Dial, Purpose, Seat};
use crate::calls::live::LiveCall;
use crate::calls::transfer::{self, LegWish, TransferError};
use crate::directory::Trunk;
use crate::quota::Permit;
use crate::sip::core::uri::{Scheme, Uri};
use crate::workers::command::{CallKey, Command};

impl Control {
    /// Whom to call for a transfer, if that may be, and the places of that leg.
    pub(super) fn leg_for(
        &mut self,
        key: CallKey,
        leg: LegWish,
    ) -> Result<(Dial, Permit), TransferError> {
        if self.draining {
            return Err(TransferError::Full);
        }
        let call = self.calls.get(&key).ok_or(TransferError::NotAnswered)?;
        let trunk = self.trunk_for(&leg, call)?;
        let (organisation, snapshot) = (call.agent.organisation, self.directory.load());
        let from = leg.from.as_deref().unwrap_or(&call.from);
        let through = trunk.as_deref().and_then(|name| snapshot.trunk(organisation, name));
        let bounds = self.leg_bounds(organisation, through.map(|trunk| &**trunk), Some(from));
        let place = self.take_leg(bounds)?;
        let LegWish { to, from, .. } = leg;
        Ok((Dial { to, trunk, from, early_media: false, referral: None }, place))
    }

    /// Calls somebody for a transfer, which sees to how long that may take.
    pub(super) fn dial_for_transfer(&mut self, key: CallKey, dial: Dial) {
        let underway = self.calls.get_mut(&key).and_then(|call| call.transfer.as_mut());
        let place = underway.and_then(|underway| underway.with.place.take());
        self.dial_far(key, Seat::Coming, dial, place);
    }

    /// The trunk that a destination is called through: the one that is named; none for a user of
    /// ours and for a URI; else, for a number, that of the call itself, or the first that the
    /// organisation calls through.
    fn trunk_for(&self, leg: &LegWish, call: &LiveCall) -> Result<Option<String>, TransferError> {
        let snapshot = self.directory.load();
        let organisation = call.agent.organisation;
        let places = |name: &str| {
            let trunk = snapshot.trunk(organisation, name);
            trunk.is_some_and(|trunk| !trunk.outbound.targets.is_empty())
        };
        if let Some(name) = &leg.trunk {
            return if places(name) { Ok(Some(name.clone())) } else { Err(TransferError::Trunk) };
        }
        if organisation == snapshot.organisation && self.our_user(&leg.to).is_some() {
            return Ok(None);
        }
        if let Ok(uri) = Uri::parse(&leg.to) {
            let called = matches!(uri.scheme, Scheme::Sip | Scheme::Sips);
            return if called { Ok(None) } else { Err(TransferError::Destination) };
        }
        // By id: trunks within configurations may have the same name.
        let id = |trunk: &Arc<Trunk>| trunk.id.to_string();
        let own = call.trunk.as_ref().map(id);
        let usual = || snapshot.outbound(organisation, |_| None).first().map(id);
        own.filter(|name| places(name)).or_else(usual).map(Some).ok_or(TransferError::Trunk)
    }

    /// The leg that was called talks with the peer from now on, and whoever was there is released:
    /// an agent, or the telephone that the call was handed to before.
    pub(super) fn take_agents_place(&mut self, key: CallKey) {
        self.seat_coming(key, Purpose::Transfer);
        let Some(call) = self.calls.get_mut(&key) else { return };
        tracing::info!(parent: &call.span, "another leg takes the agent's place");
        (call.slot, call.awaits, call.attempt) = (None, None, 0);
        // If the agent was being reached for again, nobody waits for it any more.
        self.tell(key, Input::AgentReady);
    }

    /// Puts the leg that a transfer has called at the agent's end; a telephone that was there is
    /// hung up.
    pub(super) fn seat_coming(&mut self, key: CallKey, purpose: Purpose) {
        self.drop_far(key, Seat::There, Cause::Transferred);
        // A peer on hold would hear nothing of its new partner.
        drop(self.hold(key, false));
        let Some(call) = self.calls.get_mut(&key) else { return };
        let Some(mut far) = call.coming.take() else { return };
        far.purpose = purpose;
        let aside = std::mem::take(&mut far.aside);
        call.far = Some(far);
        call.sounding = None;
        let worker = call.worker;
        if aside {
            self.command(worker, Command::JoinAside { call: key });
            self.mirror_hold(key);
        } else {
            self.settle_far(key, Seat::There);
        }
    }

    /// True if the agent has handed the call to somebody else, and is not part of it any more.
    pub(super) fn is_handed_over(&self, key: CallKey) -> bool {
        let far = self.far_of(key, Seat::There);
        far.is_some_and(|far| far.purpose == Purpose::Transfer)
    }

    /// The telephone at the agent's end has hung up. True if somebody is on the way there: the
    /// caller waits, and hears that the line is open.
    pub(super) fn is_left(&mut self, key: CallKey) -> bool {
        let Some(call) = self.calls.get_mut(&key) else { return false };
        let Some(underway) = call.transfer.as_mut() else { return false };
        if !underway.transfer.is_awaited() {
            return false;
        }
        underway.with.referrer = None;
        tracing::info!(parent: &call.span, "the telephone left; the caller waits for the next");
        let on_hold = call.hold.is_on();
        self.comfort(key);
        if on_hold {
            self.hold_sound(key);
        }
        self.transfer_input(key, transfer::Input::Left);
        true
    }
}
