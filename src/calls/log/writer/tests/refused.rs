//! What finds no room, or is refused by the database.

use crate::store::Query;

use super::*;

/// A log that has no room loses facts, not calls: what comes later is written, the call is marked,
/// and its end is known.
#[test]
fn a_full_log_marks_its_calls() {
    on_both(async |db| {
        let store = db.store().await;
        let ours = store.default_organisation();
        let metrics = Arc::new(LogMetrics::default());
        let (handle, queue) = LogHandle::with_room(2, Arc::clone(&metrics));
        let call = Uuid::now_v7();
        let facts = told(call, ours);
        let taken = facts.iter().filter(|fact| handle.tell((*fact).clone())).count();
        assert_eq!((taken, metrics.lost.get()), (2, 5));
        let (writer, _) = Writer::new(store.clone(), NodeId::new(), queue);
        let writer = tokio::spawn(writer.run());
        assert!(handle.flush().await);
        assert!(store.call(ours, call).await.unwrap().is_incomplete);
        assert!(handle.tell(facts[5].clone()));
        assert!(handle.flush().await);
        let record = store.call(ours, call).await.unwrap();
        assert!(record.is_incomplete);
        assert_eq!(record.summary.state, State::Completed);
        writer.abort();
    });
}

/// What the database refuses of one call keeps nothing of another from being written, and what
/// peers say can be written whatever it is.
#[test]
fn what_is_refused_harms_no_other_call() {
    on_both(async |db| {
        let store = db.store().await;
        let ours = store.default_organisation();
        let mut tx = store.begin().await.unwrap();
        let refusing = "CREATE UNIQUE INDEX refusing ON call_events (kind) WHERE kind = 'replaced'";
        tx.execute(Query::new(refusing)).await.unwrap();
        tx.commit().await.unwrap();
        let metrics = Arc::new(LogMetrics::default());
        let (handle, queue) = LogHandle::new(Arc::clone(&metrics));
        let calls = [(); 3].map(|()| Uuid::now_v7());
        let refused = fact(calls[1], Source::Node, 90, 50, What::Replaced);
        let twice = fact(calls[1], Source::Node, 91, 51, What::Replaced);
        for call in calls {
            let mut facts = told(call, ours);
            if let What::Initiated(began) = &mut facts[0].what {
                began.from = "a\0b".into();
            }
            facts.into_iter().for_each(|fact| assert!(handle.tell(fact)));
        }
        assert!(handle.tell(refused) && handle.tell(twice));
        let (writer, _) = Writer::new(store.clone(), NodeId::new(), queue);
        let writer = tokio::spawn(writer.run());
        assert!(handle.flush().await);
        for call in [calls[0], calls[2]] {
            let record = store.call(ours, call).await.unwrap();
            assert_eq!(record.summary.state, State::Completed);
            assert_eq!(record.summary.began.unwrap().from, "a\u{fffd}b");
        }
        assert!(matches!(store.call(ours, calls[1]).await, Err(StoreError::NotFound)));
        assert_eq!(metrics.lost.get(), 9);
        writer.abort();
    });
}
