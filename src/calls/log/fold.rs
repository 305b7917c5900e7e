//! What follows from the facts of one call, in whatever order they come.
//!
//! A fold is a set of registers. Each keeps, of all that was offered to it, what has the smallest
//! key (or the largest), so that order and repetition make no difference.

use std::collections::BTreeMap;
use std::time::Duration;

use adapters::event::{AnsweredBy, Price};

use super::summary::{AtCarrier, Estimate, Stamps, Summary};
use super::{Began, CallFact, Ended, QualitySummary, Source, State, What};
use crate::calls::cause::Cause;
use crate::quota::rates::Rate;

/// What orders the facts of a call: whom we believe more, what happened first, then the id, so that
/// no two are alike.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    source: Source,
    at_us: i64,
    id: String,
}

impl Key {
    fn of(fact: &CallFact) -> Self {
        Self { source: fact.source, at_us: fact.at_us, id: fact.id.clone() }
    }
}

/// Keeps what has the smallest key.
#[derive(Clone, Debug)]
struct First<T>(Option<(Key, T)>);

impl<T> Default for First<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<T> First<T> {
    fn offer(&mut self, fact: &CallFact, value: impl FnOnce() -> T) {
        let key = Key::of(fact);
        if self.0.as_ref().is_none_or(|(kept, _)| key < *kept) {
            self.0 = Some((key, value()));
        }
    }

    fn get(&self) -> Option<&T> {
        self.0.as_ref().map(|(_, value)| value)
    }
}

/// Keeps what happened last.
#[derive(Clone, Debug)]
struct Last<T>(Option<((i64, String), T)>);

impl<T> Default for Last<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<T> Last<T> {
    fn offer(&mut self, fact: &CallFact, value: impl FnOnce() -> T) {
        let key = (fact.at_us, fact.id.clone());
        if self.0.as_ref().is_none_or(|(kept, _)| key > *kept) {
            self.0 = Some((key, value()));
        }
    }

    fn get(&self) -> Option<&T> {
        self.0.as_ref().map(|(_, value)| value)
    }
}

/// All that counts of the facts of one call.
#[derive(Clone, Debug, Default)]
pub struct Fold {
    began: First<Began>,
    line: Last<(Option<String>, Option<uuid::Uuid>)>,
    from: Last<String>,
    initiated: First<i64>,
    queued: First<i64>,
    ringing: First<i64>,
    in_progress: First<i64>,
    ended: First<(i64, Ended)>,
    lost: First<i64>,
    sip_status: First<u16>,
    q850: First<u8>,
    reason: First<String>,
    carrier_ms: First<u64>,
    answered_by: Last<AnsweredBy>,
    agent: Last<String>,
    rate: Last<Rate>,
    /// What legs have cost, by what makes the fact unique.
    legs: BTreeMap<(Source, String), Estimate>,
    price: Last<Price>,
    quality: Last<QualitySummary>,
    carrier: Last<AtCarrier>,
    last_us: Option<i64>,
}

impl Fold {
    /// Takes a fact. The same again changes nothing.
    pub fn apply(&mut self, fact: &CallFact) {
        self.last_us = self.last_us.max(Some(fact.at_us));
        let stamp = match fact.what.reaches() {
            Some(State::Initiated) => Some(&mut self.initiated),
            Some(State::Queued) => Some(&mut self.queued),
            Some(State::Ringing) => Some(&mut self.ringing),
            Some(State::InProgress) => Some(&mut self.in_progress),
            _ => None,
        };
        if let Some(stamp) = stamp {
            stamp.offer(fact, || fact.at_us);
        }
        match &fact.what {
            What::Initiated(began) => self.began.offer(fact, || (**began).clone()),
            What::LineChanged { trunk, configuration } => {
                self.line.offer(fact, || (trunk.clone(), *configuration));
            }
            What::CallerIdPicked(picked) => self.from.offer(fact, || picked.number.clone()),
            What::AnsweredBy { who } => self.answered_by.offer(fact, || *who),
            What::AgentConnected { agent, .. } => self.agent.offer(fact, || agent.clone()),
            What::Rated(rate) => self.rate.offer(fact, || **rate),
            What::LegCharged(cost) => {
                self.legs.insert((fact.source, fact.id.clone()), **cost);
            }
            What::Priced(price) => self.price.offer(fact, || price.clone()),
            What::Quality(quality) => self.quality.offer(fact, || (**quality).clone()),
            What::AtCarrier { provider, call } => self
                .carrier
                .offer(fact, || AtCarrier { provider: provider.clone(), call: call.clone() }),
            What::Ended(ended) => self.end(fact, ended),
            _ => {}
        }
    }

