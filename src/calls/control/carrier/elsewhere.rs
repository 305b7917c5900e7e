//! Callers whom their carriers have connected with somebody else. Nothing of such a call passes
//! here any more, and for the server it is over; but both its legs are up and are paid for, and so
//! they hold their places until the carrier says that they are over.
//!
//! That word may be lost, or may not come at all, as the account's webhooks are its owner's. So the
//! carrier is asked now and then, and after the longest time that the call could have lasted here
//! the places are given back whatever it says. A server that starts takes such calls from the log.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use adapters::event::{CallEvent, CallFact, CarrierCallId, TransferState};
use adapters::exchange::CarrierError;
use media::time::MonoTime;
use uuid::Uuid;

use super::Control;
use super::placing::line_bounds;
use crate::calls::control::quotas::way;
use crate::calls::request::Request;
use crate::carrier::{Account, Failure, Patience};
use crate::quota::{Permit, Way};
use crate::store::Timestamp;
use crate::store::carrier_calls::HandedOver;
use crate::workers::poller::now;

/// How often a carrier is asked about such a call, in milliseconds.
const ASKED_EVERY_MS: u64 = 120_000;

/// Calls that are kept; of more, those that would be asked about next are forgotten.
const CALLS_MAX: usize = 16_384;

/// A call that goes on without us.
#[derive(Debug)]
pub(in crate::calls) struct Left {
    /// The configuration that it came or went by.
    pub(in crate::calls) account: Arc<Account>,
    /// The carrier's id of it, if it is known.
    pub(in crate::calls) call: Option<CarrierCallId>,
    /// The transfer that has connected it.
    pub(in crate::calls) transfer: Option<Uuid>,
    /// What it counts for, with the leg that was called for it.
    pub(in crate::calls) places: Permit,
    /// When it must be over.
    pub(in crate::calls) until: MonoTime,
}

/// Calls that go on without us, by our ids.
#[derive(Debug, Default)]
pub(in crate::calls) struct Elsewhere {
    calls: HashMap<Uuid, (MonoTime, Left)>,
    by_carrier: HashMap<(Uuid, CarrierCallId), Uuid>,
    due: BTreeSet<(MonoTime, Uuid)>,
}

impl Elsewhere {
    /// Takes a call. One that is here already holds what it did as well.
    pub(in crate::calls) fn insert(&mut self, now: MonoTime, id: Uuid, left: Left) {
        self.insert_at(now + Duration::from_millis(ASKED_EVERY_MS), id, left);
    }

    /// The same; its carrier is asked at `ask_at` first.
    fn insert_at(&mut self, ask_at: MonoTime, id: Uuid, mut left: Left) {
        if let Some(before) = self.remove(id) {
            left.places.join(before.places);
        }
        if self.calls.len() >= CALLS_MAX
            && let Some((_, next)) = self.due.first().copied()
        {
            self.remove(next);
        }
        if let Some(call) = &left.call {
            self.by_carrier.insert((left.account.id, call.clone()), id);
        }
        let at = left.until.min(ask_at);
        self.due.insert((at, id));
        self.calls.insert(id, (at, left));
    }

    fn remove(&mut self, id: Uuid) -> Option<Left> {
        let (at, left) = self.calls.remove(&id)?;
        self.due.remove(&(at, id));
        if let Some(call) = left.call.clone() {
            self.by_carrier.remove(&(left.account.id, call));
        }
        Some(left)
    }

    /// The call that an event of a configuration is about: by our id in the hook's address, else by
    /// the carrier's.
    fn find(&self, account: Uuid, ours: Option<Uuid>, id: &CarrierCallId) -> Option<(Uuid, &Left)> {
        let ours = ours.or_else(|| self.by_carrier.get(&(account, id.clone())).copied())?;
        let (_, left) = self.calls.get(&ours).filter(|(_, left)| left.account.id == account)?;
        Some((ours, left))
    }

    /// Gives a call's places back if the event says that it is over.
    fn hear(&mut self, account: Uuid, ours: Option<Uuid>, event: &CallEvent) {
        let Some((id, left)) = self.find(account, ours, &event.call) else { return };
        let over = match &event.what {
            CallFact::Ended(_) => left.call.as_ref().is_none_or(|call| *call == event.call),
            // Whoever was called has left: the caller is not left alone.
            CallFact::Transfer { state: TransferState::Failed, of } => {
                let of = of.id.as_deref().and_then(|id| id.parse().ok());
                of.is_none() || of == left.transfer
            }
            _ => false,
        };
        if over {
            self.remove(id);
        }
    }

    /// When something is to be done.
    pub(in crate::calls) fn deadline(&self) -> MonoTime {
        self.due.first().map_or(MonoTime::MAX, |(at, _)| *at)
    }

