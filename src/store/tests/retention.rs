//! What is old is forgotten, and nothing else.

use std::time::Duration;

use uuid::Uuid;

use super::{Db, on_both};
use crate::store::deliveries::DeliveryState;
use crate::store::retention::{BATCH, Kept};
use crate::store::{OrganisationId, Query, Store, Timestamp};

const DAY: Duration = Duration::from_secs(86_400);

/// An id that something got so long ago.
fn id(age: Duration) -> Uuid {
    let at = Timestamp::now().before(age);
    let ms = u64::try_from(at.0 / 1_000).unwrap();
    uuid::Builder::from_unix_timestamp_millis(ms, &rand()).into_uuid()
}

fn rand() -> [u8; 10] {
    let mut bytes = [0; 10];
    getrandom::fill(&mut bytes).unwrap();
    bytes
}

/// A call that began so long ago, with what is known of it.
async fn call(store: &Store, organisation: OrganisationId, age: Duration, over: bool) -> Uuid {
    let (id, at) = (id(age), Timestamp::now().before(age));
    let query = Query::new(
        "INSERT INTO calls (id, organisation_id, direction, state, from_number, to_number, \
         created_at, ended_at, updated_at, is_incomplete) \
         VALUES ($1, $2, 'inbound', 'x', '', '', $3, $4, $3, $5)",
    );
    let query = query.bind(id).bind(organisation).bind(at).bind(over.then_some(at));
    store.execute(query.bind(false)).await.unwrap();
    for source_id in ["a", "b"] {
        let query = Query::new(
            "INSERT INTO call_events (organisation_id, call_id, source, source_id, kind, at, \
             recorded_at, data) VALUES ($1, $2, 'sip', $3, 'x', $4, $4, '{}')",
        );
        let query = query.bind(organisation).bind(id).bind(source_id).bind(at);
        store.execute(query).await.unwrap();
    }
    let query = Query::new(
        "INSERT INTO quality_samples (call_id, leg, at, organisation_id, data) \
         VALUES ($1, 'peer', $2, $3, '{}')",
    );
    store.execute(query.bind(id).bind(at).bind(organisation)).await.unwrap();
    id
}

async fn count(store: &Store, text: &'static str) -> i64 {
    store.fetch_one(Query::new(text)).await.unwrap().get("held").unwrap()
}

const CALLS: &str = "SELECT COUNT(*) AS held FROM calls";
const EVENTS: &str = "SELECT COUNT(*) AS held FROM call_events";
const SAMPLES: &str = "SELECT COUNT(*) AS held FROM quality_samples";

/// Removes all that is older than two days, batch by batch; how many rows went.
async fn sweep(store: &Store, what: Kept) -> u64 {
    let before = Timestamp::now().before(DAY * 2);
    let (mut from, mut removed) = (Some(0), 0);
    while let Some(at) = from {
        let batch = store.forget_batch(what, before, at).await.unwrap();
        assert!(batch.removed <= u64::from(BATCH), "{batch:?}");
        removed += batch.removed;
        from = batch.next;
    }
    removed
}

