//! API keys: made here, shown once, stored hashed.
//!
//! A key is `tp_` and 256 random bits in base64url. The file holds its SHA-256: a key has too much
//! entropy for guessing, so a slow password hash would only slow down every request. The file is
//! written whole under another name and renamed, with mode 0600, under a lock that keeps two
//! writers apart. A running server notices when the file changes.

pub mod command;
#[cfg(test)]
mod tests;

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};
use thiserror::Error;

use crate::config::Secret;

/// What every key starts with.
const PREFIX: &str = "tp_";
/// Random bytes of a key.
const KEY_BYTES: usize = 32;
/// Random bytes of a key's id.
const ID_BYTES: usize = 4;
/// Keys that one file may hold.
const KEYS_MAX: usize = 1_000;
/// Longest name of a key.
const NAME_BYTES_MAX: usize = 100;
/// Version of the file that is written.
const FILE_VERSION: u32 = 1;

/// What a key may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// Everything.
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
            Self::Admin => "admin",
            Self::Calls => "calls",
            Self::Read => "read",
        }
    }

    const fn rank(self) -> u8 {
        match self {
            Self::Read => 0,
            Self::Calls => 1,
            Self::Admin => 2,
        }
    }
}

/// A key as it is stored and listed: everything but the key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct KeyInfo {
    /// Names the key in `revoke` and in the log.
    pub id: String,
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
    /// The file system refuses.
    #[error("{}: {source}", path.display())]
    Io {
        /// File or folder.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
    /// The file is not what was written.
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
    /// The file is full.
    #[error("there are {KEYS_MAX} keys already; revoke one first")]
    TooMany,
    /// The system has no random bytes to give.
    #[error("no random bytes: {0}")]
    Random(getrandom::Error),
}

/// One line of the file.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredKey {
    id: String,
    name: String,
    scope: Scope,
    created_unix_s: u64,
    /// SHA-256 of the key's text, in hexadecimal digits.
    sha256: String,
}

impl StoredKey {
    fn info(&self) -> KeyInfo {
        KeyInfo {
            id: self.id.clone(),
            name: self.name.clone(),
            scope: self.scope,
            created_unix_s: self.created_unix_s,
        }
    }
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeyFile {
    version: u32,
    keys: Vec<StoredKey>,
}

/// What tells one state of the file from another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    inode: u64,
    bytes: u64,
    modified_s: i64,
    modified_ns: i64,
}

/// The keys as last read.
#[derive(Debug, Default)]
struct Loaded {
    stamp: Option<Stamp>,
    keys: Vec<StoredKey>,
}

/// The keys of one data folder.
#[derive(Debug)]
pub struct KeyStore {
    path: PathBuf,
    loaded: Mutex<Loaded>,
}

impl KeyStore {
    /// The keys in the file at `path`; a file that does not exist holds none.
    ///
    /// # Errors
    ///
    /// If there is a file that cannot be read.
    pub fn open(path: &Path) -> Result<Self, KeyError> {
        let store = Self { path: path.to_owned(), loaded: Mutex::default() };
        drop(store.refresh()?);
        Ok(store)
    }

    /// Makes a key.
    ///
    /// # Errors
    ///
    /// If the name is no name, or the file cannot be written.
    pub fn create(&self, name: &str, scope: Scope) -> Result<NewKey, KeyError> {
        let fits = (1..=NAME_BYTES_MAX).contains(&name.len());
        if !fits || name.chars().any(char::is_control) {
            return Err(KeyError::BadName);
        }
        let _alone = self.lock_file()?;
        let mut keys = self.refresh()?.keys.clone();
        if keys.len() >= KEYS_MAX {
            return Err(KeyError::TooMany);
        }
        let (key, stored) = make(name, scope)?;
        let info = stored.info();
        keys.push(stored);
        self.write(&keys)?;
        Ok(NewKey { info, key })
    }

    /// Makes the first key, of scope admin, if there is none.
    ///
    /// # Errors
    ///
    /// If the file cannot be read or written.
    pub fn create_first(&self) -> Result<Option<NewKey>, KeyError> {
        if self.refresh()?.keys.is_empty() {
            return self.create("first", Scope::Admin).map(Some);
        }
        Ok(None)
    }

    /// All keys that hold, oldest first.
    ///
    /// # Errors
    ///
    /// If the file cannot be read.
    pub fn list(&self) -> Result<Vec<KeyInfo>, KeyError> {
        Ok(self.refresh()?.keys.iter().map(StoredKey::info).collect())
    }

