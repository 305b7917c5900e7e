//! Money that organisations may spend on calls, and what living calls hold of it.
//!
//! As in the credit control of RFC 8506 a call reserves what it will cost before it costs it: its
//! first increment when it is placed, more before that is used up. What it holds is nobody else's,
//! so that calls at once cannot spend the same money twice; what it did not use it gives back when
//! it ends. No I/O, no clock.

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use media::time::MonoTime;
use uuid::Uuid;

use super::amount::{Amount, Currency};
use super::budget::WARNING;
use super::rates::Rate;

/// A call's credit is renewed so long before it has to be told of its end.
const RENEW_EARLY: Duration = Duration::from_secs(10);
/// A call ends so long before what it holds is used up: its end takes a moment.
pub const END_EARLY: Duration = Duration::from_millis(500);

/// What an organisation may spend on calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cap {
    /// What it is counted in, and what its calls are priced in.
    pub currency: Currency,
    /// In a day, in UTC.
    pub a_day: Option<Amount>,
    /// In a month, in UTC.
    pub a_month: Option<Amount>,
}

/// What it has spent on calls that are over, and what those that other servers have may cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Expense {
    /// Since the day began.
    pub a_day: Amount,
    /// Since the month began.
    pub a_month: Amount,
    /// On calls that live elsewhere.
    pub elsewhere: Amount,
}

impl Cap {
    /// Whether it limits anything; else calls are priced and that is all.
    pub const fn is_set(&self) -> bool {
        self.a_day.is_some() || self.a_month.is_some()
    }

    /// What is left, by the narrower of day and month.
    pub fn balance(&self, expense: &Expense) -> Balance {
        let left = |cap: Option<Amount>, spent: Amount| {
            cap.map(|cap| Balance { cap, left: cap.minus(spent.plus(expense.elsewhere)) })
        };
        let both = [left(self.a_day, expense.a_day), left(self.a_month, expense.a_month)];
        let narrower = both.into_iter().flatten().min_by_key(|balance| balance.left);
        let endless = Amount::from_micros(u64::MAX);
        narrower.unwrap_or(Balance { cap: endless, left: endless })
    }
}

/// What is left of a cap, apart from what calls of this server hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Balance {
    /// The cap.
    pub cap: Amount,
    /// What is left of it.
    pub left: Amount,
}

/// Why a call has no credit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoCredit {
    /// What is left of this cap does not pay for its first increment.
    Spent(Amount),
    /// Nobody knows yet what was spent.
    Unknown,
}

/// What the calls of organisations hold here, and what is left.
#[derive(Debug, Default)]
pub struct Credits {
    purses: HashMap<Uuid, Purse>,
    mark: u64,
}

#[derive(Debug, Default)]
struct Purse {
    balance: Option<Balance>,
    /// Millionths that living calls hold.
    held: Arc<AtomicU64>,
    /// What calls cost that were over after these marks, and that may not be in the balance.
    settled: Vec<(u64, Amount)>,
}

impl Purse {
    fn held(&self) -> Amount {
        Amount::from_micros(self.held.load(Ordering::Relaxed))
    }

    /// What is left for calls that ask for it.
    fn left(&self) -> Option<Amount> {
        let settled = self.settled.iter().fold(Amount::ZERO, |all, (_, one)| all.plus(*one));
        Some(self.balance?.left.minus(settled).minus(self.held()))
    }
}

/// What a call holds. It is given back when this is dropped.
#[derive(Debug)]
pub struct Hold {
    rate: Rate,
    amount: Amount,
    /// Of whose purse; none if nothing limits what is spent.
    purse: Option<Arc<AtomicU64>>,
    /// Since when it is spent.
    since: Option<MonoTime>,
    /// When it is to be renewed, while it is spent.
    pub due: MonoTime,
}

impl Hold {
    /// Of a call that costs this, and whose organisation has no limit.
    pub const fn unlimited(rate: Rate) -> Self {
        Self { rate, amount: Amount::ZERO, purse: None, since: None, due: MonoTime::MAX }
    }

    /// What the call costs.
    pub const fn rate(&self) -> Rate {
        self.rate
    }

    /// What is held; nothing where nothing limits what is spent.
    pub const fn amount(&self) -> Amount {
        self.amount
    }

    /// It is spent from now on, and is to be renewed at once.
    pub const fn begin(&mut self, now: MonoTime) {
        (self.since, self.due) = (Some(now), now);
    }

    /// Since when it is spent.
    pub const fn since(&self) -> Option<MonoTime> {
        self.since
    }

