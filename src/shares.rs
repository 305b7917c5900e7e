//! Something that there is a little of, shared by organisations.

use std::collections::BTreeMap;
use std::ops::Deref;
use std::sync::{Arc, Mutex, PoisonError};

use uuid::Uuid;

/// So many of something at once, and fewer for each organisation: none keeps the others from it.
#[derive(Debug)]
pub struct Shares {
    all_max: usize,
    each_max: usize,
    held: Mutex<BTreeMap<Uuid, usize>>,
}

/// Some of them, given back when dropped, to where `S` leads.
#[derive(Debug)]
pub struct Share<S: Deref<Target = Shares> = &'static Shares> {
    shares: S,
    organisation: Uuid,
    amount: usize,
}

impl Shares {
    /// `all_max` at once, `each_max` of them for one organisation.
    pub const fn new(all_max: usize, each_max: usize) -> Self {
        Self { all_max, each_max, held: Mutex::new(BTreeMap::new()) }
    }

    /// One for an organisation, if there is one left for it.
    pub fn take(&'static self, organisation: Uuid) -> Option<Share> {
        self.take_many(organisation, 1)
    }

    /// So many for an organisation, if as many are left for it.
    pub fn take_many(&'static self, organisation: Uuid, amount: usize) -> Option<Share> {
        self.hold(organisation, amount).then(|| Share { shares: self, organisation, amount })
    }

    /// One for an organisation, of what lasts as long as it is held.
    pub fn take_one(self: &Arc<Self>, organisation: Uuid) -> Option<Share<Arc<Self>>> {
        let share = || Share { shares: Arc::clone(self), organisation, amount: 1 };
        self.hold(organisation, 1).then(share)
    }

    /// True if as many were left.
    fn hold(&self, organisation: Uuid, amount: usize) -> bool {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let own = held.get(&organisation).copied().unwrap_or(0);
        let all = held.values().sum::<usize>();
        let fits = |held: usize, max: usize| held.saturating_add(amount) <= max;
        let room = fits(own, self.each_max) && fits(all, self.all_max);
        if room {
            held.insert(organisation, own + amount);
        }
        room
    }
}

impl<S: Deref<Target = Shares>> Drop for Share<S> {
    fn drop(&mut self) {
        let mut held = self.shares.held.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = held.get_mut(&self.organisation) {
            *own = own.saturating_sub(self.amount);
            if *own == 0 {
                held.remove(&self.organisation);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An organisation has its share and no more, all together theirs, and what is given back is
    /// there for the next.
    #[test]
    fn shares_are_bounded() {
        static SHARES: Shares = Shares::new(5, 3);
        let (one, two) = (Uuid::now_v7(), Uuid::now_v7());
        let mut ours: Vec<_> = (0..9).filter_map(|_| SHARES.take(one)).collect();
        assert_eq!(ours.len(), 3);
        let theirs: Vec<_> = (0..9).filter_map(|_| SHARES.take(two)).collect();
        assert_eq!(theirs.len(), 2, "what all have together");
        ours.pop();
        assert!(SHARES.take(Uuid::now_v7()).is_some(), "and gives it back at once");
        assert!(SHARES.take(one).is_some());
        drop((ours, theirs));
        assert!(SHARES.held.lock().unwrap().is_empty());
    }

    /// What is taken at once counts by its amount.
    #[test]
    fn amounts_are_bounded() {
        static SHARES: Shares = Shares::new(100, 60);
        let (one, two) = (Uuid::now_v7(), Uuid::now_v7());
        let most = SHARES.take_many(one, 50).unwrap();
        assert!(SHARES.take_many(one, 11).is_none());
        let rest = SHARES.take_many(one, 10).unwrap();
        assert!(SHARES.take_many(two, 41).is_none() && SHARES.take_many(two, usize::MAX).is_none());
        drop(most);
        assert!(SHARES.take_many(two, 41).is_some());
        drop(rest);
        assert!(SHARES.held.lock().unwrap().is_empty());
    }
}
