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
        }
    }

    /// The one with this id.
    pub fn get(&self, id: Uuid) -> Option<&Arc<Account>> {
        self.by_id.get(&id)
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

    /// The one of `provider` whose hooks' addresses hold `token`.
    pub fn by_token(&self, provider: &str, token: &str) -> Option<&Arc<Account>> {
        let account = self.get(*self.by_token.get(&hash(token))?)?;
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
