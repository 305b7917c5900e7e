//! Keys hold until they are revoked, in this process and the next, and never lie open.

use super::*;
use crate::store::tests::{Db, on_both};

/// A key without the second in which it was made: whoever makes one and the store look at the clock
/// one after the other.
fn timeless(key: KeyInfo) -> KeyInfo {
    KeyInfo { created_unix_s: 0, ..key }
}

/// A key holds for every server on the store, until it is revoked by any of them.
#[test]
fn keys_hold_until_revoked() {
    on_both(async |db: &Db| {
        let (ours, theirs) = (Keys::new(db.store().await), Keys::new(db.store().await));
        let home = ours.0.default_organisation();
        assert_eq!(home, theirs.0.default_organisation());
        let by = &Actor::Command;
        let first = ours.create(home, "ci", Scope::Calls, by).await.unwrap();
        let second = theirs.create(home, "ops", Scope::Admin, by).await.unwrap();
        let made = [timeless(first.info.clone()), timeless(second.info.clone())];
        for keys in [&ours, &theirs] {
            for (key, made) in [&first, &second].into_iter().zip(&made) {
                let found = keys.verify(key.key.expose()).await.unwrap();
                assert_eq!(found.map(timeless).as_ref(), Some(made));
            }
            let list = keys.list(home).await.unwrap();
            assert_eq!(list.into_iter().map(timeless).collect::<Vec<_>>(), made);
        }
        let revoked = theirs.revoke(home, &first.info.id, by).await.unwrap();
        assert_eq!(timeless(revoked), made[0]);
        assert_eq!(ours.verify(first.key.expose()).await.unwrap(), None);
        assert!(ours.verify(second.key.expose()).await.unwrap().is_some());
        let again = ours.revoke(home, &first.info.id, by).await;
        assert!(matches!(again, Err(KeyError::NoSuchKey { .. })));
    });
}

/// Nothing but the whole key holds.
#[test]
fn near_misses_do_not_hold() {
    on_both(async |db: &Db| {
        let keys = Keys::new(db.store().await);
        assert_eq!(keys.verify("tp_x").await.unwrap(), None, "no keys at all");
        let home = keys.0.default_organisation();
        let made = keys.create(home, "a", Scope::Read, &Actor::Command).await.unwrap();
        let key = made.key.expose();
        assert!(key.starts_with("tp_") && key.len() == 46, "256 bits in base64url");
        for end in 0..key.len() {
            assert_eq!(keys.verify(&key[..end]).await.unwrap(), None);
        }
        let hex: String = hash(key).iter().map(|byte| format!("{byte:02x}")).collect();
        for wrong in [format!("{key}x"), format!(" {key}"), key.to_uppercase(), hex] {
            assert_eq!(keys.verify(&wrong).await.unwrap(), None);
        }
    });
}

/// A key of one organisation is not there for another.
#[test]
fn organisations_do_not_see_each_others_keys() {
    on_both(async |db: &Db| {
        let store = db.store().await;
        let (keys, other) = (Keys::new(store.clone()), db.organisation(&store, "other").await);
        let by = &Actor::Command;
        let made = keys.create(other, "theirs", Scope::Admin, by).await.unwrap();
        let home = store.default_organisation();
        assert!(keys.list(home).await.unwrap().is_empty());
        let foreign = keys.revoke(home, &made.info.id, by).await;
        assert!(matches!(foreign, Err(KeyError::NoSuchKey { .. })));
        let found = keys.verify(made.key.expose()).await.unwrap().unwrap();
        assert_eq!(found.organisation, other);
    });
}

/// The first key is made once, by whichever of several servers is quicker, and not again when it
/// was revoked.
#[test]
fn the_first_key_is_made_once() {
    on_both(async |db: &Db| {
        let (ours, theirs) = (Keys::new(db.store().await), Keys::new(db.store().await));
        let (first, second) = tokio::join!(ours.create_first(), theirs.create_first());
        let made: Vec<NewKey> = [first.unwrap(), second.unwrap()].into_iter().flatten().collect();
        assert_eq!(made.len(), 1);
        assert_eq!(made[0].info.scope, Scope::Server);
        let home = ours.0.default_organisation();
        ours.revoke(home, &made[0].info.id, &Actor::Command).await.unwrap();
        assert!(ours.create_first().await.unwrap().is_none());
    });
}

