//! The file in which an earlier version kept the keys: taken over once, then put away.

use std::fs;
use std::io;
use std::path::Path;

use serde::Deserialize;

use super::{KeyError, KeyInfo, Keys, Scope};
use crate::store::OrganisationId;
use crate::store::keys::KeyHash;

/// Version of the file that is understood.
const FILE_VERSION: u32 = 1;

#[derive(Deserialize)]
struct KeyFile {
    version: u32,
    keys: Vec<StoredKey>,
}

#[derive(Deserialize)]
struct StoredKey {
    id: String,
    name: String,
    scope: Scope,
    created_unix_s: u64,
    /// SHA-256 of the key's text, in hexadecimal digits.
    sha256: String,
}

impl Keys {
    /// Takes over the keys in the file at `path`, if there is one, and renames it so that they are
    /// not taken over again, revoked ones included.
    ///
    /// # Errors
    ///
    /// If there is a file that cannot be read or renamed, or the store cannot be written.
    pub async fn import(&self, path: &Path) -> Result<usize, KeyError> {
        let io = |source| KeyError::Io { path: path.to_owned(), source };
        let text = match fs::read_to_string(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
            text => text.map_err(io)?,
        };
        let keys = read(&text, self.0.default_organisation())
            .map_err(|reason| KeyError::Malformed { path: path.to_owned(), reason })?;
        self.0.import_keys(&keys).await?;
        fs::rename(path, path.with_extension("json.imported")).map_err(io)?;
        Ok(keys.len())
    }
}

fn read(text: &str, organisation: OrganisationId) -> Result<Vec<(KeyInfo, KeyHash)>, String> {
    let file: KeyFile = serde_json::from_str(text).map_err(|error| error.to_string())?;
    if file.version != FILE_VERSION {
        return Err(format!("version {} is not {FILE_VERSION}", file.version));
    }
    let keys = file.keys.into_iter().map(|key| {
        let hash = unhex(&key.sha256).ok_or("a hash is not 64 hexadecimal digits")?;
        let StoredKey { id, name, scope, created_unix_s, .. } = key;
        Ok((KeyInfo { id, organisation, name, scope, created_unix_s }, hash))
    });
    keys.collect()
}

fn unhex(digits: &str) -> Option<KeyHash> {
    let mut hash = KeyHash::default();
    if digits.len() != hash.len() * 2 {
        return None;
    }
    for (index, byte) in hash.iter_mut().enumerate() {
        *byte = u8::from_str_radix(digits.get(index * 2..index * 2 + 2)?, 16).ok()?;
    }
    Some(hash)
}
