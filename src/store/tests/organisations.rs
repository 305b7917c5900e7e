//! The store opens and opens again; organisations are apart from each other.

use super::{Db, on_both};
use crate::seal::{self, SealError};
use crate::store::organisations::{FIRST, OrganisationFields};
use crate::store::{Actor, OrganisationId, SealSource, Store, StoreError, StoreSettings};

/// Opened again, the store is what it was: one first organisation, no second.
#[test]
fn opens_again() {
    on_both(async |db: &Db| {
        let (first, second) = tokio::join!(db.store(), db.store());
        assert_eq!(first.default_organisation(), second.default_organisation());
        let all = second.organisations().await.unwrap();
        assert_eq!(all.len(), 1);
        assert_eq!((all[0].id, all[0].name.as_str()), (first.default_organisation(), FIRST));
        first.ping().await.unwrap();
        first.close().await;
        assert!(first.ping().await.unwrap_err().is_temporary());
    });
}

/// Sealing keys that do not open what is there are refused at once, each wrong key for its reason.
#[test]
fn wrong_sealing_keys_are_refused() {
    on_both(async |db: &Db| {
        db.store().await.close().await;
        let open = async |line: &str| {
            let seal = SealSource::Keys(crate::config::Secret::new(line.to_owned()));
            let url = db.settings().url.clone();
            Store::open(&StoreSettings { url, seal }).await.map(drop)
        };
        let other = seal::generate("other").unwrap();
        let wrong = open(other.expose()).await.unwrap_err();
        assert!(matches!(wrong, StoreError::Sealed(SealError::UnknownKey { id }) if id == "k1"));
        let same_name = seal::generate("k1").unwrap();
        let wrong = open(same_name.expose()).await.unwrap_err();
        assert!(matches!(wrong, StoreError::Sealed(SealError::Damaged)));
        let text = std::fs::read_to_string(db.folder().join("seal.keys")).unwrap();
        let right = format!("{}\n{text}", other.expose());
        open(&right).await.unwrap();
    });
}

/// What is changed is told to whoever watches, once it is committed and not before.
#[test]
fn changes_are_told() {
    on_both(async |db: &Db| {
        let store = db.store().await;
        let mut changes = store.changes();
        let before = *changes.borrow_and_update();
        drop(store.begin_change().await.unwrap());
        assert!(!changes.has_changed().unwrap());
        let id = db.organisation(&store, "acme").await;
        assert!(changes.has_changed().unwrap());
        assert_eq!(*changes.borrow_and_update(), before + 1);
        let fields = OrganisationFields {
            name: "Acme".to_owned(),
            max_calls: Some(10),
            calls_per_second: None,
            settings: serde_json::json!({ "a": 1 }),
        };
        store.update_organisation(id, &fields, &Actor::Command).await.unwrap();
        assert_eq!(*changes.borrow_and_update(), before + 2);
        let found = store.organisation(id).await.unwrap();
        assert_eq!((found.name.as_str(), found.max_calls), ("Acme", Some(10)));
        assert_eq!(found.settings, fields.settings);
        let audit = store.audit_entries(id, None, 10).await.unwrap();
        let told: Vec<_> = audit.iter().map(|it| (it.action.as_str(), it.actor.as_str())).collect();
        assert_eq!(told, [("update", "command"), ("create", "server")]);
    });
}

/// Names are unique; what is not there is not found.
#[test]
fn conflicts_are_told() {
    on_both(async |db: &Db| {
        let store = db.store().await;
        db.organisation(&store, "acme").await;
        let fields = OrganisationFields {
            name: "acme".to_owned(),
            max_calls: None,
            calls_per_second: None,
            settings: serde_json::json!({}),
        };
        let taken = store.create_organisation(&fields, &Actor::Server).await.unwrap_err();
        assert!(matches!(taken, StoreError::Conflict { what: "name" }), "{taken:?}");
        let missing = store.organisation(OrganisationId::new()).await.unwrap_err();
        assert!(matches!(missing, StoreError::NotFound));
    });
}
