//! The table of what has how many calls.

use std::collections::HashMap;
use std::sync::Arc;

use media::time::MonoTime;
use uuid::Uuid;

use super::bucket::Bucket;
use super::limits::{Bound, Kind, Limit, Refusal, Subject, Way};
use super::permit::Permit;

/// How many calls everything has, and how many it took lately.
#[derive(Debug, Default)]
pub struct Quota {
    held: HashMap<Subject, Held>,
    /// Organisations that have spent what they may, and how much that is.
    spent: HashMap<Uuid, Gone>,
    /// Entries after which those are sought that say nothing any more.
    sweep_at: usize,
}

/// A budget that is used up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gone {
    /// What it is counted in.
    pub limit: Limit,
    /// How much it was, as a [`Refusal`] tells it.
    pub bound: u32,
}

/// Entries that are never swept.
const ENTRIES_MIN: usize = 256;

/// The calls of one subject. Each is a reference beside the table's own.
#[derive(Debug, Default)]
struct Held {
    inbound: Arc<()>,
    outbound: Arc<()>,
    both_rate: Bucket,
    inbound_rate: Bucket,
    outbound_rate: Bucket,
}

fn count(held: &Arc<()>) -> u32 {
    u32::try_from(Arc::strong_count(held) - 1).unwrap_or(u32::MAX)
}

impl Held {
    /// The limit that another call would exceed.
    fn refusal(&self, now: MonoTime, way: Way, bound: &Bound) -> Option<Refusal> {
        let (inbound, outbound) = (count(&self.inbound), count(&self.outbound));
        let limits = &bound.limits;
        let (calls, rates) = (limits.calls, limits.per_second);
        let (own, own_calls, own_rate, own_bucket, own_limit) = match way {
            Way::In => {
                (inbound, calls.inbound, rates.inbound, &self.inbound_rate, Limit::InboundCalls)
            }
            Way::Out => (
                outbound,
                calls.outbound,
                rates.outbound,
                &self.outbound_rate,
                Limit::OutboundCalls,
            ),
        };
        let full = |most: Option<u32>, has: u32, limit| {
            let most = most.filter(|most| has >= *most)?;
            Some((limit, most))
        };
        let fast = |most: Option<u32>, bucket: &Bucket| {
            let most = most.filter(|most| !bucket.has(now, *most))?;
            Some((Limit::Rate, most))
        };
        let met = full(calls.both, inbound.saturating_add(outbound), Limit::Calls)
            .or_else(|| full(own_calls, own, own_limit))
            .or_else(|| fast(rates.both, &self.both_rate))
            .or_else(|| fast(own_rate, own_bucket));
        met.map(|(limit, most)| Refusal { kind: bound.subject.kind, limit, bound: most })
    }

    fn take(&mut self, now: MonoTime, way: Way, bound: &Bound) -> Arc<()> {
        let rates = bound.limits.per_second;
        let (held, rate, bucket) = match way {
            Way::In => (&self.inbound, rates.inbound, &mut self.inbound_rate),
            Way::Out => (&self.outbound, rates.outbound, &mut self.outbound_rate),
        };
        for (rate, bucket) in [(rate, bucket), (rates.both, &mut self.both_rate)] {
            if let Some(rate) = rate {
                bucket.take(now, rate);
            }
        }
        Arc::clone(held)
    }

    fn is_idle(&self, now: MonoTime) -> bool {
        let buckets = [&self.both_rate, &self.inbound_rate, &self.outbound_rate];
        count(&self.inbound) == 0
            && count(&self.outbound) == 0
            && buckets.into_iter().all(|bucket| bucket.is_full(now))
    }
}

impl Quota {
    /// Takes a call's places with all of these, and what it needs of their rates; or nothing at
    /// all.
    ///
    /// # Errors
    ///
    /// The first limit that the call would exceed.
    pub fn take(&mut self, now: MonoTime, way: Way, bounds: &[Bound]) -> Result<Permit, Refusal> {
        self.check(now, way, bounds)?;
        self.sweep(now);
        let place = |bound: &Bound| {
            let held = self.held.entry(bound.subject).or_default();
            (bound.subject.kind, held.take(now, way, bound))
        };
        Ok(Permit::of(bounds.iter().map(place).collect()))
    }

    /// Lets a call that is there already have its places, whatever the limits are, and nothing of
    /// the rates.
    pub fn restore(&mut self, way: Way, bounds: &[Bound]) -> Permit {
        let place = |bound: &Bound| {
            let held = self.held.entry(bound.subject).or_default();
            let held = match way {
                Way::In => &held.inbound,
                Way::Out => &held.outbound,
            };
            (bound.subject.kind, Arc::clone(held))
        };
        Permit::of(bounds.iter().map(place).collect())
    }

    /// Whether [`Quota::take`] would take the call now.
    ///
    /// # Errors
    ///
    /// The first limit that the call would exceed.
    pub fn check(&self, now: MonoTime, way: Way, bounds: &[Bound]) -> Result<(), Refusal> {
        let nobody = Held::default();
        for bound in bounds {
            let Subject { kind, id } = bound.subject;
            let gone = self.spent.get(&id).filter(|_| kind == Kind::Organisation);
            if let Some(Gone { limit, bound }) = gone.copied() {
                return Err(Refusal { kind, limit, bound });
            }
            let held = self.held.get(&bound.subject).unwrap_or(&nobody);
            if let Some(refusal) = held.refusal(now, way, bound) {
                return Err(refusal);
            }
        }
        Ok(())
    }

    /// These organisations have spent what they may, and have no new calls; no others have.
    pub fn spend(&mut self, spent: HashMap<Uuid, Gone>) {
        self.spent = spent;
    }

    /// Calls of a subject: those that came in, and those that were placed.
    pub fn calls(&self, subject: Subject) -> (u32, u32) {
        let held = self.held.get(&subject);
        held.map_or((0, 0), |held| (count(&held.inbound), count(&held.outbound)))
    }

    /// Subjects that are known.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.held.len()
    }

    /// Forgets subjects without calls once there are many.
    fn sweep(&mut self, now: MonoTime) {
        if self.held.len() < self.sweep_at.max(ENTRIES_MIN) {
            return;
        }
        self.held.retain(|_, held| !held.is_idle(now));
        self.sweep_at = self.held.len().saturating_mul(2);
    }
}
