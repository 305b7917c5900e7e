//! What calls cost, and what they hold of the money that their organisation may spend.

use std::time::Duration;

use media::time::MonoTime;
use uuid::Uuid;

use super::Control;
use super::admitting::Bearing;
use crate::calls::live::LiveCall;
use crate::calls::log::What;
use crate::calls::request::{PlaceCall, RequestError};
use crate::directory::{Snapshot, Trunk};
use crate::quota::credit::{Hold, Lasts, NoCredit};
use crate::quota::destination::{Undialled, international};
use crate::quota::{Kind, Limit, Refusal};
use crate::workers::command::CallKey;
use crate::workers::poller::now;

impl Control {
    /// What a call that is placed holds until it is answered: its first increment. Nothing if the
    /// calls of its organisation are not priced, or if it goes to telephones of ours or straight to
    /// where a URI leads.
    pub(super) fn take_credit(
        &mut self,
        snapshot: &Snapshot,
        organisation: Uuid,
        wanted: &PlaceCall,
        bearing: &Bearing,
    ) -> Result<Option<Hold>, RequestError> {
        let country = match bearing {
            Bearing::Phones(_) | Bearing::Straight => return Ok(None),
            Bearing::Trunks(trunks) => trunks.first().and_then(|trunk| trunk.country.as_deref()),
            Bearing::Carriers(_) => None,
        };
        self.hold_first(snapshot, organisation, &wanted.to, country)
    }

    /// Whether a leg beside those of a call may be called through a trunk: its first increment has
    /// to be there. It is not held, as no estimate is made of what legs cost.
    pub(super) fn check_credit(
        &mut self,
        snapshot: &Snapshot,
        organisation: Uuid,
        to: &str,
        trunk: &Trunk,
    ) -> Result<(), RequestError> {
        self.hold_first(snapshot, organisation, to, trunk.country.as_deref()).map(drop)
    }

    fn hold_first(
        &mut self,
        snapshot: &Snapshot,
        organisation: Uuid,
        to: &str,
        country: Option<&str>,
    ) -> Result<Option<Hold>, RequestError> {
        let Some(cap) = snapshot.cap(organisation) else { return Ok(None) };
        let digits = international(to, country);
        let Some(rate) = snapshot.rates().find(cap.currency, digits.as_deref()) else {
            // What nobody knows the price of would get around the limit.
            return if cap.is_set() { Err(Undialled::Unpriced.into()) } else { Ok(None) };
        };
        self.credits.take(organisation, cap, rate).map(Some).map_err(|none| match none {
            NoCredit::Unknown => RequestError::Full,
            NoCredit::Spent(cap) => {
                Refusal { kind: Kind::Organisation, limit: Limit::Money, bound: cap.hundredths() }
                    .into()
            }
        })
    }

    /// Tells the log of a call what it costs.
    pub(super) fn log_rate(&mut self, key: CallKey) {
        let call = self.calls.get(&key);
        let rate = call.and_then(|call| call.permit.credit()).map(Hold::rate);
        if let Some(rate) = rate {
            self.log_fact(key, What::Rated(Box::new(rate)));
        }
    }

    /// A call was answered: from here it costs money.
    pub(super) fn begin_charging(&mut self, key: CallKey) {
        let hold = self.calls.get_mut(&key).and_then(|call| call.permit.credit_mut());
        if let Some(hold) = hold {
            hold.due = now();
            self.credit_due(key);
        }
    }

    /// What a call holds is to be renewed; if there is no more, it ends when that is used up.
    pub(super) fn credit_due(&mut self, key: CallKey) {
        let at = now();
        let Some(call) = self.calls.get_mut(&key).filter(|call| call.ended.is_none()) else {
            return;
        };
        let (organisation, answered) = (call.agent.organisation, call.call.answered_at());
        let hold = call.permit.credit_mut().filter(|hold| hold.due <= at);
        let (Some(hold), Some(answered)) = (hold, answered) else { return };
        hold.due = MonoTime::MAX;
        match self.credits.renew(organisation, hold, at.since(answered)) {
            Lasts::Always => {}
            Lasts::Until(talked) => hold.due = answered + talked,
            Lasts::End(talked) => {
                let left = (answered + talked).since(at);
                return self.shorten(key, left);
            }
        }
        self.reschedule(key);
    }

    /// A call is over: what it held goes back, but for what it cost.
    pub(super) fn settle_credit(&mut self, key: CallKey) {
        let Some(call) = self.calls.get_mut(&key) else { return };
        let Some(hold) = call.permit.take_credit() else { return };
        let (organisation, talked) = (call.agent.organisation, talked(call));
        self.credits.settle(organisation, &hold, talked);
    }
}

/// How long a call has talked that is over, as its log tells it.
fn talked(call: &LiveCall) -> Option<Duration> {
    let (_, ended) = (call.call.answered_at()?, call.ended_at?);
    Some(Duration::from_millis(call.duration_ms(ended)))
}
