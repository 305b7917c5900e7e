//! What calls and their legs cost, and what they hold of the money that their organisation may
//! spend.

use std::time::Duration;

use media::time::MonoTime;
use uuid::Uuid;

use super::Control;
use super::admitting::Bearing;
use crate::calls::far::{Far, Seat};
use crate::calls::live::LiveCall;
use crate::calls::log::{Estimate, What};
use crate::calls::request::{PlaceCall, RequestError};
use crate::calls::transfer::TransferError;
use crate::directory::{Snapshot, Trunk};
use crate::quota::amount::Amount;
use crate::quota::credit::{Cap, Hold, Lasts, NoCredit};
use crate::quota::destination::{Undialled, international};
use crate::quota::rates::Rate;
use crate::quota::{Kind, Limit, Permit, Refusal};
use crate::workers::command::CallKey;
use crate::workers::poller::now;

/// A call whose leg has no more money, and that is not answered yet, is looked at again so soon.
const AGAIN: Duration = Duration::from_secs(1);

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
        let mut hold = |country| self.hold_first(snapshot, organisation, &wanted.to, country);
        match bearing {
            Bearing::Phones(_) | Bearing::Straight => Ok(None),
            // Where one has no rate, or one too high, another is tried, as it is further on.
            Bearing::Trunks(trunks) => {
                let mut held = Err(RequestError::Full);
                for trunk in trunks {
                    held = hold(trunk.country.as_deref());
                    if held.is_ok() {
                        break;
                    }
                }
                held
            }
            Bearing::Carriers(_) => hold(None),
        }
    }

    /// The same of whatever is called through a trunk of this country.
    pub(super) fn hold_first(
        &mut self,
        snapshot: &Snapshot,
        organisation: Uuid,
        to: &str,
        country: Option<&str>,
    ) -> Result<Option<Hold>, RequestError> {
        let Some((cap, rate)) = price(snapshot, organisation, to, country)? else {
            return Ok(None);
        };
        self.credits.take(organisation, &cap, rate).map(Some).map_err(|none| match none {
            NoCredit::Unknown => RequestError::Full,
            NoCredit::Spent(cap) => spent(cap).into(),
        })
    }

    /// Lets a call that is placed hold the first increment of what it costs through this trunk,
    /// whose country may make another number of what is called. What it held for another trunk goes
    /// back; what costs the same stays.
    ///
    /// # Errors
    ///
    /// If there is no rate, or not so much: it holds nothing then.
    pub(super) fn hold_through(
        &mut self,
        organisation: Uuid,
        to: &str,
        trunk: &Trunk,
        permit: &mut Permit,
    ) -> Result<(), RequestError> {
        let snapshot = self.directory.load();
        let country = trunk.country.as_deref();
        let found = price(&snapshot, organisation, to, country);
        let held = permit.credit().map(Hold::rate);
        if found.as_ref().is_ok_and(|found| found.map(|(_, rate)| rate) == held) {
            return Ok(());
        }
        permit.prepay(None);
        permit.prepay(self.hold_first(&snapshot, organisation, to, country)?);
        Ok(())
    }

    /// The same of a call that lives and goes on through another trunk; its log is told if that
    /// makes another price.
    pub(super) fn hold_again(
        &mut self,
        key: CallKey,
        to: &str,
        trunk: &Trunk,
    ) -> Result<(), RequestError> {
        let Some(call) = self.calls.get_mut(&key) else { return Err(RequestError::NoSuchCall) };
        let (organisation, mut permit) =
            (call.agent.organisation, std::mem::take(&mut call.permit));
        let before = permit.credit().map(Hold::rate);
        let held = self.hold_through(organisation, to, trunk, &mut permit);
        let after = permit.credit().map(Hold::rate);
        if let Some(call) = self.calls.get_mut(&key) {
            call.permit = permit;
        }
        let changed = after.or(before.map(|before| before.free())).filter(|_| after != before);
        if let Some(rate) = changed {
            self.log_fact(key, What::Rated(Box::new(rate)));
        }
        held
    }

    /// Whether there is enough for the first increment of a leg that a carrier calls. It is not
    /// held: carriers do not tell for how long such a leg talks.
    pub(super) fn check_credit(
        &mut self,
        organisation: Uuid,
        to: &str,
    ) -> Result<(), TransferError> {
        let snapshot = self.directory.load();
        let Some((cap, rate)) = price(&snapshot, organisation, to, None)? else { return Ok(()) };
        match self.credits.take(organisation, &cap, rate) {
            Ok(_) => Ok(()),
            Err(NoCredit::Unknown) => Err(TransferError::Full),
            Err(NoCredit::Spent(cap)) => Err(spent(cap).into()),
        }
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
            hold.begin(now());
            self.credit_due(key);
        }
    }

    /// A leg beside those of a call was answered: so does it. What it holds is due once it has its
    /// place in the call.
    pub(super) fn begin_charging_leg(&mut self, key: CallKey, seat: Seat) {
        let permit = self.far_of_mut(key, seat).and_then(|far| far.permit.as_mut());
        if let Some(hold) = permit.and_then(Permit::credit_mut) {
            hold.begin(now());
        }
    }

    /// Another leg has taken the place of a call's peer: whoever had done so before costs nothing
    /// any more, and this leg what it holds in its `place`.
    pub(super) fn begin_charging_peer(&mut self, key: CallKey, place: Option<Permit>) {
        self.settle_peer(key);
        let hold = place.and_then(|mut place| place.take_credit());
        if let (Some(mut hold), Some(call)) = (hold, self.calls.get_mut(&key)) {
            hold.begin(now());
            call.peer_hold = Some(hold);
            self.credit_due(key);
        }
    }

    /// Somebody who called in has taken the place of a call's peer: what the call itself has cost
    /// is charged as what a leg of it has, and who calls in costs nothing.
    pub(super) fn end_charging(&mut self, key: CallKey) {
        let call = self.calls.get_mut(&key);
        let Some(hold) = call.and_then(|call| call.permit.take_credit()) else { return };
        let rate = hold.rate();
        self.settle_hold(key, hold);
        self.log_fact(key, What::Rated(Box::new(rate.free())));
    }

    /// What a call and its legs hold is to be renewed; if there is no more, the call ends when that
    /// is used up.
    pub(super) fn credit_due(&mut self, key: CallKey) {
        let at = now();
        let Some(call) = self.calls.get_mut(&key).filter(|call| call.ended.is_none()) else {
            return;
        };
        let call = &mut **call;
        let (organisation, is_up) = (call.agent.organisation, call.call.answered_at().is_some());
        let legs = [&mut call.far, &mut call.coming, &mut call.third];
        let legs = legs.into_iter().flatten().filter_map(|far| far.permit.as_mut());
        let holds = std::iter::once(&mut call.permit).chain(legs);
        let (mut any, mut left) = (false, None::<Duration>);
        let holds = holds.filter_map(Permit::credit_mut).chain(&mut call.peer_hold);
        for hold in holds.filter(|hold| hold.due <= at) {
            let Some(since) = hold.since() else { continue };
            (any, hold.due) = (true, MonoTime::MAX);
            match self.credits.renew(organisation, hold, at.since(since)) {
                Lasts::Always => {}
                Lasts::Until(talked) => hold.due = since + talked,
                // What is not up cannot be ended so.
                Lasts::End(_) if !is_up => hold.due = at + AGAIN,
                Lasts::End(talked) => {
                    let end = (since + talked).since(at);
                    left = Some(left.map_or(end, |left| left.min(end)));
                }
            }
        }
        match left {
            Some(left) => self.shorten(key, left),
            None if any => self.reschedule(key),
            None => {}
        }
    }

    /// A leg beside those of a call is over. What it cost is held until the call is over, as the
    /// log adds it to the call's.
    pub(super) fn settle_leg(&mut self, key: CallKey, far: &mut Far) {
        if let Some(hold) = far.permit.as_mut().and_then(Permit::take_credit) {
            self.settle_hold(key, hold);
        }
    }

    /// The same of a leg that took the place of a call's peer.
    pub(super) fn settle_peer(&mut self, key: CallKey) {
        if let Some(hold) = self.calls.get_mut(&key).and_then(|call| call.peer_hold.take()) {
            self.settle_hold(key, hold);
        }
    }

    fn settle_hold(&mut self, key: CallKey, mut hold: Hold) {
        let Some(amount) = hold.end(now()) else { return };
        let currency = hold.rate().currency;
        if let Some(call) = self.calls.get_mut(&key) {
            call.permit.keep(hold);
        }
        self.log_fact(key, What::LegCharged(Box::new(Estimate { amount, currency })));
    }

    /// A call is over: what it and its legs held goes back, but for what they cost.
    pub(super) fn settle_credit(&mut self, key: CallKey) {
        let Some(call) = self.calls.get_mut(&key) else { return };
        let (organisation, talked) = (call.agent.organisation, talked(call));
        let (hold, legs) = (call.permit.take_credit(), call.permit.take_legs());
        if let Some((hold, talked)) = hold.zip(talked) {
            self.credits.settle(organisation, &hold, hold.rate().charge(talked));
        }
        for leg in &legs {
            self.credits.settle(organisation, leg, leg.amount());
        }
    }
}

