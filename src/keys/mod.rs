//! API keys: made here, shown once, stored hashed.
//!
//! A key is `tp_` and 256 random bits in base64url. The database holds its SHA-256: a key has too
//! much entropy for guessing, so a slow password hash would only slow down every request, and the
//! hash finds the key without a comparison whose time could tell anything. Each request asks the
//! database, so that a key that was revoked elsewhere holds no longer at once.

pub mod command;
mod file;
#[cfg(test)]
mod tests;

use std::io;
use std::path::PathBuf;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use thiserror::Error;

use crate::config::Secret;
use crate::store::keys::KeyHash;
use crate::store::{Actor, OrganisationId, Store, StoreError, Timestamp};

/// What every key starts with.
const PREFIX: &str = "tp_";
/// Random bytes of a key.
const KEY_BYTES: usize = 32;
/// Random bytes of a key's id.
const ID_BYTES: usize = 4;
/// Keys of one organisation that may hold at once.
const KEYS_MAX: u32 = 1_000;
/// Longest name of a key.
const NAME_BYTES_MAX: usize = 100;
/// Longest text that is looked up as a key.
const PRESENTED_BYTES_MAX: usize = 128;

/// What a key may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// Everything, and the organisations of the server.
    Server,
    /// Everything of its organisation.
    Admin,
    /// Place, steer and see calls.
    Calls,
    /// See calls.
    Read,
}

impl Scope {
    /// True if a key of this scope may do what needs `needed`.
    pub const fn allows(self, needed: Self) -> bool {
        self.rank() >= needed.rank()
    }

    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Server => "server",
            Self::Admin => "admin",
            Self::Calls => "calls",
            Self::Read => "read",
        }
    }

    /// The scope with this word.
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Server, Self::Admin, Self::Calls, Self::Read]
            .into_iter()
            .find(|scope| scope.as_str() == word)
    }

    const fn rank(self) -> u8 {
        match self {
            Self::Read => 0,
            Self::Calls => 1,
            Self::Admin => 2,
            Self::Server => 3,
        }
    }
}

/// A key as it is stored and listed: everything but the key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct KeyInfo {
    /// Names the key in `revoke` and in the log.
    pub id: String,
    /// Whose it is.
    #[serde(skip)]
    pub organisation: OrganisationId,
    /// For people.
    pub name: String,
    /// What it may do.
    pub scope: Scope,
    /// When it was made, in seconds since 1970.
    pub created_unix_s: u64,
}

/// A key just made.
#[derive(Clone, Debug)]
pub struct NewKey {
    /// What is known of it from now on.
    pub info: KeyInfo,
    /// The key: shown once, stored nowhere.
    pub key: Secret,
}

/// Why keys could not be read or written.
#[derive(Debug, Error)]
pub enum KeyError {
    /// The store refuses.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The file of an earlier version cannot be read or put away.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file of an earlier version is not what was written.
    #[error("{}: not a file of keys: {reason}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// No key has this id.
    #[error("no key has the id {id:?}; `talkpath key list` shows those that exist")]
    NoSuchKey {
        /// The id.
        id: String,
    },
    /// The name is empty, too long, or holds control characters.
    #[error("a name has 1 to {NAME_BYTES_MAX} bytes and no control characters")]
    BadName,
    /// The organisation has as many as it may.
    #[error("there are {KEYS_MAX} keys already; revoke one first")]
    TooMany,
    /// The system has no random bytes to give.
    #[error("no random bytes: {0}")]
    Random(getrandom::Error),
}

/// The keys in a store.
#[derive(Clone, Debug)]
pub struct Keys(Store);

impl Keys {
    /// The keys in this store.
    pub const fn new(store: Store) -> Self {
        Self(store)
    }

    /// Makes a key.
    ///
    /// # Errors
    ///
    /// If the name is no name, or the store cannot be written.
    pub async fn create(
        &self,
        organisation: OrganisationId,
        name: &str,
        scope: Scope,
        actor: &Actor,
    ) -> Result<NewKey, KeyError> {
        let fits = (1..=NAME_BYTES_MAX).contains(&name.len());
        if !fits || name.chars().any(char::is_control) {
            return Err(KeyError::BadName);
        }
        let (made, hash) = make(organisation, name, scope)?;
        if !self.0.create_key(&made.info, &hash, KEYS_MAX, actor).await? {
            return Err(KeyError::TooMany);
        }
        Ok(made)
    }

    /// Makes the first key of all, of scope server, if there never was one.
    ///
    /// # Errors
    ///
    /// If the store cannot be read or written.
    pub async fn create_first(&self) -> Result<Option<NewKey>, KeyError> {
        let (made, hash) = make(self.0.default_organisation(), "first", Scope::Server)?;
        let first = self.0.create_first_key(&made.info, &hash).await?;
        Ok(first.then_some(made))
    }

    /// The keys of an organisation that hold, oldest first.
    ///
    /// # Errors
    ///
    /// If the store cannot be read.
    pub async fn list(&self, organisation: OrganisationId) -> Result<Vec<KeyInfo>, KeyError> {
        Ok(self.0.keys(organisation).await?)
    }

    /// Makes the key with this id invalid.
    ///
    /// # Errors
    ///
    /// If there is no such key, or the store cannot be written.
    pub async fn revoke(
        &self,
        organisation: OrganisationId,
        id: &str,
        actor: &Actor,
    ) -> Result<KeyInfo, KeyError> {
        match self.0.revoke_key(organisation, id, actor).await {
            Err(StoreError::NotFound) => Err(KeyError::NoSuchKey { id: id.to_owned() }),
            revoked => Ok(revoked?),
        }
    }

    /// What is known of the key that was presented; `None` if it does not hold.
    ///
    /// # Errors
    ///
    /// If the store cannot be read: then nobody knows.
    pub async fn verify(&self, presented: &str) -> Result<Option<KeyInfo>, StoreError> {
        if !presented.starts_with(PREFIX) || presented.len() > PRESENTED_BYTES_MAX {
            return Ok(None);
        }
        self.0.key_by_hash(&hash(presented)).await
    }
}

/// A key and its hash.
fn make(
    organisation: OrganisationId,
    name: &str,
    scope: Scope,
) -> Result<(NewKey, KeyHash), KeyError> {
    let mut random = [0; KEY_BYTES + ID_BYTES];
    getrandom::fill(&mut random).map_err(KeyError::Random)?;
    let (key, id) = random.split_at(KEY_BYTES);
    let key = format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(key));
    let hash = hash(&key);
    let info = KeyInfo {
        id: id.iter().map(|byte| format!("{byte:02x}")).collect(),
        organisation,
        name: name.to_owned(),
        scope,
        created_unix_s: Timestamp::now().unix_s(),
    };
    Ok((NewKey { info, key: Secret::new(key) }, hash))
}

fn hash(key: &str) -> KeyHash {
    Sha256::digest(key.as_bytes()).into()
}
