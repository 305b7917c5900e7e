//! Sessions hold as long as their keys, and no longer than their time.

use std::time::Duration;

use super::{Db, on_both};
use crate::keys::{Keys, Scope};
use crate::store::{Actor, Timestamp};

/// A session is its key until it ends, by itself, by hand, or with the key.
#[test]
fn sessions_end_with_their_keys() {
    on_both(async |db: &Db| {
        let store = db.store().await;
        let (keys, ours) = (Keys::new(store.clone()), store.default_organisation());
        let by = Actor::Server;
        let made = keys.create(ours, "me", Scope::Read, &by).await.unwrap();
        let later = Timestamp::now().after(Duration::from_secs(60));
        let begin = async |number: u8, until| {
            store.begin_session(&made.info, &[number; 32], until).await.unwrap();
        };
        let holds = async |number: u8| store.session(&[number; 32]).await.unwrap();
        begin(1, later).await;
        begin(2, later).await;
        begin(3, Timestamp::now().before(Duration::from_secs(1))).await;
        let found = holds(1).await.unwrap();
        assert_eq!((found.key.id, found.expires_at), (made.info.id.clone(), later));
        assert!(holds(3).await.is_none(), "its time is over");
        assert!(holds(4).await.is_none(), "it never began");
        store.end_session(&[1; 32]).await.unwrap();
        assert!(holds(1).await.is_none() && holds(2).await.is_some());
        assert!(!store.forget_expired().await.unwrap());
        assert!(store.key_holds(ours, &made.info.id).await.unwrap());
        let theirs = db.organisation(&store, "theirs").await;
        assert!(!store.key_holds(theirs, &made.info.id).await.unwrap());
        keys.revoke(ours, &made.info.id, &by).await.unwrap();
        assert!(holds(2).await.is_none(), "its key holds no longer");
        assert!(!store.key_holds(ours, &made.info.id).await.unwrap());
    });
}

/// Whoever signs in again and again has so many sessions, the latest.
#[test]
fn the_oldest_sessions_end() {
    on_both(async |db: &Db| {
        let store = db.store().await;
        let (keys, ours) = (Keys::new(store.clone()), store.default_organisation());
        let made = keys.create(ours, "me", Scope::Read, &Actor::Server).await.unwrap();
        let later = Timestamp::now().after(Duration::from_secs(60));
        for number in 0..103_u8 {
            store.begin_session(&made.info, &[number; 32], later).await.unwrap();
        }
        let mut held = 0;
        for number in 0..103_u8 {
            held += u32::from(store.session(&[number; 32]).await.unwrap().is_some());
        }
        assert_eq!(held, 100);
        assert!(store.session(&[102; 32]).await.unwrap().is_some());
    });
}
