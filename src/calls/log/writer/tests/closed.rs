//! Calls of whose end nobody told, closed by whoever finds them.

use crate::calls::log::watchdog;
use crate::calls::request::{Handle, Request};
use crate::node;
use crate::store::Query;
use crate::store::nodes::Node;

use super::*;

/// Calls that a killed server left are closed as lost, once, when they were last heard of; those
/// that were over stay as they were.
#[test]
fn orphans_are_closed() {
    on_both(async |db| {
        let store = db.store().await;
        let (ours, node) = (store.default_organisation(), NodeId::new());
        let (talks, rings, over) = (Uuid::now_v7(), Uuid::now_v7(), Uuid::now_v7());
        let log = Log::start(&store, node);
        told(talks, ours).into_iter().take(5).for_each(|fact| assert!(log.handle.tell(fact)));
        told(rings, ours).into_iter().take(2).for_each(|fact| assert!(log.handle.tell(fact)));
        told(over, ours).into_iter().for_each(|fact| assert!(log.handle.tell(fact)));
        assert!(log.handle.flush().await);
        log.kill().await;
        let ended = store.call(ours, over).await.unwrap();

        let log = Log::start(&store, node);
        assert_eq!(watchdog::close_orphans(&store, node, &log.handle).await.unwrap(), 2);
        assert_eq!(watchdog::close_orphans(&store, node, &log.handle).await.unwrap(), 0);
        log.handle.lost(over).await;
        log.handle.lost(Uuid::now_v7()).await;
        assert!(log.handle.flush().await);
        let talked = store.call(ours, talks).await.unwrap().summary;
        assert_eq!((talked.state, talked.cause), (State::Completed, Some(Cause::NodeLost)));
        assert_eq!(talked.duration_ms, Some(10));
        let rang = store.call(ours, rings).await.unwrap().summary;
        assert_eq!((rang.state, rang.cause), (State::Failed, Some(Cause::NodeLost)));
        assert_eq!(store.call(ours, over).await.unwrap().summary, ended.summary);

        // One of which nothing is known any more cannot be closed, and keeps nobody waiting.
        for sql in [
            "DELETE FROM call_events WHERE call_id = $1",
            "UPDATE calls SET ended_at = NULL WHERE id = $1",
        ] {
            store.execute(Query::new(sql).bind(rings)).await.unwrap();
        }
        assert_eq!(watchdog::close_orphans(&store, node, &log.handle).await.unwrap(), 0);
    });
}

/// A call of which the control knows nothing is found once more are open than live, and closed;
/// those that live are not asked for until then, and stay.
#[test]
fn calls_gone_silent_are_closed() {
    on_both(async |db| {
        let store = db.store().await;
        let (ours, node) = (store.default_organisation(), NodeId::new());
        let log = Log::start(&store, node);
        let (living, silent) = (Uuid::now_v7(), Uuid::now_v7());
        for call in [living, silent] {
            told(call, ours).into_iter().take(5).for_each(|fact| assert!(log.handle.tell(fact)));
        }
        assert!(log.handle.flush().await);
        for (count, closed, asked) in [(2, 0, 0), (1, 1, 1), (1, 0, 0)] {
            let (calls, mut requests) = Handle::pair(1);
            let control = tokio::spawn(async move {
                let mut asked = 0;
                while let Some(request) = requests.recv().await {
                    match request {
                        Request::Count { reply } => reply.send(count).unwrap(),
                        Request::Living { calls, reply } => {
                            asked += 1;
                            assert_eq!(calls, [living, silent]);
                            reply.send(vec![living]).unwrap();
                        }
                        request => panic!("{request:?}"),
                    }
                }
                asked
            });
            let found = watchdog::look_if_too_many(&store, node, &log.handle, &calls).await;
            assert_eq!(found.unwrap(), closed);
            drop(calls);
            assert_eq!(control.await.unwrap(), asked);
            assert!(log.handle.flush().await);
        }
        assert_eq!(store.call(ours, living).await.unwrap().summary.state, State::InProgress);
        let closed = store.call(ours, silent).await.unwrap().summary;
        assert_eq!((closed.state, closed.cause), (State::Completed, Some(Cause::NodeLost)));
    });
}

/// However many calls are open, each is looked at once, and few of them at a time.
#[test]
fn many_calls_are_looked_at_in_parts() {
    on_both(async |db| {
        let store = db.store().await;
        let (ours, node) = (store.default_organisation(), NodeId::new());
        let log = Log::start(&store, node);
        let open: Vec<Uuid> = (0..150).map(|_| Uuid::now_v7()).collect();
        for call in &open {
            told(*call, ours).into_iter().take(5).for_each(|fact| assert!(log.handle.tell(fact)));
        }
        assert!(log.handle.flush().await);
        let silent = [open[0], open[70], open[149]];
        let (calls, mut requests) = Handle::pair(1);
        let control = tokio::spawn(async move {
            let mut asked = Vec::new();
            while let Some(request) = requests.recv().await {
                match request {
                    Request::Count { reply } => reply.send(147).unwrap(),
                    Request::Living { mut calls, reply } => {
                        assert!(calls.len() <= 64);
                        asked.extend_from_slice(&calls);
                        calls.retain(|call| !silent.contains(call));
                        reply.send(calls).unwrap();
                    }
                    request => panic!("{request:?}"),
                }
            }
            asked
        });
        let found = watchdog::look_if_too_many(&store, node, &log.handle, &calls).await;
        assert_eq!(found.unwrap(), 3);
        drop(calls);
        let mut all = open.clone();
        all.sort_unstable();
        assert_eq!(control.await.unwrap(), all);
        assert!(log.handle.flush().await);
        for call in silent {
            let closed = store.call(ours, call).await.unwrap().summary;
            assert_eq!((closed.state, closed.cause), (State::Completed, Some(Cause::NodeLost)));
        }
    });
}

/// Calls of a node that died are closed by another, once; those of nodes that live stay.
#[test]
fn dead_nodes_leave_no_open_calls() {
    on_both(async |db| {
        let store = db.store().await;
        let ours = store.default_organisation();
        let (dead, alive) = (NodeId::new(), NodeId::new());
        let (left, held) = (Uuid::now_v7(), Uuid::now_v7());
        for (node, call, beat) in [(dead, left, Timestamp(0)), (alive, held, Timestamp::now())] {
            let described = node::describe(node, "http://192.0.2.1".into());
            let heartbeat_at = beat;
            store.start_node(&Node { heartbeat_at, ..described }).await.unwrap();
            let log = Log::start(&store, node);
            told(call, ours).into_iter().take(5).for_each(|fact| assert!(log.handle.tell(fact)));
            assert!(log.handle.flush().await);
            log.kill().await;
        }
        let log = Log::start(&store, alive);
        assert_eq!(node::close_dead(&store, &log.handle).await.unwrap(), 1);
        assert!(log.handle.flush().await);
        assert_eq!(node::close_dead(&store, &log.handle).await.unwrap(), 0);
        let lost = store.call(ours, left).await.unwrap().summary;
        assert_eq!((lost.state, lost.cause), (State::Completed, Some(Cause::NodeLost)));
        assert_eq!(store.call(ours, held).await.unwrap().summary.state, State::InProgress);
    });
}
