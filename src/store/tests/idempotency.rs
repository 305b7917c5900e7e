//! Requests that come again.

use std::time::Duration;

use super::{Db, on_both};
use crate::store::Query;
use crate::store::idempotency::{ANSWER_KEPT, Earlier, UNDER_WAY_MAX};

const fn is_new(earlier: &Earlier) -> bool {
    matches!(earlier, Earlier::Nothing { .. })
}

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
        assert!(is_new(&begin(ours, &one).await));
        assert_eq!(begin(ours, &one).await, Earlier::UnderWay);
        assert_eq!(begin(ours, &two).await, Earlier::Another);
        assert!(is_new(&begin(theirs, &two).await));
        store.finish_request(ours, "k", 201, b"answer").await.unwrap();
        let answer = Earlier::Answer { status: 201, rest: b"answer".to_vec() };
        assert_eq!(begin(ours, &one).await, answer);
        assert_eq!(begin(ours, &two).await, Earlier::Another);
        store.abandon_request(theirs, "k").await.unwrap();
        assert!(is_new(&begin(theirs, &one).await));
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
        assert_eq!(met.iter().filter(|met| is_new(met)).count(), 1, "{met:?}");
        assert_eq!(met.iter().filter(|met| **met == Earlier::UnderWay).count(), 15, "{met:?}");
    });
}

/// Of many that ask again for a request that was cut off one carries it out.
#[test]
fn one_of_many_goes_on() {
    on_both(async |db: &Db| {
        let (store, other) = (db.store().await, db.store().await);
        let ours = store.default_organisation();
        assert!(is_new(&store.begin_request(ours, "k", &[7; 32]).await.unwrap()));
        let cut_off = Query::new("UPDATE idempotency_keys SET expires_at = $1").bind(1_i64);
        assert_eq!(store.execute(cut_off).await.unwrap(), 1);
        let mut tasks = tokio::task::JoinSet::new();
        for number in 0..16 {
            let store = if number % 2 == 0 { store.clone() } else { other.clone() };
            tasks.spawn(async move { store.begin_request(ours, "k", &[7; 32]).await.unwrap() });
        }
        let met = tasks.join_all().await;
        assert_eq!(met.iter().filter(|met| is_new(met)).count(), 1, "{met:?}");
        assert_eq!(met.iter().filter(|met| **met == Earlier::UnderWay).count(), 15, "{met:?}");
    });
}

/// A request whose server died keeps its key for a while only, and is the same when it is carried
/// out again; old answers are forgotten, what was cut off not sooner.
#[test]
fn time_passes() {
    on_both(async |db: &Db| {
        let store = db.store().await;
        let ours = store.default_organisation();
        let begin = async |hash: u8| store.begin_request(ours, "k", &[hash; 32]).await.unwrap();
        let first = begin(1).await;
        assert!(is_new(&first));
        assert_eq!(store.forget_answers(9).await.unwrap(), 0);
        let later = async |by: Duration| {
            let micros = i64::try_from(by.as_micros()).unwrap();
            let query = Query::new(
                "UPDATE idempotency_keys SET expires_at = expires_at - $1, \
                 created_at = created_at - $1",
            );
            store.execute(query.bind(micros)).await.unwrap();
        };
        later(UNDER_WAY_MAX).await;
        assert_eq!(begin(2).await, Earlier::Another);
        assert_eq!(store.forget_answers(9).await.unwrap(), 0, "it was cut off");
        let again = begin(1).await;
        let at = |earlier: &Earlier| match earlier {
            Earlier::Nothing { first_at } => first_at.0,
            other => panic!("{other:?}"),
        };
        let passed = i64::try_from(UNDER_WAY_MAX.as_micros()).unwrap();
        assert_eq!(at(&again), at(&first) - passed, "it is not the same");
        assert_eq!(begin(1).await, Earlier::UnderWay);
        store.finish_request(ours, "k", 201, b"a").await.unwrap();
        later(ANSWER_KEPT).await;
        assert_eq!(store.forget_answers(9).await.unwrap(), 1);
        assert!(is_new(&begin(2).await));
        later(ANSWER_KEPT).await;
        assert!(is_new(&begin(3).await), "nobody waits for it any more");
        later(ANSWER_KEPT).await;
        assert_eq!(store.forget_answers(9).await.unwrap(), 1);
    });
}