/// What calls of an organisation to somebody cost, and what they may; nothing if they are not
/// priced.
fn price(
    snapshot: &Snapshot,
    organisation: Uuid,
    to: &str,
    country: Option<&str>,
) -> Result<Option<(Cap, Rate)>, Undialled> {
    let Some(cap) = snapshot.cap(organisation).copied() else { return Ok(None) };
    let digits = international(to, country);
    match snapshot.rates().find(cap.currency, digits.as_deref()) {
        Some(rate) => Ok(Some((cap, rate))),
        // What nobody knows the price of would get around the limit.
        None if cap.is_set() => Err(Undialled::Unpriced),
        None => Ok(None),
    }
}

/// Whether calls of an organisation to somebody cost no more than this, or nothing.
pub(super) fn is_within(
    snapshot: &Snapshot,
    organisation: Uuid,
    (to, country): (&str, Option<&str>),
    rate: &Rate,
) -> bool {
    match price(snapshot, organisation, to, country) {
        Ok(found) => found.is_none_or(|(_, found)| found.is_within(rate)),
        Err(_) => false,
    }
}

/// An organisation has spent what it may.
fn spent(cap: Amount) -> Refusal {
    Refusal { kind: Kind::Organisation, limit: Limit::Money, bound: cap.hundredths() }
}

/// How long a call has talked that is over, as its log tells it.
fn talked(call: &LiveCall) -> Option<Duration> {
    let (_, ended) = (call.call.answered_at()?, call.ended_at?);
    Some(Duration::from_millis(call.duration_ms(ended)))
}