    /// It is spent no longer: what it was spent for has cost this, and that is still held. `None`
    /// if it was not spent at all.
    pub fn end(&mut self, now: MonoTime) -> Option<Amount> {
        let cost = self.rate.charge(now.since(self.since?));
        self.due = MonoTime::MAX;
        self.set(cost);
        Some(cost)
    }

    /// Holds so much from now on.
    fn set(&mut self, amount: Amount) {
        if let Some(purse) = &self.purse {
            // What calls hold is held by this thread alone.
            purse.fetch_add(amount.micros(), Ordering::Relaxed);
            purse.fetch_sub(self.amount.micros(), Ordering::Relaxed);
            self.amount = amount;
        }
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.set(Amount::ZERO);
    }
}

/// For how long a call's credit lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lasts {
    /// Long enough: it is to be renewed when the call has talked so long.
    Until(Duration),
    /// There is no more: the call ends when it has talked so long.
    End(Duration),
    /// For ever.
    Always,
}

impl Credits {
    /// Holds the first increment of a call; `cap` is that of its organisation.
    ///
    /// # Errors
    ///
    /// If what is left does not pay for it.
    pub fn take(&mut self, organisation: Uuid, cap: &Cap, rate: Rate) -> Result<Hold, NoCredit> {
        if !cap.is_set() {
            return Ok(Hold::unlimited(rate));
        }
        let purse = self.purses.entry(organisation).or_default();
        let Some((balance, left)) = purse.balance.zip(purse.left()) else {
            return Err(NoCredit::Unknown);
        };
        let first = rate.charge(Duration::ZERO);
        if first > left || balance.left == Amount::ZERO {
            return Err(NoCredit::Spent(balance.cap));
        }
        let mut hold = Hold::unlimited(rate);
        hold.purse = Some(Arc::clone(&purse.held));
        hold.set(first);
        Ok(hold)
    }

    /// Holds more for a call that has talked so long: until it is time to renew it again, and a
    /// warning longer. If there is not so much, as many increments as there is money for.
    pub fn renew(&self, organisation: Uuid, hold: &mut Hold, talked: Duration) -> Lasts {
        let purse = self.purses.get(&organisation).filter(|_| hold.purse.is_some());
        let Some(left) = purse.and_then(Purse::left) else { return Lasts::Always };
        let wanted = hold.rate.charge(talked + WARNING + RENEW_EARLY);
        let most = hold.amount.plus(left);
        let is_enough = wanted <= most;
        if is_enough {
            hold.set(wanted.max(hold.amount));
        } else if let Some(covered) = hold.rate.covers(most) {
            hold.set(hold.rate.charge(covered).max(hold.amount));
        }
        match hold.rate.covers(hold.amount) {
            Some(covered) if covered == Duration::MAX => Lasts::Always,
            Some(covered) if is_enough => Lasts::Until(covered.saturating_sub(WARNING)),
            covered => Lasts::End(covered.unwrap_or_default().saturating_sub(END_EARLY)),
        }
    }

    /// A call is over that has cost so much: what it held may go back, and what it cost counts
    /// until the log has it.
    pub fn settle(&mut self, organisation: Uuid, hold: &Hold, cost: Amount) {
        if hold.purse.is_some() {
            let purse = self.purses.entry(organisation).or_default();
            purse.settled.push((self.mark, cost));
        }
    }

    /// Whatever is settled from now on may be missing in a balance that is asked for now: a mark
    /// that is told with it.
    pub const fn mark(&mut self) -> u64 {
        self.mark += 1;
        self.mark
    }

    /// What organisations have left, by a log that has all that was settled before the mark. Those
    /// that are not named have no limit any more.
    pub fn learn(&mut self, mark: u64, balances: &HashMap<Uuid, Balance>) {
        for (organisation, balance) in balances {
            self.purses.entry(*organisation).or_default().balance = Some(*balance);
        }
        for (organisation, purse) in &mut self.purses {
            purse.settled.retain(|(at, _)| *at >= mark);
            if !balances.contains_key(organisation) {
                purse.balance = None;
                purse.settled.clear();
            }
        }
        self.purses.retain(|_, purse| {
            purse.balance.is_some() || !purse.settled.is_empty() || purse.held() > Amount::ZERO
        });
    }

    /// What the living calls of an organisation hold here.
    pub fn held(&self, organisation: Uuid) -> Amount {
        let purse = self.purses.get(&organisation);
        purse.map(Purse::held).unwrap_or_default()
    }
}
