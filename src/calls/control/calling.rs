//! The number that a call is placed from.

use std::fmt;

use uuid::Uuid;

use super::Control;
use super::incoming::unix_us;
use crate::calls::caller_ids::{Callee, Policy, UsedUp};
use crate::calls::log::{PickedCallerId, What};
use crate::calls::request::PlaceCall;
use crate::directory::{self, Choice, Snapshot, Trunk};
use crate::quota::destination::international;
use crate::quota::{Kind, Limit, Permit, Refusal};
use crate::workers::command::CallKey;

/// User of our From where nothing names one.
const USER: &str = "talkpath";
/// Microseconds of a day.
const DAY_US: i64 = 86_400_000_000;

/// A number that was picked for a call which names none.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Calling {
    /// The line that it is of: a configuration, or a trunk that belongs to none.
    pub(super) line: Uuid,
    /// The number.
    pub(super) number: String,
    policy: Policy,
}

/// Without the number.
impl fmt::Debug for Calling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Calling");
        shown.field("line", &self.line).field("policy", &self.policy).finish_non_exhaustive()
    }
}

/// What is said of a call that tells from which number it is to be placed.
#[derive(Clone, Copy)]
pub(super) struct Wish<'w> {
    /// The number that it names.
    pub(super) from: Option<&'w str>,
    /// Whom it calls.
    pub(super) to: &'w str,
    /// The number that the called party was called from last.
    pub(super) last: Option<&'w str>,
}

impl<'w> From<&'w PlaceCall> for Wish<'w> {
    fn from(call: &'w PlaceCall) -> Self {
        Self { from: call.from.as_deref(), to: &call.to, last: call.called_from.as_deref() }
    }
}

/// The number that a call is placed from: what it names, else what was picked.
pub(super) fn number_from<'n>(
    named: Option<&'n str>,
    picked: Option<&'n Calling>,
) -> Option<&'n str> {
    named.or_else(|| picked.map(|calling| calling.number.as_str()))
}

impl Control {
    /// The number that a call through a trunk is placed from, if it names none and one is to be
    /// picked: nothing is counted.
    pub(super) fn calling_through(
        &self,
        snapshot: &Snapshot,
        trunk: &Trunk,
        wish: Wish<'_>,
    ) -> Result<Option<Calling>, Refusal> {
        let choice = snapshot.caller_ids_through(trunk).filter(|_| wish.from.is_none());
        self.picked(trunk.line, choice, wish, trunk.country.as_deref())
    }

    /// The same of a call by a configuration.
    pub(super) fn calling_by(
        &self,
        snapshot: &Snapshot,
        configuration: Uuid,
        wish: Wish<'_>,
    ) -> Result<Option<Calling>, Refusal> {
        let choice = snapshot.caller_ids_of(configuration).filter(|_| wish.from.is_none());
        let mut trunks = snapshot.trunks.iter().filter(|trunk| trunk.line == configuration);
        let country = trunks.find_map(|trunk| trunk.country.as_deref());
        self.picked(configuration, choice, wish, country)
    }

    fn picked(
        &self,
        line: Uuid,
        choice: Option<Choice<'_>>,
        wish: Wish<'_>,
        country: Option<&str>,
    ) -> Result<Option<Calling>, Refusal> {
        let Some((rotation, numbers)) = choice else { return Ok(None) };
        let digits = international(wish.to, country);
        let callee = Callee { digits: digits.as_deref(), last: wish.last };
        let picked = self.uses.pick(today(), line, rotation, &numbers, callee);
        let picked = picked.map_err(|UsedUp { daily_cap }| Refusal {
            kind: Kind::Number,
            limit: Limit::CallsADay,
            bound: daily_cap,
        })?;
        let number = picked.and_then(|at| numbers.get(at));
        Ok(number.map(|number| Calling {
            line,
            number: (*number).to_owned(),
            policy: rotation.policy,
        }))
    }

    /// Takes the place of a call on a trunk and on the number that it is placed from. A number that
    /// was picked before stays if it is of the same line; what is picked now is `calling` then.
    pub(super) fn take_number(
        &mut self,
        trunk: &Trunk,
        call: &PlaceCall,
        calling: &mut Option<Calling>,
    ) -> Result<Permit, Refusal> {
        let snapshot = self.directory.load();
        let kept = calling.take().filter(|it| it.line == trunk.line);
        let picked = match &kept {
            Some(_) => None,
            None => self.calling_through(&snapshot, trunk, call.into())?,
        };
        let from = number_from(call.from.as_deref(), kept.as_ref().or(picked.as_ref()));
        let line = self.take_line(&snapshot, trunk, from)?;
        self.count_calling(picked.as_ref());
        *calling = kept.or(picked);
        Ok(line)
    }

    /// A call is placed from the number that was picked for it.
    pub(super) fn count_calling(&mut self, calling: Option<&Calling>) {
        if let Some(Calling { line, number, .. }) = calling {
            self.uses.count(today(), *line, number);
        }
    }

    /// So many calls were placed from the numbers of a line on a day, by whatever server.
    pub(super) fn learn_calling(&mut self, day: i64, line: Uuid, counts: &[(String, u32)]) {
        self.uses.learn(day, line, counts);
    }

    /// Tells the log of a call which number was picked for it.
    pub(super) fn log_calling(&mut self, key: CallKey, calling: Option<&Calling>) {
        let Some(policy) = calling.map(|calling| calling.policy) else { return };
        let Some(call) = self.calls.get(&key) else { return };
        let number = call.from.clone();
        self.log_fact(key, What::CallerIdPicked(Box::new(PickedCallerId { number, policy })));
    }

    /// The user part of From: what the call names, or what its trunk or configuration does, written
    /// as the trunk wants it.
    pub(super) fn calling_user(&self, from: Option<&str>, trunk: Option<&Trunk>) -> String {
        let Some(trunk) = trunk else { return from.unwrap_or(USER).to_owned() };
        let snapshot = self.directory.load();
        let user = from.or_else(|| snapshot.caller_id(trunk)).unwrap_or(USER);
        directory::written(trunk, user)
    }
}

/// The day that it is, in UTC, counted from 1970-01-01.
fn today() -> i64 {
    unix_us().div_euclid(DAY_US)
}
