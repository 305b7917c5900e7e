//! Keys hold until they are revoked, in this process and the next, and never lie open.

use std::os::unix::fs::PermissionsExt;
use std::sync::atomic::{AtomicU32, Ordering};

use super::*;

/// A folder of its own that goes away with the test.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("talkpath-keys-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        let _ = fs::remove_dir_all(&path);
        Self(path)
    }

    fn file(&self) -> PathBuf {
        self.0.join("data/keys.json")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A key holds in every process that opens the file, until it is revoked in any of them.
#[test]
fn keys_hold_until_revoked() {
    let folder = Folder::new();
    let (ours, theirs) =
        (KeyStore::open(&folder.file()).unwrap(), KeyStore::open(&folder.file()).unwrap());
    let first = ours.create("ci", Scope::Calls).unwrap();
    let second = theirs.create("ops", Scope::Admin).unwrap();
    for store in [&ours, &theirs] {
        assert_eq!(store.verify(first.key.expose()), Some(first.info.clone()));
        assert_eq!(store.verify(second.key.expose()), Some(second.info.clone()));
        assert_eq!(store.list().unwrap(), [first.info.clone(), second.info.clone()]);
    }
    assert_eq!(theirs.revoke(&first.info.id).unwrap(), first.info);
    assert_eq!(ours.verify(first.key.expose()), None);
    assert_eq!(ours.verify(second.key.expose()), Some(second.info));
    assert!(matches!(ours.revoke(&first.info.id), Err(KeyError::NoSuchKey { .. })));
}

/// Nothing but the whole key holds.
#[test]
fn near_misses_do_not_hold() {
    let folder = Folder::new();
    let store = KeyStore::open(&folder.file()).unwrap();
    assert_eq!(store.verify("tp_x"), None, "no keys at all");
    let key = store.create("a", Scope::Read).unwrap().key;
    let key = key.expose();
    assert!(key.starts_with("tp_") && key.len() == 46, "256 bits in base64url");
    for end in 0..key.len() {
        assert_eq!(store.verify(&key[..end]), None);
    }
    for wrong in [format!("{key}x"), format!(" {key}"), key.to_uppercase(), hash(key)] {
        assert_eq!(store.verify(&wrong), None);
    }
}

/// The file and its folder are for the owner alone, and the key is not in it.
#[test]
fn the_file_is_private() {
    let folder = Folder::new();
    let store = KeyStore::open(&folder.file()).unwrap();
    fs::create_dir_all(folder.0.join("data")).unwrap();
    fs::write(folder.0.join("data/keys.new"), "left by a crash").unwrap();
    let made = store.create("a", Scope::Admin).unwrap();
    let mode = fs::metadata(folder.file()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let text = fs::read_to_string(folder.file()).unwrap();
    assert!(!text.contains(made.key.expose()) && text.contains(&made.info.id));
    assert!(!format!("{made:?} {store:?}").contains(made.key.expose()));
    assert!(!folder.0.join("data/keys.new").exists());
}

/// The first key is made once.
#[test]
fn the_first_key_is_made_once() {
    let folder = Folder::new();
    let store = KeyStore::open(&folder.file()).unwrap();
    let first = store.create_first().unwrap().unwrap();
    assert_eq!(first.info.scope, Scope::Admin);
    assert!(store.create_first().unwrap().is_none());
}

/// A damaged file is an error that names it, not an empty list that would invite a new first key.
#[test]
fn damage_is_noticed() {
    let folder = Folder::new();
    let store = KeyStore::open(&folder.file()).unwrap();
    let key = store.create("a", Scope::Admin).unwrap().key;
    let whole = fs::read_to_string(folder.file()).unwrap();
    for damaged in [&whole[..whole.len() / 2], "", "{}", "{\"version\":2,\"keys\":[]}"] {
        fs::write(folder.file(), damaged).unwrap();
        assert!(matches!(KeyStore::open(&folder.file()), Err(KeyError::Malformed { .. })));
        assert!(store.create_first().is_err());
        assert_eq!(store.verify(key.expose()), None);
    }
    fs::write(folder.file(), &whole).unwrap();
    assert!(store.verify(key.expose()).is_some());
}

/// Names are for people and for the log: no control characters, no novels.
#[test]
fn names_are_checked() {
    let folder = Folder::new();
    let store = KeyStore::open(&folder.file()).unwrap();
    for bad in ["", "a\nb", &"x".repeat(101)] {
        assert!(matches!(store.create(bad, Scope::Read), Err(KeyError::BadName)));
    }
    assert!(store.list().unwrap().is_empty());
}

/// Writers in parallel lose no key.
#[test]
fn writers_do_not_lose_keys() {
    let folder = Folder::new();
    std::thread::scope(|scope| {
        for writer in 0..4 {
            let file = folder.file();
            scope.spawn(move || {
                let store = KeyStore::open(&file).unwrap();
                for key in 0..5 {
                    store.create(&format!("{writer}-{key}"), Scope::Read).unwrap();
                }
            });
        }
    });
    assert_eq!(KeyStore::open(&folder.file()).unwrap().list().unwrap().len(), 20);
}

/// Scopes form a ladder.
#[test]
fn scopes_form_a_ladder() {
    let ladder = [Scope::Read, Scope::Calls, Scope::Admin];
    for (held, scope) in ladder.iter().enumerate() {
        for (needed, other) in ladder.iter().enumerate() {
            assert_eq!(scope.allows(*other), held >= needed);
        }
    }
}