/// Names are for people and for the log: no control characters, no novels.
#[test]
fn names_are_checked() {
    on_both(async |db: &Db| {
        let keys = Keys::new(db.store().await);
        let home = keys.0.default_organisation();
        for bad in ["", "a\nb", &"x".repeat(101)] {
            let made = keys.create(home, bad, Scope::Read, &Actor::Command).await;
            assert!(matches!(made, Err(KeyError::BadName)));
        }
        assert!(keys.list(home).await.unwrap().is_empty());
    });
}

/// Writers in parallel lose no key, and each creation is in the audit log.
#[test]
fn writers_do_not_lose_keys() {
    on_both(async |db: &Db| {
        let stores = [db.store().await, db.store().await];
        let home = stores[0].default_organisation();
        let mut writers = tokio::task::JoinSet::new();
        for writer in 0..4_usize {
            let keys = Keys::new(stores[writer % 2].clone());
            writers.spawn(async move {
                for key in 0..5 {
                    let name = format!("{writer}-{key}");
                    keys.create(home, &name, Scope::Read, &Actor::Command).await.unwrap();
                }
            });
        }
        writers.join_all().await;
        assert_eq!(stores[0].keys(home).await.unwrap().len(), 20);
        let audit = stores[0].audit_entries(home, None, 100).await.unwrap();
        assert_eq!(audit.iter().filter(|entry| entry.action == "create").count(), 20);
    });
}

/// The file of an earlier version is taken over once: its keys hold, and what was revoked since
/// does not come back with an old file.
#[test]
fn the_file_is_taken_over_once() {
    on_both(async |db: &Db| {
        let keys = Keys::new(db.store().await);
        let home = keys.0.default_organisation();
        let file = db.folder().join("keys.json");
        assert_eq!(keys.import(&file).await.unwrap(), 0, "there is none");
        let key = "tp_0123456789012345678901234567890123456789012";
        let hex: String = hash(key).iter().map(|byte| format!("{byte:02x}")).collect();
        let text = format!(
            "{{\"version\":1,\"keys\":[{{\"id\":\"0a0b0c0d\",\"name\":\"ci\",\"scope\":\"calls\",\
             \"created_unix_s\":1795305600,\"sha256\":\"{hex}\"}}]}}"
        );
        std::fs::write(&file, &text).unwrap();
        assert_eq!(keys.import(&file).await.unwrap(), 1);
        let found = keys.verify(key).await.unwrap().unwrap();
        assert_eq!((found.id.as_str(), found.created_unix_s), ("0a0b0c0d", 1_795_305_600));
        assert!(!file.exists() && keys.create_first().await.unwrap().is_none());
        keys.revoke(home, "0a0b0c0d", &Actor::Command).await.unwrap();
        std::fs::write(&file, &text).unwrap();
        assert_eq!(keys.import(&file).await.unwrap(), 1);
        assert_eq!(keys.verify(key).await.unwrap(), None);
        for damaged in [&text[..text.len() / 2], "", "{}", "{\"version\":2,\"keys\":[]}"] {
            std::fs::write(&file, damaged).unwrap();
            assert!(matches!(keys.import(&file).await, Err(KeyError::Malformed { .. })));
        }
    });
}

/// Scopes form a ladder.
#[test]
fn scopes_form_a_ladder() {
    let ladder = [Scope::Read, Scope::Calls, Scope::Admin, Scope::Server];
    for (held, scope) in ladder.iter().enumerate() {
        assert_eq!(Scope::parse(scope.as_str()), Some(*scope));
        for (needed, other) in ladder.iter().enumerate() {
            assert_eq!(scope.allows(*other), held >= needed);
        }
    }
}
