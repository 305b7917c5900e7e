//! Transfers that we carry out ourselves: somebody is called while the agent still talks, and takes
//! its place on answering. Nothing is asked of the peer, which may not even know transfers.

use super::Control;
use crate::calls::call::Input;
use crate::calls::far::{Dial, Purpose};
use crate::calls::live::LiveCall;
use crate::calls::transfer::{Bridge, TransferError};
use crate::quota;
use crate::sip::core::uri::{Scheme, Uri};
use crate::workers::command::CallKey;
use crate::workers::poller::now;

impl Control {
    /// Calls somebody who is to take the agent's place.
    pub(super) fn bridge(&mut self, key: CallKey, bridge: &Bridge) -> Result<(), TransferError> {
        let call = self.calls.get(&key).ok_or(TransferError::NotAnswered)?;
        if call.ended.is_some() || call.call.answered_at().is_none() {
            return Err(TransferError::NotAnswered);
        }
        if call.transfer.is_some() || call.takeover.is_some() || call.far.is_some() {
            return Err(TransferError::Busy);
        }
        let trunk = self.trunk_for(bridge, call)?;
        if self.draining || self.take_rate(quota::Way::Out).is_err() {
            return Err(TransferError::Full);
        }
        self.tell_transfer(key, "requested", None);
        let dial =
            Dial { to: bridge.to.clone(), trunk, from: bridge.from.clone(), early_media: false };
        self.dial_far(key, Purpose::Transfer, dial, now() + bridge.limit);
        Ok(())
    }

    /// The trunk that a destination is called through: the one that is named; none for a user of
    /// ours and for a URI; else, for a number, that of the call itself.
    fn trunk_for(&self, bridge: &Bridge, call: &LiveCall) -> Result<Option<String>, TransferError> {
        let snapshot = self.directory.load();
        let places = |name: &str| {
            let trunk = snapshot.trunk(call.agent.organisation, name);
            trunk.is_some_and(|trunk| !trunk.outbound.targets.is_empty())
        };
        if let Some(name) = &bridge.trunk {
            return if places(name) { Ok(Some(name.clone())) } else { Err(TransferError::Trunk) };
        }
        let own = call.agent.organisation == snapshot.organisation;
        if own && self.our_user(&bridge.to).is_some() {
            return Ok(None);
        }
        if let Ok(uri) = Uri::parse(&bridge.to) {
            let called = matches!(uri.scheme, Scheme::Sip | Scheme::Sips);
            return if called { Ok(None) } else { Err(TransferError::Destination) };
        }
        let own = call.trunk.as_ref().map(|trunk| trunk.name.clone());
        own.filter(|name| places(name)).map(Some).ok_or(TransferError::Trunk)
    }

    /// The leg has answered: it talks with the peer from now on, and the agent is released.
    pub(super) fn take_agents_place(&mut self, key: CallKey) {
        self.tell_transfer(key, "answered", None);
        // A peer on hold would hear nothing of its new partner.
        drop(self.hold(key, false));
        if let Some(call) = self.calls.get_mut(&key) {
            tracing::info!(parent: &call.span, "another leg takes the agent's place");
            (call.slot, call.awaits, call.attempt) = (None, None, 0);
        }
        self.settle_far(key);
        // If the agent was being reached for again, nobody waits for it any more.
        self.tell(key, Input::AgentReady);
    }
}
