//! Messages of captured calls.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use media::time::MonoTime;
use uuid::Uuid;

use super::{Db, on_both};
use crate::capture::{Dialog, Message, Registry, head, keep, keep_last};
use crate::config::CapturesConfig;
use crate::store::{Query, Store, Timestamp};

/// A capture of a call with so many messages.
fn capture(call: Uuid, count: usize) -> Registry {
    let address: SocketAddr = "192.0.2.1:5060".parse().unwrap();
    let mut registry = Registry::new(false, CapturesConfig::default());
    let ids = (call, Uuid::now_v7());
    let dialog = Dialog { tag: "one", invite: None };
    registry.begin(MonoTime::ZERO, ids, dialog, head().1, (address, address)).unwrap();
    for n in 0..count {
        registry.message(Message {
            at: MonoTime::from_nanos(1_000),
            incoming: true,
            transport: "UDP",
            local: address,
            peer: address,
            bytes: format!("BYE sip:{n}\0@x SIP/2.0\r\nTo: x;tag=one\r\n\r\n").into_bytes(),
        });
    }
    registry
}

/// The record of a call.
async fn record(store: &Store, call: Uuid) {
    let query = Query::new(
        "INSERT INTO calls (id, organisation_id, direction, state, from_number, to_number, \
         created_at, ended_at, updated_at, is_incomplete) \
         VALUES ($1, $2, 'inbound', 'x', '', '', $3, $3, $3, $4)",
    );
    let query = query.bind(call).bind(store.default_organisation());
    store.execute(query.bind(Timestamp::now()).bind(false)).await.unwrap();
}

/// What is kept is read again as it was shown, by pages, once however often it is written, by
/// nobody else; of a call that is not known nothing is kept.
#[test]
fn messages_are_kept() {
    on_both(async |db: &Db| {
        let store = db.store().await;
        let (ours, theirs) = (store.default_organisation(), db.organisation(&store, "x").await);
        let call = Uuid::now_v7();
        let at = MonoTime::from_nanos(2_000);
        let shown = capture(call, 5).messages(at, call, 0, 5).unwrap();
        assert!(!store.keep_messages(call, &shown).await.unwrap());
        record(&store, call).await;
        for _ in 0..2 {
            assert!(store.keep_messages(call, &shown).await.unwrap());
        }
        let all = store.messages(ours, call, 0, 100).await.unwrap();
        let expected: Vec<_> =
            shown.iter().map(|shown| serde_json::to_value(shown).unwrap()).collect();
        assert_eq!(all, expected);
        assert_eq!(store.messages(ours, call, 2, 2).await.unwrap(), expected[2..4]);
        assert!(store.messages(ours, call, 5, 2).await.unwrap().is_empty());
        assert!(store.messages(theirs, call, 0, 100).await.unwrap().is_empty());
    });
}

/// What a capture has when its call is over is written, and what is no call's harms nothing.
#[test]
fn the_end_of_a_capture_is_written() {
    on_both(async |db: &Db| {
        let store = db.store().await;
        let call = Uuid::now_v7();
        record(&store, call).await;
        let captures = Arc::new(Mutex::new(capture(call, 3)));
        let keeper = tokio::spawn(keep(Arc::clone(&captures), store.clone()));
        let end = Instant::now() + Duration::from_secs(15);
        // Told again until somebody listens.
        while store.messages(store.default_organisation(), call, 0, 9).await.unwrap().len() < 3 {
            assert!(Instant::now() < end, "nothing is written");
            captures.lock().unwrap().end(call, MonoTime::ZERO);
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        keeper.abort();
    });
}

/// A server that ends writes what it has, of calls too that it has ended with.
#[test]
fn nothing_is_lost_at_the_end() {
    on_both(async |db: &Db| {
        let store = db.store().await;
        let call = Uuid::now_v7();
        record(&store, call).await;
        let captures = Mutex::new(capture(call, 3));
        keep_last(&captures, &store).await;
        let kept = store.messages(store.default_organisation(), call, 0, 9).await.unwrap();
        assert_eq!(kept.len(), 3);
    });
}
