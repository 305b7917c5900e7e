//! Seals what must not lie open in the database: AES-256-GCM (NIST SP 800-38D).
//!
//! A sealed value says which key sealed it, and is bound to its table, row and field: moved
//! elsewhere it does not open. The first key seals, the others still open, so keys are changed by
//! putting a new one in front and sealing everything again.
//!
//! Sealed bytes: a version, the length of the key's id and the id, a random nonce of 96 bits, the
//! ciphertext and its tag of 128 bits. Random nonces allow 2^32 values under one key.

use std::fmt;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use thiserror::Error;

use crate::config::Secret;

/// Version of sealed bytes.
const VERSION: u8 = 1;
/// Bytes of a key.
const KEY_BYTES: usize = 32;
/// Longest id of a key.
const ID_BYTES_MAX: usize = 32;
/// Keys that may be held at once.
const KEYS_MAX: usize = 16;
/// Largest file of keys that is read.
const FILE_BYTES_MAX: u64 = 64 * 1024;

/// Where a sealed value lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place<'a> {
    /// Its table.
    pub table: &'a str,
    /// The identifier of its row.
    pub row: &'a [u8],
    /// Its column.
    pub field: &'a str,
}

/// Why something is not sealed or opened. Says nothing of keys and values.
#[derive(Debug, Error)]
pub enum SealError {
    /// A line of the keys is not understood.
    #[error("sealing key {number}: {reason}; allowed: an id, a colon and 32 bytes in base64")]
    BadKey {
        /// Which one, counted from 1.
        number: usize,
        /// What is wrong.
        reason: &'static str,
    },
    /// There are none, or too many.
    #[error("there are {found} sealing keys; allowed: 1 to {KEYS_MAX}")]
    Count {
        /// How many there are.
        found: usize,
    },
    /// The file of the keys cannot be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The value was sealed by a key that is not there.
    #[error("sealed by the key {id:?}, which is not among the sealing keys")]
    UnknownKey {
        /// Its id.
        id: String,
    },
    /// The bytes were not sealed here, for this place, by this key.
    #[error("a sealed value does not open: it was changed, moved, or sealed by another key")]
    Damaged,
    /// The system has no random bytes to give.
    #[error("no random bytes")]
    Random,
}

/// The keys: the first seals, all open.
pub struct SealKeys(Vec<SealKey>);

struct SealKey {
    id: String,
    key: LessSafeKey,
}

impl fmt::Debug for SealKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|key| &key.id)).finish()
    }
}

impl SealKeys {
    /// Reads keys: `id:base64` each, separated by blanks, line ends or commas; `#` begins a
    /// comment that ends with its line.
    ///
    /// # Errors
    ///
    /// If a key is not understood, if two have one id, if there are none or too many.
    pub fn parse(text: &str) -> Result<Self, SealError> {
        let lines = text.lines().map(|line| line.split('#').next().unwrap_or_default());
        let words = lines.flat_map(|line| line.split([',', ' ', '\t']));
        let mut keys: Vec<SealKey> = Vec::new();
        for (index, word) in words.filter(|word| !word.is_empty()).enumerate() {
            let bad = |reason| SealError::BadKey { number: index + 1, reason };
            let (id, key) = word.split_once(':').ok_or_else(|| bad("it has no id"))?;
            let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
            if id.is_empty() || id.len() > ID_BYTES_MAX || !id.bytes().all(fits) {
                return Err(bad("the id is not 1 to 32 letters, digits, \"-\", \"_\" or \".\""));
            }
            if keys.iter().any(|known| known.id == id) {
                return Err(bad("another key has this id"));
            }
            let bytes = STANDARD.decode(key).map_err(|_| bad("it is not base64"))?;
            if bytes.len() != KEY_BYTES {
                return Err(bad("it is not 32 bytes long"));
            }
            let key = UnboundKey::new(&AES_256_GCM, &bytes).map_err(|_| bad("it is no key"))?;
            keys.push(SealKey { id: id.to_owned(), key: LessSafeKey::new(key) });
        }
        if !(1..=KEYS_MAX).contains(&keys.len()) {
            return Err(SealError::Count { found: keys.len() });
        }
        Ok(Self(keys))
    }

    /// Reads the file at `path`.
    ///
    /// # Errors
    ///
    /// If it cannot be read or holds no keys.
    pub fn read(path: &Path) -> Result<Self, SealError> {
        let io = |source| SealError::Io { path: path.to_owned(), source };
        let file = fs::File::open(path).map_err(io)?;
        let mut text = String::new();
        io::Read::read_to_string(&mut io::Read::take(file, FILE_BYTES_MAX), &mut text)
            .map_err(io)?;
        Self::parse(&text)
    }

    /// Reads the file at `path`; if there is none, makes one with a new key, for the owner alone.
    ///
    /// # Errors
    ///
    /// If it cannot be read or written.
    pub fn read_or_make(path: &Path) -> Result<Self, SealError> {
        if !path.exists() {
            let line = generate("k1")?;
            match make(path, line.expose()) {
                // Another process was quicker; its file counts.
                Err(source) if source.kind() == io::ErrorKind::AlreadyExists => {}
                Err(source) => return Err(SealError::Io { path: path.to_owned(), source }),
                Ok(()) => {}
            }
        }
        Self::read(path)
    }

