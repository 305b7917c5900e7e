//! `[database]` and `[seal]`: where things are kept, and what seals them.

use std::path::{Path, PathBuf};

use super::section::Section;
use crate::store::{DatabaseUrl, SealSource};

/// File of the database in the data folder.
const DATABASE_FILE: &str = "talkpath.db";
/// File of the sealing keys in the data folder.
const SEAL_FILE: &str = "seal.keys";

/// `[database]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DatabaseConfig {
    /// Where it is.
    pub url: DatabaseUrl,
}

pub(super) fn database(section: Section<'_>, data_dir: &Path) -> DatabaseConfig {
    // A URL may hold a password, so what is wrong with it is told without it.
    let url = section.secret("url", 1).and_then(|url| match DatabaseUrl::parse(url.expose()) {
        Ok(DatabaseUrl::Sqlite(path)) => Some(DatabaseUrl::Sqlite(section.based("url", path))),
        Ok(url) => Some(url),
        Err(why) => {
            section.conflict("url", format!("{why}; allowed: {}", DatabaseUrl::ALLOWED));
            None
        }
    });
    section.finish();
    let url = url.unwrap_or_else(|| DatabaseUrl::Sqlite(data_dir.join(DATABASE_FILE)));
    DatabaseConfig { url }
}

pub(super) fn seal(section: Section<'_>, data_dir: &Path) -> SealSource {
    let keys = section.secret("keys", 1);
    let file: Option<PathBuf> = section.path("keys_file");
    if let Some(keys) = &keys {
        if let Err(error) = crate::seal::SealKeys::parse(keys.expose()) {
            section.conflict("keys", error.to_string());
        }
        if file.is_some() {
            section.conflict("keys_file", "the keys are given already, by seal.keys".to_owned());
        }
    }
    section.finish();
    match (keys, file) {
        (Some(keys), _) => SealSource::Keys(keys),
        (None, Some(file)) => SealSource::File(file),
        (None, None) => SealSource::Own(data_dir.join(SEAL_FILE)),
    }
}