    /// The next call whose carrier is to be asked about it by now. Those whose time is over are
    /// forgotten.
    fn due(&mut self, now: MonoTime) -> Option<(Uuid, Arc<Account>, CarrierCallId)> {
        loop {
            let (at, id) = self.due.first().copied().filter(|(at, _)| *at <= now)?;
            self.due.remove(&(at, id));
            let Some((due, left)) = self.calls.get_mut(&id) else { continue };
            if left.until <= now {
                self.remove(id);
                continue;
            }
            *due = left.until.min(now + Duration::from_millis(ASKED_EVERY_MS));
            self.due.insert((*due, id));
            if let Some(call) = left.call.clone() {
                return Some((id, Arc::clone(&left.account), call));
            }
        }
    }
}

impl Control {
    /// A carrier says something, perhaps of a call that goes on without us.
    pub(super) fn heard_elsewhere(
        &mut self,
        account: &Account,
        ours: Option<Uuid>,
        event: &CallEvent,
    ) {
        self.past.elsewhere.hear(account.id, ours, event);
    }

    /// Gives calls that went on without the server of before the places that they held. Those whose
    /// end was not told meanwhile are known by their carriers, which are asked soon, one after the
    /// other.
    pub(in crate::calls::control) fn restore_elsewhere(&mut self, handed_over: Vec<HandedOver>) {
        let (at, snapshot, wall) = (now(), self.directory.load(), Timestamp::now());
        let count = u64::try_from(handed_over.len()).unwrap_or(u64::MAX);
        for (number, call) in (1..).zip(handed_over) {
            let Some(account) = snapshot.carriers().of_call(call.configuration.0) else { continue };
            let passed_us = wall.0.saturating_sub(call.ended_at.0);
            let passed = Duration::from_micros(u64::try_from(passed_us).unwrap_or(0));
            // As long as its own route or request let it last, and no longer than is allowed now.
            let most = self.config.limits.max_duration;
            let until = at + call.held.unwrap_or(most).min(most).saturating_sub(passed);
            let leg_from = call.leg_from.as_deref().unwrap_or(&call.number);
            let bounds = |number| {
                let mut bounds = snapshot.bounds(account.organisation, None, None);
                bounds.extend(line_bounds(&snapshot, account, Some(number)));
                bounds
            };
            let mut places = self.quota.restore(way(call.direction), &bounds(&call.number));
            if call.transfer.is_some() {
                places.join(self.quota.restore(Way::Out, &bounds(leg_from)));
            }
            let ask_at = at + Duration::from_millis(ASKED_EVERY_MS / count.max(1) * number);
            let (account, transfer) = (Arc::clone(account), call.transfer);
            let id = Some(CarrierCallId(call.call));
            let left = Left { account, call: id, transfer, places, until };
            self.past.elsewhere.insert_at(ask_at, call.id, left);
            self.past.left.insert(call.id);
        }
        if count > 0 {
            tracing::info!(count, "calls that go on at their carriers hold their places again");
        }
    }

    /// Asks about the calls that go on without us, as far as that is due.
    pub(in crate::calls::control) fn ask_elsewhere(&mut self, at: MonoTime) {
        while let Some((id, account, call)) = self.past.elsewhere.due(at) {
            let Some(status) = account.spec.calls.status else { continue };
            let (exchanges, handle) = (self.exchanges.clone(), self.handle.clone());
            self.io.spawn(async move {
                let result = match status(&account.config, &call) {
                    Ok(op) => exchanges.run(&account, "status", op, Patience::BRIEF).await,
                    Err(error) => Err(error.into()),
                };
                handle.send(Request::StandsElsewhere { call: id, result }).await;
            });
        }
    }

    /// A carrier has said how a call stands that goes on without us, or has not.
    pub(in crate::calls::control) fn stands_elsewhere(
        &mut self,
        id: Uuid,
        result: Result<Vec<CallEvent>, Failure>,
    ) {
        let over = match result {
            Ok(events) => events.iter().any(|event| matches!(event.what, CallFact::Ended(_))),
            Err(failure) => failure.error == CarrierError::CallOver,
        };
        if over {
            self.past.elsewhere.remove(id);
        }
    }
}

#[cfg(test)]
mod tests {
    use adapters::event::{Ended, HangupCause, TransferOf};

    use super::*;
    use crate::config::Secret;
    use crate::quota::{Bound, Kind, Limits, Quota, Subject, Way};

    const MINUTE: Duration = Duration::from_secs(60);

    fn account() -> Account {
        Account {
            id: Uuid::from_u128(7),
            organisation: Uuid::nil(),
            name: "test".to_owned(),
            spec: adapters::table::PROVIDERS[0],
            config: adapters::config::RawConfig::default(),
            token: Secret::new("token".to_owned()),
            limits: Limits::default(),
            is_default: false,
        }
    }

    fn event(call: &str, what: CallFact) -> CallEvent {
        CallEvent { call: CarrierCallId(call.to_owned()), id: None, at_unix_ms: None, what }
    }

    fn ended() -> CallFact {
        let cause = HangupCause::Normal;
        CallFact::Ended(Ended { cause, sip_status: None, duration_ms: None, raw: None })
    }