    /// Puts a new key in front of those in the file at `path`.
    ///
    /// # Errors
    ///
    /// If the file cannot be read or written, or holds as many keys as it may.
    pub fn add(path: &Path) -> Result<(), SealError> {
        let known = Self::read(path)?;
        if known.0.len() >= KEYS_MAX {
            return Err(SealError::Count { found: known.0.len() + 1 });
        }
        let free = |number: &usize| known.0.iter().all(|key| key.id != format!("k{number}"));
        let number = (known.0.len() + 1..).find(free).unwrap_or_default();
        let line = generate(&format!("k{number}"))?;
        let io = |source| SealError::Io { path: path.to_owned(), source };
        let text = Secret::new(fs::read_to_string(path).map_err(io)?);
        let fresh = write_fresh(path, &format!("{}\n{}", line.expose(), text.expose()));
        fresh.and_then(|fresh| fs::rename(fresh, path)).map_err(io)
    }

    /// The id of the key that seals.
    pub fn newest(&self) -> &str {
        self.0.first().map_or("", |key| &key.id)
    }

    /// Seals `plain` for this place.
    ///
    /// # Errors
    ///
    /// If there is no randomness.
    pub fn seal(&self, place: &Place<'_>, plain: &[u8]) -> Result<Vec<u8>, SealError> {
        let key = self.0.first().ok_or(SealError::Count { found: 0 })?;
        let mut nonce = [0; NONCE_LEN];
        getrandom::fill(&mut nonce).map_err(|_| SealError::Random)?;
        let id_bytes = u8::try_from(key.id.len()).map_err(|_| SealError::Damaged)?;
        let mut sealed = vec![VERSION, id_bytes];
        sealed.extend_from_slice(key.id.as_bytes());
        sealed.extend_from_slice(&nonce);
        let mut body = plain.to_vec();
        let aad = Aad::from(bound(&key.id, place));
        let nonce = Nonce::assume_unique_for_key(nonce);
        key.key.seal_in_place_append_tag(nonce, aad, &mut body).map_err(|_| SealError::Damaged)?;
        sealed.append(&mut body);
        Ok(sealed)
    }

    /// Opens what was sealed for this place.
    ///
    /// # Errors
    ///
    /// If it was not, if it was changed, or if its key is not there.
    pub fn open(&self, place: &Place<'_>, sealed: &[u8]) -> Result<Vec<u8>, SealError> {
        let (id, rest) = split(sealed).ok_or(SealError::Damaged)?;
        let (nonce, body) = rest.split_at_checked(NONCE_LEN).ok_or(SealError::Damaged)?;
        let Some(key) = self.0.iter().find(|key| key.id == id) else {
            return Err(SealError::UnknownKey { id: id.to_owned() });
        };
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| SealError::Damaged)?;
        let mut body = body.to_vec();
        let aad = Aad::from(bound(id, place));
        let plain = key.key.open_in_place(nonce, aad, &mut body).map_err(|_| SealError::Damaged)?;
        let length = plain.len();
        body.truncate(length);
        Ok(body)
    }
}

/// The id of the key that sealed these bytes. `None` if nothing was sealed so.
pub fn key_id(sealed: &[u8]) -> Option<&str> {
    split(sealed).map(|(id, _)| id)
}

fn split(sealed: &[u8]) -> Option<(&str, &[u8])> {
    let [VERSION, id_bytes, rest @ ..] = sealed else { return None };
    let (id, rest) = rest.split_at_checked(usize::from(*id_bytes))?;
    let id = std::str::from_utf8(id).ok()?;
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    id.bytes().all(fits).then_some((id, rest))
}

/// What is authenticated with the value: each part with its length in front, so that no two places
/// look alike.
fn bound(id: &str, place: &Place<'_>) -> Vec<u8> {
    let mut bytes = vec![VERSION];
    for part in [id.as_bytes(), place.table.as_bytes(), place.row, place.field.as_bytes()] {
        let length = u64::try_from(part.len()).unwrap_or(u64::MAX);
        bytes.extend_from_slice(&length.to_be_bytes());
        bytes.extend_from_slice(part);
    }
    bytes
}

/// A new key as a line of text.
///
/// # Errors
///
/// If there is no randomness.
pub fn generate(id: &str) -> Result<Secret, SealError> {
    let mut key = [0; KEY_BYTES];
    getrandom::fill(&mut key).map_err(|_| SealError::Random)?;
    Ok(Secret::new(format!("{id}:{}", STANDARD.encode(key))))
}

/// Writes a file that must not exist yet.
fn make(path: &Path, line: &str) -> io::Result<()> {
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    }
    let text = format!(
        "# Opens what is sealed in the database. Keep a copy elsewhere: without it carrier\n\
         # credentials must be entered again.\n{line}\n"
    );
    let fresh = write_fresh(path, &text)?;
    let linked = fs::hard_link(&fresh, path);
    fs::remove_file(&fresh)?;
    linked
}

/// Writes what is to be the file at `path`, whole under another name: whoever looks meanwhile must
/// not read half a key.
fn write_fresh(path: &Path, text: &str) -> io::Result<PathBuf> {
    let fresh = path.with_extension(format!("new{}", std::process::id()));
    let mut options = OpenOptions::new();
    let mut file = options.write(true).create_new(true).mode(0o600).open(&fresh)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    Ok(fresh)
}

#[cfg(test)]
mod tests;
