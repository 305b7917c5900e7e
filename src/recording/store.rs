//! Where recordings are found again.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use uuid::Uuid;

/// What this server has recorded, of calls that live and of those that are long over.
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

    /// Removes complete recordings that were last written before `before`, and nothing else that
    /// lies beside them. How many; what cannot be removed stays.
    pub fn forget(&self, before: SystemTime) -> u64 {
        let folders = self.folders.iter().filter_map(|folder| std::fs::read_dir(folder).ok());
        let mut removed = 0;
        for entry in folders.flatten().flatten() {
            let name = entry.file_name();
            let id = name.to_str().and_then(|name| name.strip_suffix(".wav"));
            let Some(id) = id.and_then(|id| Uuid::try_parse(id).ok()) else { continue };
            if name.to_str() != Some(file_name(id).as_str()) || self.is_open(id) {
                continue;
            }
            let written = entry.metadata().and_then(|about| about.modified());
            if written.is_ok_and(|written| written < before) {
                match std::fs::remove_file(entry.path()) {
                    Ok(()) => removed += 1,
                    Err(error) => tracing::warn!(%error, call = %id, "a recording is not removed"),
                }
            }
        }
        removed
    }

    /// Removes what there is under the id `id`, complete or not. Asks the disk.
    ///
    /// # Errors
    ///
    /// If something is there and cannot be removed.
    pub fn remove(&self, id: Uuid) -> std::io::Result<()> {
        let name = file_name(id);
        self.folders.iter().try_for_each(|folder| gone(&folder.join(&name)))
    }

    /// The same, and the file that `id` was written to, wherever that is.
    ///
    /// # Errors
    ///
    /// If something is there and cannot be removed.
    pub fn remove_written(&self, id: Uuid, path: Option<&Path>) -> std::io::Result<()> {
        path.map_or(Ok(()), gone)?;
        self.remove(id)
    }

    /// True if `id` is being recorded, or was and is not complete yet.
    pub fn is_open(&self, id: Uuid) -> bool {
        self.open.lock().is_ok_and(|open| open.contains(&id))
    }

    /// What there is of the call `id`. Asks the disk.
    pub fn find(&self, id: Uuid) -> Found {
        if self.is_open(id) {
            return Found::Open;
        }
        let name = file_name(id);
        let mut files = self.folders.iter().map(|folder| folder.join(&name));
        files.find(|file| file.is_file()).map_or(Found::Nothing, Found::File)
    }

    /// What there is of the call `id`, which was written to `path` if that is known: the file may
    /// lie where recordings no longer go, or have been moved to where they do. Asks the disk.
    pub fn find_written(&self, id: Uuid, path: Option<&Path>) -> Found {
        match path.filter(|path| !self.is_open(id) && path.is_file()) {
            Some(path) => Found::File(path.to_owned()),
            None => self.find(id),
        }
    }
}

/// Removes a file that may not be there.
fn gone(path: &Path) -> std::io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Name of the file of the call `id`.
pub fn file_name(id: Uuid) -> String {
    format!("{id}.wav")
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::time::Duration;

    use super::*;

    /// Old recordings go; younger ones, those that are open, and other files stay.
    #[test]
    fn old_recordings_are_forgotten() {
        let folder = std::env::temp_dir().join(format!("talkpath-forget-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let now = SystemTime::now();
        let day = Duration::from_secs(86_400);
        let write = |name: &str, age: Duration| {
            let file = fs::File::create(folder.join(name)).unwrap();
            file.set_modified(now - age).unwrap();
        };
        let [old, young, open] = [Uuid::now_v7(), Uuid::now_v7(), Uuid::now_v7()];
        write(&file_name(old), day * 3);
        write(&file_name(open), day * 3);
        write(&file_name(young), day);
        for other in ["greeting.wav", "x.txt", &format!("{{{old}}}.wav"), &format!("{old}.mp3")] {
            write(other, day * 9);
        }
        let store = Store::new(
            vec![folder.clone(), folder.join("nowhere")],
            Arc::new(Mutex::new(HashSet::from([open]))),
        );
        assert_eq!(store.forget(now - day * 2), 1);
        assert_eq!(store.find(old), Found::Nothing);
        assert!(matches!(store.find(young), Found::File(_)));
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 6);
        assert_eq!(store.forget(now - day * 2), 0);
        store.remove(young).unwrap();
        assert_eq!(store.find(young), Found::Nothing);
        store.remove(young).unwrap();

        // One that lies where no recordings go any more.
        let elsewhere = folder.join("elsewhere.wav");
        write("elsewhere.wav", day);
        for id in [young, open] {
            let found = store.find_written(id, Some(&elsewhere));
            let expected = if id == open { Found::Open } else { Found::File(elsewhere.clone()) };
            assert_eq!(found, expected);
            assert_eq!(store.find_written(young, None), Found::Nothing);
        }
        store.remove_written(young, Some(&elsewhere)).unwrap();
        store.remove_written(young, Some(&elsewhere)).unwrap();
        assert_eq!(store.find_written(young, Some(&elsewhere)), Found::Nothing);
        fs::remove_dir_all(folder).unwrap();
    }
}