/// Facts and samples of old calls go first if they are kept for less, then the calls with the rest;
/// calls that live and those that are young keep everything, in however many batches.
#[test]
fn what_is_old_is_forgotten() {
    on_both(async |db: &Db| {
        let store = db.store().await;
        let ours = store.default_organisation();
        let living = call(&store, ours, DAY * 3, false).await;
        let old = i64::from(BATCH) + 5;
        for _ in 0..old {
            call(&store, ours, DAY * 3, true).await;
        }
        let young = call(&store, ours, DAY, true).await;
        assert_eq!(count(&store, EVENTS).await, (old + 2) * 2);
        for kept in [living, young] {
            let query = Query::new(
                "INSERT INTO messages (call_id, sequence, organisation_id, at, kind, is_sent, \
                 peer, data) VALUES ($1, 1, $2, $3, 'sip', $4, '', $5)",
            );
            let query = query.bind(kept).bind(ours).bind(Timestamp::now()).bind(false);
            store.execute(query.bind(&b"{}"[..])).await.unwrap();
        }

        assert_eq!(sweep(&store, Kept::CallEvents).await, old as u64 * 2);
        assert_eq!(count(&store, EVENTS).await, 4);
        for kept in [living, young] {
            let query = Query::new("SELECT COUNT(*) AS held FROM call_events WHERE call_id = $1");
            let held: i64 = store.fetch_one(query.bind(kept)).await.unwrap().get("held").unwrap();
            assert_eq!(held, 2);
        }
        assert_eq!(sweep(&store, Kept::Quality).await, old as u64 + 1, "no call lasts so long");
        assert_eq!(count(&store, SAMPLES).await, 1);
        assert_eq!(sweep(&store, Kept::Messages).await, 1, "of a call that is young they stay");
        assert_eq!(sweep(&store, Kept::Calls).await, old as u64);
        assert_eq!(count(&store, CALLS).await, 2);
        assert_eq!(count(&store, EVENTS).await, 4);
        for what in Kept::ALL {
            assert_eq!(sweep(&store, what).await, 0, "{what:?}");
        }
    });
}

/// With a call goes all that is known of it.
#[test]
fn a_call_goes_as_a_whole() {
    on_both(async |db: &Db| {
        let store = db.store().await;
        call(&store, store.default_organisation(), DAY * 9, true).await;
        assert_eq!(sweep(&store, Kept::Calls).await, 1);
        for text in [CALLS, EVENTS, SAMPLES] {
            assert_eq!(count(&store, text).await, 0, "{text}");
        }
    });
}

/// The audit log and webhooks that are over are forgotten; webhooks that are due never are.
#[test]
fn audit_and_deliveries() {
    on_both(async |db: &Db| {
        let store = db.store().await;
        let ours = store.default_organisation();
        let subscription = id(DAY);
        let query = Query::new(
            "INSERT INTO subscriptions (id, organisation_id, url, events, secret, enabled, \
             created_at, updated_at) VALUES ($1, $2, 'https://x', '[]', $3, $4, 1, 1)",
        );
        let query = query.bind(subscription).bind(ours).bind(vec![0_u8]).bind(true);
        store.execute(query).await.unwrap();
        for (age, state) in [
            (DAY * 3, DeliveryState::Delivered),
            (DAY * 4, DeliveryState::Delivered),
            (DAY, DeliveryState::Delivered),
            (DAY * 3, DeliveryState::Dead),
            (DAY, DeliveryState::Dead),
            (DAY * 9, DeliveryState::Pending),
        ] {
            let at = Timestamp::now().before(age);
            let over = (state != DeliveryState::Pending).then_some(at);
            let query = Query::new(
                "INSERT INTO deliveries (id, organisation_id, subscription_id, event_id, kind, \
                 payload, state, attempts, created_at, due_at, ended_at) \
                 VALUES ($1, $2, $3, $4, 'x', '{}', $5, 0, $6, $6, $7)",
            );
            let query = query.bind(id(age)).bind(ours).bind(subscription);
            let query = query.bind(id(age).to_string()).bind(state.as_str());
            store.execute(query.bind(at).bind(over)).await.unwrap();
        }
        assert_eq!(sweep(&store, Kept::Deliveries).await, 2);
        let dead = "SELECT COUNT(*) AS held FROM deliveries WHERE state = 'dead'";
        assert_eq!(count(&store, dead).await, 2, "those that were given up have their own time");
        assert_eq!(sweep(&store, Kept::DeadDeliveries).await, 1);
        // One that is young of each kind, and the one that is due.
        assert_eq!(count(&store, "SELECT COUNT(*) AS held FROM deliveries").await, 3);
        for age in [DAY * 3, DAY] {
            let query = Query::new(
                "INSERT INTO audit_log (id, organisation_id, at, actor, action, object_type, \
                 object_id, details) VALUES ($1, $2, 1, 'x', 'x', 'x', 'x', '{}')",
            );
            store.execute(query.bind(id(age)).bind(ours)).await.unwrap();
        }
        assert_eq!(sweep(&store, Kept::Audit).await, 1);
    });
}
