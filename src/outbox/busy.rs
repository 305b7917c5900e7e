//! How many webhooks are under way to whom: who is slow holds up nobody else.

use std::collections::HashMap;
use std::hash::Hash;

use crate::store::{OrganisationId, SubscriptionId};

/// Webhooks under way to one subscription: a slow receiver holds up no other of its organisation.
pub(super) const PER_SUBSCRIPTION_MAX: u32 = 8;
/// Webhooks under way for one organisation: its slow receivers hold up no other organisation.
pub(super) const PER_ORGANISATION_MAX: u32 = 64;

/// Webhooks under way.
#[derive(Debug, Default)]
pub(super) struct Busy {
    subscriptions: HashMap<SubscriptionId, u32>,
    organisations: HashMap<OrganisationId, u32>,
}

impl Busy {
    /// How many more there may be to a subscription.
    pub(super) fn free(&self, subscription: SubscriptionId, organisation: OrganisationId) -> u32 {
        let here = self.subscriptions.get(&subscription).copied().unwrap_or(0);
        let all = self.organisations.get(&organisation).copied().unwrap_or(0);
        let free = PER_SUBSCRIPTION_MAX.saturating_sub(here);
        free.min(PER_ORGANISATION_MAX.saturating_sub(all))
    }

    /// One begins.
    pub(super) fn begin(&mut self, subscription: SubscriptionId, organisation: OrganisationId) {
        *self.subscriptions.entry(subscription).or_default() += 1;
        *self.organisations.entry(organisation).or_default() += 1;
    }

    /// One is over.
    pub(super) fn end(&mut self, subscription: SubscriptionId, organisation: OrganisationId) {
        lower(&mut self.subscriptions, &subscription);
        lower(&mut self.organisations, &organisation);
    }
}

/// Counts one less; of whom there is none nothing is kept.
fn lower<K: Hash + Eq>(counts: &mut HashMap<K, u32>, key: &K) {
    if let Some(count) = counts.get_mut(key) {
        *count = count.saturating_sub(1);
        if *count == 0 {
            counts.remove(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A subscription has so many, all of an organisation together have so many, and what is over
    /// leaves nothing behind.
    #[test]
    fn room_is_divided() {
        let (ours, theirs) = (OrganisationId::new(), OrganisationId::new());
        let all: Vec<SubscriptionId> = (0..9).map(|_| SubscriptionId::new()).collect();
        let mut busy = Busy::default();
        for subscription in &all[..8] {
            assert_eq!(busy.free(*subscription, ours), PER_SUBSCRIPTION_MAX);
            (0..PER_SUBSCRIPTION_MAX).for_each(|_| busy.begin(*subscription, ours));
            assert_eq!(busy.free(*subscription, ours), 0);
        }
        assert_eq!(busy.free(all[8], ours), 0, "the organisation has as many as it may");
        assert_eq!(busy.free(all[8], theirs), PER_SUBSCRIPTION_MAX);
        busy.end(all[0], ours);
        assert_eq!((busy.free(all[0], ours), busy.free(all[8], ours)), (1, 1));
        for subscription in &all[..8] {
            (0..PER_SUBSCRIPTION_MAX).for_each(|_| busy.end(*subscription, ours));
        }
        assert!(busy.subscriptions.is_empty() && busy.organisations.is_empty());
    }
}
