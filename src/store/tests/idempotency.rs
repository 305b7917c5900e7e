//! Requests that come again.

use std::time::Duration;

use super::{Db, on_both};
use crate::store::Query;
use crate::store::idempotency::{Earlier, UNDER_WAY_MAX};

/// The first request goes on, the same meets it under way and then its answer, another with its
/// key is told apart; keys of another organisation are others; what was abandoned is free.
#[test]
fn requests_are_carried_out_once() {
    on_both(async |db: &Db| {
        let store = db.store().await;
        let ours = store.default_organisation();
        let theirs = db.organisation(&store, "theirs").await;
        let (one, two) = ([1; 32], [2; 32]);
        let begin = async |organisation, hash: &[u8; 32]| {
            store.begin_request(organisation, "k", hash).await.unwrap()
        };
        assert_eq!(begin(ours, &one).await, Earlier::Nothing);
        assert_eq!(begin(ours, &one).await, Earlier::UnderWay);
        assert_eq!(begin(ours, &two).await, Earlier::Another);
        assert_eq!(begin(theirs, &two).await, Earlier::Nothing);
        store.finish_request(ours, "k", 201, b"answer").await.unwrap();
        let answer = Earlier::Answer { status: 201, rest: b"answer".to_vec() };
        assert_eq!(begin(ours, &one).await, answer);
        assert_eq!(begin(ours, &two).await, Earlier::Another);
        store.abandon_request(theirs, "k").await.unwrap();
        assert_eq!(begin(theirs, &one).await, Earlier::Nothing);
    });
}

/// Of many that come at once one is carried out.
#[test]
fn one_of_many_is_the_first() {
    on_both(async |db: &Db| {
        let store = db.store().await;
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..16 {
            let store = store.clone();
            tasks.spawn(async move {
                store.begin_request(store.default_organisation(), "k", &[7; 32]).await.unwrap()
            });
        }
        let met = tasks.join_all().await;
        assert_eq!(met.iter().filter(|met| **met == Earlier::Nothing).count(), 1, "{met:?}");
        assert_eq!(met.iter().filter(|met| **met == Earlier::UnderWay).count(), 15, "{met:?}");
    });
}

/// A request whose server died keeps its key for a while only; old answers are forgotten.
#[test]
fn time_passes() {
    on_both(async |db: &Db| {
        let store = db.store().await;
        let ours = store.default_organisation();
        assert_eq!(store.begin_request(ours, "k", &[1; 32]).await.unwrap(), Earlier::Nothing);
        assert_eq!(store.forget_answers().await.unwrap(), 0);
        let later = async |by: Duration| {
            let micros = i64::try_from(by.as_micros()).unwrap();
            let query = Query::new("UPDATE idempotency_keys SET expires_at = expires_at - $1");
            store.execute(query.bind(micros)).await.unwrap();
        };
        later(UNDER_WAY_MAX).await;
        assert_eq!(store.begin_request(ours, "k", &[2; 32]).await.unwrap(), Earlier::Nothing);
        later(UNDER_WAY_MAX).await;
        assert_eq!(store.forget_answers().await.unwrap(), 1);
    });
}
