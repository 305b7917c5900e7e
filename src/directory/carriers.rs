//! Configurations of carriers whose calls are controlled over HTTP.

use std::collections::HashMap;
use std::sync::Arc;

use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::carrier::Account;

/// Configurations of carriers, found by their id and by the token of their hooks.
#[derive(Clone, Debug, Default)]
pub struct Carriers {
    by_id: HashMap<Uuid, Arc<Account>>,
    /// By the hash of the token: how long a look-up takes tells nothing of the tokens.
    by_token: HashMap<[u8; 32], Uuid>,
    /// One of each carrier.
    any: HashMap<&'static str, Uuid>,
    /// Those that are parked: of them calls are only led to their end.
    parked: HashMap<Uuid, Arc<Account>>,
}

fn hash(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

impl Carriers {
    /// Of these.
    pub fn new(accounts: Vec<Account>) -> Self {
        let hashed = |account: &Account| (hash(account.token.expose()), account.id);
        Self {
            by_token: accounts.iter().map(hashed).collect(),
            any: accounts.iter().map(|account| (account.spec.name, account.id)).collect(),
            by_id: accounts.into_iter().map(|one| (one.id, Arc::new(one))).collect(),
            parked: HashMap::new(),
        }
    }

    /// The same, and these, which are parked.
    #[must_use]
    pub fn and_parked(mut self, accounts: Vec<Account>) -> Self {
        for account in accounts {
            self.by_token.insert(hash(account.token.expose()), account.id);
            self.parked.insert(account.id, Arc::new(account));
        }
        self
    }

    /// The one with this id, unless it is parked.
    pub fn get(&self, id: Uuid) -> Option<&Arc<Account>> {
        self.by_id.get(&id)
    }

    /// The one with this id, parked or not: for calls that began by it.
    pub fn of_call(&self, id: Uuid) -> Option<&Arc<Account>> {
        self.get(id).or_else(|| self.parked.get(&id))
    }

    /// Whether the one with this id is parked.
    pub fn is_parked(&self, id: Uuid) -> bool {
        self.parked.contains_key(&id)
    }

    /// One of a carrier, whichever, if there is any.
    pub fn any_of(&self, provider: &str) -> Option<&Arc<Account>> {
        self.get(*self.any.get(provider)?)
    }

    /// All that tell what happens by a socket of events.
    pub fn with_events(&self) -> Vec<Arc<Account>> {
        let has = |account: &&Arc<Account>| account.spec.events.is_some();
        self.by_id.values().filter(has).cloned().collect()
    }

    /// The one of `provider` whose hooks' addresses hold `token`, unless it is parked.
    pub fn by_token(&self, provider: &str, token: &str) -> Option<&Arc<Account>> {
        self.hooked(provider, token).filter(|account| !self.is_parked(account.id))
    }

    /// The one of `provider` whose hooks' addresses hold `token`, parked or not: what its carrier
    /// tells of calls that began by it is heard.
    pub fn hooked(&self, provider: &str, token: &str) -> Option<&Arc<Account>> {
        let account = self.of_call(*self.by_token.get(&hash(token))?)?;
        (account.spec.name == provider).then_some(account)
    }

    /// Those of an organisation that calls can be placed by, its default first, then in the order
    /// in which they were made.
    pub fn outbound(&self, organisation: Uuid) -> Vec<Arc<Account>> {
        let places = |account: &&Arc<Account>| {
            account.organisation == organisation && account.spec.calls.originate.is_some()
        };
        let mut found: Vec<_> = self.by_id.values().filter(places).cloned().collect();
        found.sort_by_key(|account| (!account.is_default, account.id));
        found
    }
}

#[cfg(test)]
mod tests {
    use adapters::table::PROVIDERS;

    use super::*;
    use crate::config::Secret;
    use crate::quota::Limits;

    fn account(id: u128) -> Account {
        Account {
            id: Uuid::from_u128(id),
            organisation: Uuid::nil(),
            name: "test".to_owned(),
            spec: PROVIDERS[0],
            config: adapters::config::RawConfig::default(),
            token: Secret::new(id.to_string()),
            limits: Limits::default(),
            is_default: false,
        }
    }

    /// One that is parked is found for the calls that began by it, and for nothing else.
    #[test]
    fn the_parked_lead_their_calls_to_the_end() {
        let carriers = Carriers::new(vec![account(1)]).and_parked(vec![account(2)]);
        let [active, parked] = [1, 2].map(Uuid::from_u128);
        let name = PROVIDERS[0].name;
        let id = |found: Option<&Arc<Account>>| found.map(|account| account.id);
        assert_eq!((id(carriers.get(active)), id(carriers.get(parked))), (Some(active), None));
        assert_eq!(id(carriers.any_of(name)), Some(active));
        assert!(carriers.is_parked(parked) && !carriers.is_parked(active));
        for (one, token) in [(active, "1"), (parked, "2")] {
            assert_eq!(id(carriers.of_call(one)), Some(one));
            assert_eq!(id(carriers.hooked(name, token)), Some(one));
        }
        assert_eq!(id(carriers.by_token(name, "1")), Some(active));
        assert_eq!(id(carriers.by_token(name, "2")), None);
        assert_eq!(id(carriers.hooked(PROVIDERS[1].name, "2")), None, "another carrier's address");
        assert_eq!(id(carriers.hooked(name, "3")), None);
    }
}