    fn end(&mut self, fact: &CallFact, ended: &Ended) {
        self.ended.offer(fact, || (fact.at_us, ended.clone()));
        if ended.cause == Cause::NodeLost {
            self.lost.offer(fact, || fact.at_us);
        }
        if let Some(status) = ended.sip_status {
            self.sip_status.offer(fact, || status);
        }
        if let Some(q850) = ended.q850 {
            self.q850.offer(fact, || q850);
        }
        if let Some(reason) = &ended.reason {
            self.reason.offer(fact, || reason.clone());
        }
        if let (Source::Carrier, Some(ms)) = (fact.source, ended.duration_ms) {
            self.carrier_ms.offer(fact, || ms);
        }
    }

    /// How the call began, if that is known.
    pub fn began(&self) -> Option<&Began> {
        self.began.get()
    }

    /// When the last of the facts happened, in microseconds since 1970.
    pub const fn last_us(&self) -> Option<i64> {
        self.last_us
    }

    /// True once it is known that the call is over.
    pub const fn is_over(&self) -> bool {
        self.ended.0.is_some()
    }

    /// When the call was last heard of, if it was found that nobody held it any more; in
    /// microseconds since 1970.
    pub fn lost_us(&self) -> Option<i64> {
        self.lost.get().copied()
    }

    /// What follows from the facts.
    pub fn summary(&self) -> Summary {
        let answered_us = self.in_progress.get().copied();
        let end = self.ended.get();
        let answered = end.and_then(|(_, ended)| ended.answered).unwrap_or(answered_us.is_some());
        let duration_ms = end.filter(|_| answered).map(|(at_us, ended)| {
            ended.duration_ms.unwrap_or_else(|| {
                let lasted = at_us.saturating_sub(answered_us.unwrap_or(*at_us)) / 1_000;
                u64::try_from(lasted).unwrap_or(0)
            })
        });
        let stamps = Stamps {
            initiated_us: self.initiated.get().copied(),
            queued_us: self.queued.get().copied(),
            ringing_us: self.ringing.get().copied(),
            // An answer that was not told itself is as old as the call was long.
            answered_us: answered_us
                .or_else(|| {
                    let lasted = i64::try_from(duration_ms?).ok()?.checked_mul(1_000)?;
                    end?.0.checked_sub(lasted)
                })
                .filter(|_| answered),
            ended_us: end.map(|(at_us, _)| *at_us),
        };
        let began = self.began.get();
        let agent = self.agent.get().or(began.map(|began| &began.agent));
        let billed_ms = self.carrier_ms.get().copied().or(duration_ms).filter(|_| answered);
        let began = began.cloned().map(|began| match self.line.get() {
            // The record names the way that the call went in the end.
            Some((trunk, configuration)) => {
                Began { trunk: trunk.clone(), configuration: *configuration, ..began }
            }
            None => began,
        });
        // The number that was picked last is the one that the called party saw.
        let began = began.map(|began| match self.from.get() {
            Some(from) => Began { from: from.clone(), ..began },
            None => began,
        });
        Summary {
            began,
            agent: agent.cloned(),
            state: match end {
                Some((_, ended)) => State::of_end(ended.cause, answered, ended.sip_status),
                None => self.progress(),
            },
            stamps,
            cause: end.map(|(_, ended)| ended.cause),
            ended_by: end.and_then(|(_, ended)| ended.by),
            sip_status: self.sip_status.get().copied(),
            q850: self.q850.get().copied(),
            reason: self.reason.get().cloned(),
            duration_ms,
            billed_s: billed_ms.map(|ms| ms.div_ceil(1_000)),
            cost: self.price.get().cloned(),
            estimate: self.estimate(duration_ms),
            rate: self.rate.get().copied(),
            answered_by: self.answered_by.get().copied(),
            quality: self.quality.get().cloned(),
            carrier: self.carrier.get().cloned(),
        }
    }

    /// What a call and its legs cost that is over, by the table of rates. One that was not answered
    /// costs nothing.
    fn estimate(&self, duration_ms: Option<u64>) -> Option<Estimate> {
        let own = self.rate.get().zip(duration_ms).map(|(rate, ms)| Estimate {
            amount: rate.charge(Duration::from_millis(ms)),
            currency: rate.currency,
        });
        let legs = self.legs.values().copied().filter(|_| self.is_over());
        let mut all = own.into_iter().chain(legs);
        let first = all.next()?;
        let same = all.filter(|cost| cost.currency == first.currency);
        Some(same.fold(first, |sum, one| Estimate { amount: sum.amount.plus(one.amount), ..sum }))
    }

    /// How far a call is that is not over.
    const fn progress(&self) -> State {
        if self.in_progress.0.is_some() {
            State::InProgress
        } else if self.ringing.0.is_some() {
            State::Ringing
        } else if self.queued.0.is_some() {
            State::Queued
        } else {
            State::Initiated
        }
    }
}

impl<'a> Extend<&'a CallFact> for Fold {
    fn extend<I: IntoIterator<Item = &'a CallFact>>(&mut self, facts: I) {
        facts.into_iter().for_each(|fact| self.apply(fact));
    }
}
