//! A dead node is buried once, and what it held goes to one other. The time is handed in.

use std::time::Duration;

use super::{Db, on_both};
use crate::store::nodes::{BEAT, DEAD_AFTER, Lease, Node};
use crate::store::{NodeId, Store, Timestamp};

const HELD: Duration = Duration::from_secs(15);
const START: Timestamp = Timestamp(1_795_305_600_000_000);

fn at(seconds: u64) -> Timestamp {
    START.after(Duration::from_secs(seconds))
}

async fn start(store: &Store, name: &str, now: Timestamp) -> NodeId {
    let node = Node {
        id: NodeId::new(),
        name: name.to_owned(),
        address: format!("http://{name}.example:8080"),
        version: "0.1.0".to_owned(),
        is_draining: false,
        started_at: now,
        heartbeat_at: now,
    };
    store.start_node(&node).await.unwrap();
    node.id
}

async fn acquire(store: &Store, node: NodeId, now: Timestamp) -> Option<Lease> {
    store.acquire("campaigns", node, now, HELD).await.unwrap()
}

/// While its holder lives and renews it, nobody else gets a lease; when it dies, another does as
/// soon as it is buried, and the first notices that it has lost both.
#[test]
fn a_dead_nodes_lease_is_taken_over() {
    on_both(async |db: &Db| {
        let (ours, theirs) = (db.store().await, db.store().await);
        let (first, second) = (start(&ours, "a", at(0)).await, start(&theirs, "b", at(0)).await);
        let mut lease = acquire(&ours, first, at(0)).await.unwrap();
        assert_eq!(lease.token, 1);
        let mut now = 0;
        while now < 60 {
            now += BEAT.as_secs();
            assert!(ours.beat(first, false, at(now)).await.unwrap());
            assert!(theirs.beat(second, true, at(now)).await.unwrap());
            assert!(ours.renew(&mut lease, at(now), HELD).await.unwrap());
            assert_eq!(acquire(&theirs, second, at(now)).await, None);
            assert_eq!(theirs.bury_one(at(now)).await.unwrap(), None);
        }
        let nodes = theirs.nodes().await.unwrap();
        let draining: Vec<bool> = nodes.iter().map(|node| node.is_draining).collect();
        assert_eq!((nodes.len(), draining), (2, vec![false, true]));

        // The first falls silent.
        now += DEAD_AFTER.as_secs() - 1;
        assert!(theirs.beat(second, false, at(now)).await.unwrap());
        assert_eq!(theirs.bury_one(at(now)).await.unwrap(), None);
        now += 1;
        assert_eq!(theirs.bury_one(at(now)).await.unwrap(), Some(first));
        assert_eq!(theirs.bury_one(at(now)).await.unwrap(), None, "once");
        let taken = acquire(&theirs, second, at(now)).await.unwrap();
        assert_eq!(taken.token, 2);

        // It comes back and learns what happened.
        assert!(!ours.beat(first, false, at(now)).await.unwrap());
        assert!(!ours.renew(&mut lease, at(now), HELD).await.unwrap());
        ours.release(&lease, at(now)).await.unwrap();
        assert_eq!(acquire(&ours, first, at(now)).await, None, "what it gave back was not its own");
        assert_eq!(theirs.nodes().await.unwrap().len(), 1);
    });
}

/// Of many that want a lease at one moment, one gets it; given back, the next; tokens only grow.
#[test]
fn one_of_many_holds_a_lease() {
    on_both(async |db: &Db| {
        let stores = [db.store().await, db.store().await];
        let mut nodes = Vec::new();
        for index in 0..6 {
            nodes.push(start(&stores[index % 2], &format!("n{index}"), at(0)).await);
        }
        let mut token = 0;
        for round in 0..4 {
            let mut tries = tokio::task::JoinSet::new();
            for (index, node) in nodes.iter().copied().enumerate() {
                let store = stores[index % 2].clone();
                tries.spawn(async move { acquire(&store, node, at(round)).await });
            }
            let held: Vec<Lease> = tries.join_all().await.into_iter().flatten().collect();
            assert_eq!(held.len(), 1);
            assert!(held[0].token > token);
            token = held[0].token;
            stores[0].release(&held[0], at(round)).await.unwrap();
        }
        // Unreleased, it expires by itself.
        let lease = acquire(&stores[0], nodes[0], at(10)).await.unwrap();
        let end = lease.expires_at;
        assert_eq!(acquire(&stores[1], nodes[1], Timestamp(end.0 - 1)).await, None);
        assert!(acquire(&stores[1], nodes[1], end).await.is_some());
    });
}

/// Of several that bury at once, each dead node is buried by one.
#[test]
fn each_dead_node_is_buried_once() {
    on_both(async |db: &Db| {
        let stores = [db.store().await, db.store().await];
        let mut dead = Vec::new();
        for index in 0..3 {
            dead.push(start(&stores[0], &format!("n{index}"), at(0)).await);
        }
        let later = at(0).after(DEAD_AFTER);
        let mut buriers = tokio::task::JoinSet::new();
        for index in 0..8 {
            let store = stores[index % 2].clone();
            buriers.spawn(async move {
                let mut buried = Vec::new();
                for _ in 0..3 {
                    buried.extend(store.bury_one(later).await.unwrap());
                }
                buried
            });
        }
        let mut buried: Vec<NodeId> = buriers.join_all().await.into_iter().flatten().collect();
        buried.sort();
        dead.sort();
        assert_eq!(buried, dead);
        // One that starts again lives again.
        let node = Node {
            id: dead[0],
            name: "again".to_owned(),
            address: String::new(),
            version: "0.1.0".to_owned(),
            is_draining: false,
            started_at: later,
            heartbeat_at: later,
        };
        stores[1].start_node(&node).await.unwrap();
        assert!(stores[0].beat(dead[0], false, later).await.unwrap());
    });
}
