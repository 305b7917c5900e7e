//! Where recordings are found again.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use uuid::Uuid;

/// The recordings of this server, of calls that live and of those that are long over.
#[derive(Clone, Debug)]
pub struct Store {
    folders: Arc<[PathBuf]>,
    open: Arc<Mutex<HashSet<Uuid>>>,
}

/// What there is of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// Nothing.
    Nothing,
    /// It is being recorded.
    Open,
    /// A complete file.
    File(PathBuf),
}

impl Store {
    /// Recordings in `folders`; those of the calls in `open` are not complete.
    pub fn new(folders: Vec<PathBuf>, open: Arc<Mutex<HashSet<Uuid>>>) -> Self {
        Self { folders: folders.into(), open }
    }

    /// What there is of the call `id`. Asks the disk.
    pub fn find(&self, id: Uuid) -> Found {
        if self.open.lock().is_ok_and(|open| open.contains(&id)) {
            return Found::Open;
        }
        let name = file_name(id);
        let mut files = self.folders.iter().map(|folder| folder.join(&name));
        files.find(|file| file.is_file()).map_or(Found::Nothing, Found::File)
    }
}

/// Name of the file of the call `id`.
pub fn file_name(id: Uuid) -> String {
    format!("{id}.wav")
}