    /// Makes the key with this id invalid.
    ///
    /// # Errors
    ///
    /// If there is no such key, or the file cannot be written.
    pub fn revoke(&self, id: &str) -> Result<KeyInfo, KeyError> {
        let _alone = self.lock_file()?;
        let mut keys = self.refresh()?.keys.clone();
        let Some(index) = keys.iter().position(|key| key.id == id) else {
            return Err(KeyError::NoSuchKey { id: id.to_owned() });
        };
        let revoked = keys.remove(index);
        self.write(&keys)?;
        Ok(revoked.info())
    }

    /// What is known of the key that was presented; `None` if it does not hold.
    ///
    /// The time it takes depends on the number of keys, not on what they have in common with
    /// `presented`. If the file cannot be read, nothing holds.
    pub fn verify(&self, presented: &str) -> Option<KeyInfo> {
        let loaded = self.refresh().ok()?;
        let hash = hash(presented);
        // A place outside the list stands for "none".
        let mut found = u64::MAX;
        for (index, key) in (0_u64..).zip(&loaded.keys) {
            let equal: Choice = key.sha256.as_bytes().ct_eq(hash.as_bytes());
            found.conditional_assign(&index, equal);
        }
        loaded.keys.get(usize::try_from(found).ok()?).map(StoredKey::info)
    }

    /// Reads the file again if it has changed.
    fn refresh(&self) -> Result<MutexGuard<'_, Loaded>, KeyError> {
        // The keys are replaced whole, so a panic elsewhere cannot have left half of them.
        let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        let stamp = match fs::metadata(&self.path) {
            Ok(metadata) => Some(Stamp {
                inode: metadata.ino(),
                bytes: metadata.len(),
                modified_s: metadata.mtime(),
                modified_ns: metadata.mtime_nsec(),
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(self.io(error)),
        };
        if stamp != loaded.stamp {
            let keys = if stamp.is_some() { self.read()? } else { Vec::new() };
            *loaded = Loaded { stamp, keys };
        }
        Ok(loaded)
    }

    fn read(&self) -> Result<Vec<StoredKey>, KeyError> {
        let text = fs::read_to_string(&self.path).map_err(|error| self.io(error))?;
        let malformed = |reason| KeyError::Malformed { path: self.path.clone(), reason };
        let file: KeyFile =
            serde_json::from_str(&text).map_err(|error| malformed(error.to_string()))?;
        if file.version != FILE_VERSION {
            return Err(malformed(format!("version {} is not {FILE_VERSION}", file.version)));
        }
        Ok(file.keys)
    }

    /// Puts `keys` into the place of the file, or fails and leaves the old one.
    fn write(&self, keys: &[StoredKey]) -> Result<(), KeyError> {
        let file = KeyFile { version: FILE_VERSION, keys: keys.to_vec() };
        let text = serde_json::to_vec_pretty(&file).map_err(|error| self.io(error.into()))?;
        let fresh = self.path.with_extension("new");
        let written = (|| {
            // A leftover of a crash may have another mode; the mode counts at creation only.
            match fs::remove_file(&fresh) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            let mut options = OpenOptions::new();
            let mut file = options.write(true).create_new(true).mode(0o600).open(&fresh)?;
            file.write_all(&text)?;
            file.sync_all()?;
            fs::rename(&fresh, &self.path)?;
            File::open(self.folder())?.sync_all()
        })();
        written.map_err(|error| self.io(error))
    }

    /// Keeps other writers out until the returned file is dropped.
    fn lock_file(&self) -> Result<File, KeyError> {
        let folder = self.folder();
        let mut builder = fs::DirBuilder::new();
        let made = builder.recursive(true).mode(0o700).create(folder);
        made.map_err(|source| KeyError::Io { path: folder.to_owned(), source })?;
        let path = self.path.with_extension("lock");
        let mut options = OpenOptions::new();
        let opened = options.write(true).create(true).truncate(false).mode(0o600).open(&path);
        let locked = opened.and_then(|file| file.lock().map(|()| file));
        locked.map_err(|source| KeyError::Io { path, source })
    }

    fn folder(&self) -> &Path {
        match self.path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        }
    }

    fn io(&self, source: io::Error) -> KeyError {
        KeyError::Io { path: self.path.clone(), source }
    }
}

/// A key and how it is stored.
fn make(name: &str, scope: Scope) -> Result<(Secret, StoredKey), KeyError> {
    let mut random = [0; KEY_BYTES + ID_BYTES];
    getrandom::fill(&mut random).map_err(KeyError::Random)?;
    let (key, id) = random.split_at(KEY_BYTES);
    let key = format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(key));
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let stored = StoredKey {
        id: hex(id),
        name: name.to_owned(),
        scope,
        created_unix_s: now.as_secs(),
        sha256: hash(&key),
    };
    Ok((Secret::new(key), stored))
}

fn hash(key: &str) -> String {
    hex(&Sha256::digest(key.as_bytes()))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
