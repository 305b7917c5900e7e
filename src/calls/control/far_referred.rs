//! The telephone at the agent's end asks us to call somebody in its place (REFER). It may what the
//! peer of a call may (`referred`), and goes no further; the caller's leg stays as it is.

use std::net::IpAddr;
use std::sync::Arc;

use super::Control;
use super::referred::{
    BUSY, FORBIDDEN, HOPS_MAX, Refusal, invite_headers, leads_to, may_refer, srtp_policy,
};
use super::sip::log_refused;
use super::transferring::is_talking;
use crate::calls::cause::Cause;
use crate::calls::far::{Dial, Referral, Seat};
use crate::calls::log::Asked;
use crate::calls::transfer::{Accept, Kind, Plan, State, Stay};
use crate::calls::underway::With;
use crate::directory::{Caller, Snapshot, Trunk};
use crate::quota::Permit;
use crate::sip::core::endpoint::DialogId;
use crate::sip::core::message::Message;
use crate::workers::command::CallKey;
use crate::workers::poller::now;

impl Control {
    /// The leg of `dialog` asks for a transfer.
    pub(super) fn far_referred(
        &mut self,
        key: CallKey,
        seat: Seat,
        dialog: DialogId,
        request: &Message,
    ) {
        let begun = match seat {
            Seat::There => self.try_far_refer(key, dialog, request),
            // Whoever does not have the call cannot give it away.
            Seat::Coming | Seat::Third => Err(FORBIDDEN),
        };
        if let Err(Refusal(status, reason)) = begun {
            tracing::info!(status, "transfer by the telephone refused");
            log_refused(self.endpoint.reject_refer(now(), dialog, status, reason).err());
        }
    }

    fn try_far_refer(
        &mut self,
        key: CallKey,
        dialog: DialogId,
        request: &Message,
    ) -> Result<(), Refusal> {
        let call = self.calls.get(&key).filter(|call| is_talking(call)).ok_or(FORBIDDEN)?;
        if call.transfer.is_some() || call.takeover.is_some() || call.third.is_some() {
            return Err(Refusal(491, "Request Pending"));
        }
        let far = call.far.as_ref().ok_or(FORBIDDEN)?;
        let leg = far.leg.as_ref().filter(|leg| leg.up).ok_or(FORBIDDEN)?;
        let (refer_to, address) = leads_to(request)?;
        let snapshot = self.directory.load();
        let own = call.agent.organisation;
        let (trunk, to, at) = (far.trunk.clone(), far.dial.to.clone(), leg.signalling);
        let left = call.max_forwards.unwrap_or(HOPS_MAX).saturating_sub(1);
        let caller = self.far_party(&snapshot, trunk.as_ref(), &to, at).ok_or(FORBIDDEN)?;
        if matches!(&caller, Caller::Trunk(trunk) if trunk.organisation != own) {
            return Err(FORBIDDEN);
        }
        let is_colleague = own == snapshot.organisation
            && self.our_user(&refer_to.uri).is_some()
            && matches!(&caller, Caller::User(user) if user.refer);
        if !is_colleague && !may_refer(&snapshot, &caller, at, address) {
            return Err(FORBIDDEN);
        }
        let outward = self.outward_of_referred(&caller);
        if !outward.admits("", address) {
            return Err(FORBIDDEN);
        }
        let through = match &caller {
            Caller::Trunk(trunk) => Some(&***trunk),
            Caller::User(_) | Caller::Local => None,
        };
        self.judge(&refer_to.uri, through).map_err(|_| FORBIDDEN)?;
        // A transfer that leads back to us, by way of others, ends like any other loop.
        if left == 0 {
            return Err(Refusal(483, "Too Many Hops"));
        }
        if self.draining {
            return Err(BUSY);
        }
        let bounds = self.leg_bounds(own, through, None);
        let mut place = self.take_leg(bounds).map_err(|_| BUSY)?;
        place.prepay(self.referred_credit(&snapshot, own, (&refer_to, through), None)?);
        let headers = invite_headers(&refer_to, request, &caller);
        let referral = Referral { headers, outward, srtp: srtp_policy(&caller) };
        let dial = Dial {
            to: refer_to.uri,
            trunk: None,
            from: None,
            early_media: false,
            referral: Some(Box::new(referral)),
        };
        if let Some(call) = self.calls.get_mut(&key) {
            call.max_forwards = Some(left);
        }
        log_refused(self.endpoint.accept_refer(now(), dialog).err());
        self.begin_referred(key, dialog, dial, place);
        Ok(())
    }

    fn begin_referred(&mut self, key: CallKey, referrer: DialogId, dial: Dial, place: Permit) {
        let limit = self.config.limits.ring;
        let (accept, holds, by_carrier) = (Accept::default(), false, false);
        let stay = Stay::No;
        let plan = Plan { kind: Kind::Bridge, limit, accept, holds, by_carrier, stay };
        let asked = Asked {
            kind: plan.kind.as_str().to_owned(),
            destination: dial.to.clone(),
            other_call: None,
            options: std::collections::BTreeMap::new(),
        };
        let (referrer, place) = (Some(referrer), Some(place));
        let with = With { referrer, place, ..With::default() };
        self.begin_transfer(key, plan, asked, with);
        self.dial_for_transfer(key, dial);
        self.reschedule(key);
    }

    /// Who a telephone is that was called as `to` and talks from `at`: the trunk that it was called
    /// through, our user, else whoever the address tells.
    fn far_party<'c>(
        &self,
        snapshot: &'c Snapshot,
        own: Option<&'c Arc<Trunk>>,
        to: &str,
        at: IpAddr,
    ) -> Option<Caller<'c>> {
        if let Some(trunk) = own {
            return Some(Caller::Trunk(trunk));
        }
        if let Some(user) = self.our_user(to) {
            return snapshot.users.iter().find(|known| known.name == user.name).map(Caller::User);
        }
        let trunk = snapshot.trunks.iter().find(|trunk| trunk.is_at(at)).map(Caller::Trunk);
        trunk.or_else(|| snapshot.caller(at, "", None, ""))
    }

    /// Tells the telephone that asked for a transfer how it goes.
    pub(super) fn tell_far_referrer(
        &mut self,
        key: CallKey,
        state: State,
        cause: Option<&'static str>,
    ) {
        let transfer = self.calls.get(&key).and_then(|call| call.transfer.as_ref());
        let Some(referrer) = transfer.and_then(|underway| underway.with.referrer) else { return };
        let (status, reason) = match state {
            State::Requested | State::Dialling | State::Answered | State::Accepted => return,
            State::Ringing => (180, "Ringing"),
            State::Bridged | State::Left => (200, "OK"),
            State::Failed | State::Cancelled => {
                let cause = cause.and_then(Cause::from_word).unwrap_or(Cause::Cancelled);
                cause.sip_status()
            }
        };
        let last = state.is_over();
        log_refused(self.endpoint.notify(now(), referrer, status, reason, last).err());
    }
}