    /// A table with one call, whose places are counted.
    struct Rig {
        quota: Quota,
        elsewhere: Elsewhere,
        account: Uuid,
        id: Uuid,
        transfer: Uuid,
    }

    impl Rig {
        fn new(now: MonoTime, known: bool) -> Self {
            let (id, transfer) = (Uuid::from_u128(1), Uuid::from_u128(2));
            let (account, mut quota) = (Arc::new(account()), Quota::default());
            let bound = Bound::new(Kind::Organisation, Uuid::nil(), Limits::default());
            let mut places = quota.take(now, Way::In, &[bound]).unwrap();
            places.join(quota.take(now, Way::Out, &[bound]).unwrap());
            let mut elsewhere = Elsewhere::default();
            let account_id = account.id;
            let call = known.then(|| CarrierCallId("c".to_owned()));
            let (until, transfer_of) = (now + 10 * MINUTE, Some(transfer));
            let left = Left { account, call, transfer: transfer_of, places, until };
            elsewhere.insert(now, id, left);
            Self { quota, elsewhere, account: account_id, id, transfer }
        }

        fn held(&self) -> u32 {
            let subject = Subject { kind: Kind::Organisation, id: Uuid::nil() };
            let (inbound, outbound) = self.quota.calls(subject);
            inbound + outbound
        }

        fn hears(&mut self, account: Uuid, ours: Option<Uuid>, event: &CallEvent) -> u32 {
            self.elsewhere.hear(account, ours, event);
            self.held()
        }
    }

    /// Both legs hold their places until the carrier says of this call, at a hook of its
    /// configuration, that it is over.
    #[test]
    fn places_are_held_until_the_end() {
        let now = MonoTime::from_nanos(1_000_000_000);
        let mut rig = Rig::new(now, true);
        let (account, id, other) = (rig.account, rig.id, Uuid::from_u128(9));
        assert_eq!(rig.held(), 2);
        assert_eq!(rig.hears(account, Some(id), &event("c", CallFact::Answered)), 2);
        assert_eq!(rig.hears(other, Some(id), &event("c", ended())), 2, "of another configuration");
        assert_eq!(rig.hears(account, Some(id), &event("x", ended())), 2, "of another call");
        assert_eq!(rig.hears(account, Some(other), &event("c", ended())), 2, "of another address");
        assert_eq!(rig.hears(account, None, &event("c", ended())), 0);
        let left = &rig.elsewhere;
        assert!(left.calls.is_empty() && left.by_carrier.is_empty() && left.due.is_empty());

        let mut rig = Rig::new(now, true);
        let of = |id: Uuid| TransferOf { id: Some(id.to_string()), ..TransferOf::default() };
        let failed = |of| event("c", CallFact::Transfer { state: TransferState::Failed, of });
        assert_eq!(rig.hears(account, Some(id), &failed(of(other))), 2, "of one before");
        let own = of(rig.transfer);
        assert_eq!(rig.hears(account, Some(id), &failed(own)), 0, "the other has left");
    }

    /// The carrier is asked now and then, and in the end the places are free whatever it says.
    #[test]
    fn nothing_is_held_for_ever() {
        let now = MonoTime::from_nanos(1_000_000_000);
        let mut rig = Rig::new(now, true);
        assert!(rig.elsewhere.due(now + MINUTE).is_none());
        for minutes in [2, 4, 6, 8] {
            let at = now + minutes * MINUTE;
            assert_eq!(rig.elsewhere.deadline(), at);
            let (id, _, call) = rig.elsewhere.due(at).unwrap();
            assert_eq!((id, call.0.as_str()), (rig.id, "c"));
            assert!(rig.elsewhere.due(at).is_none(), "once");
        }
        assert_eq!(rig.held(), 2);
        assert!(rig.elsewhere.due(now + 10 * MINUTE).is_none());
        assert_eq!((rig.held(), rig.elsewhere.deadline()), (0, MonoTime::MAX));

        let mut unknown = Rig::new(now, false);
        assert!(unknown.elsewhere.due(now + 5 * MINUTE).is_none(), "nothing to ask for");
        assert_eq!(unknown.held(), 2);
        assert!(unknown.elsewhere.due(now + 11 * MINUTE).is_none());
        assert_eq!(unknown.held(), 0);
    }

    /// A call that is left twice holds what it did before, once.
    #[test]
    fn a_call_is_left_once() {
        let now = MonoTime::from_nanos(1_000_000_000);
        let mut rig = Rig::new(now, true);
        let (account, until) = (Arc::new(account()), now + MINUTE);
        let places = Permit::default();
        let left = Left { account, call: None, transfer: None, places, until };
        rig.elsewhere.insert(now, rig.id, left);
        assert_eq!((rig.held(), rig.elsewhere.due.len()), (2, 1));
        assert!(rig.elsewhere.due(until).is_none());
        assert_eq!(rig.held(), 0);
    }
}
