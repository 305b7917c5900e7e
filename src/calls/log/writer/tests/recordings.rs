//! Recordings follow from the facts of their call.

use crate::calls::log::{Recorded, watchdog};
use crate::recording::State as Standing;
use crate::store::recordings::RecordingRecord;

use super::*;

/// Where the file lies, which nobody is told.
const PATH: &str = "/secret-folder/tape.wav";

/// That the recording `id` stands so. Complete, it is two seconds of one channel.
fn stands(id: Uuid, state: Standing) -> What {
    let is_complete = state == Standing::Complete;
    What::Recording {
        state: state.as_str().into(),
        at_carrier: None,
        at_server: Some(Box::new(Recorded {
            id,
            channels: 1,
            rate_hz: 16_000,
            size_bytes: is_complete.then_some(64_044),
            duration_ms: is_complete.then_some(2_000),
            path: PATH.into(),
        })),
    }
}

/// The only recording of a call.
async fn only(store: &Store, ours: OrganisationId, call: Uuid) -> RecordingRecord {
    store.recording_of(ours, call).await.unwrap().unwrap()
}

/// What a recording has, its names aside.
fn told_of(one: &RecordingRecord) -> (Standing, Timestamp, Option<Timestamp>, Option<u64>) {
    (one.state, one.created_at, one.ended_at, one.duration_ms)
}

const fn at(after_ms: i64) -> Timestamp {
    Timestamp(BEGAN_US + after_ms * 1_000)
}

/// Tells these in an order of its own, some twice, and to two processes, one after the other.
async fn tell_anyhow(store: &Store, node: NodeId, seed: u64, facts: &[CallFact]) {
    let mut dice = fastrand::Rng::with_seed(seed);
    let mut order = facts.to_vec();
    order.extend((0..3).map(|_| facts[dice.usize(0..facts.len())].clone()));
    dice.shuffle(&mut order);
    let (before, after) = order.split_at(dice.usize(0..order.len()));
    for part in [before, after] {
        let log = Log::start(store, node);
        for fact in part {
            assert!(log.handle.tell(fact.clone()));
            if dice.bool() {
                assert!(log.handle.flush().await);
            }
        }
        assert!(log.handle.flush().await);
        log.kill().await;
    }
}

/// A recording is complete whatever comes first: what its call tells, or that its file is written,
/// which is told when the call is over. Those who listen are told of it, and not where it lies.
#[test]
fn recordings_follow_from_facts() {
    on_both(async |db| {
        let store = db.store().await;
        let (ours, node) = (store.default_organisation(), NodeId::new());
        for seed in 0..16 {
            let (call, id) = (Uuid::now_v7(), Uuid::now_v7());
            let mut facts = told(call, ours);
            let log = Log::start(&store, node);
            assert!(log.handle.tell(facts.remove(0)));
            assert!(log.handle.flush().await);
            log.kill().await;
            let steps = [
                (100, Standing::Recording),
                (200, Standing::Paused),
                (300, Standing::Recording),
                (60_100, Standing::Complete),
            ];
            facts.extend((100..).zip(steps).map(|(number, (after_ms, state))| {
                fact(call, Source::Node, number, after_ms, stands(id, state))
            }));
            tell_anyhow(&store, node, seed, &facts).await;
            let found = only(&store, ours, call).await;
            let expected = (Standing::Complete, at(100), Some(at(60_100)), Some(2_000));
            assert_eq!(told_of(&found), expected, "seed {seed}");
            assert_eq!((found.id.0, found.node), (id, Some(node)));
            assert_eq!((found.channels, found.rate_hz), (1, 16_000));
            assert_eq!(found.path.to_str(), Some(PATH));
            assert_eq!(found.size_bytes, Some(64_044));

            let events = store.call_events(ours, call, 0, 100).await.unwrap();
            let events: Vec<_> = events.iter().filter(|it| it.kind == "recording").collect();
            assert_eq!(events.len(), 4, "each once");
            let complete = events.iter().find(|it| it.data["state"] == "complete").unwrap();
            assert_eq!(complete.data["at_server"]["duration_ms"], 2_000);
            assert_eq!(complete.data["at_server"]["id"], id.to_string());
            assert!(events.iter().all(|it| !it.data.to_string().contains("secret")));
        }
    });
}

/// With a call of a node that died ends its recording: it has what there is, and nobody knows how
/// much, whatever comes first. What the node tells if it was not dead after all is believed.
#[test]
fn a_lost_call_ends_its_recording() {
    on_both(async |db| {
        let store = db.store().await;
        let (ours, node) = (store.default_organisation(), NodeId::new());
        for seed in 0..24 {
            let (call, id) = (Uuid::now_v7(), Uuid::now_v7());
            let log = Log::start(&store, node);
            assert!(log.handle.tell(told(call, ours).remove(0)));
            assert!(log.handle.flush().await);
            log.kill().await;
            let end = What::Ended(Box::new(Ended::new(Cause::NodeLost)));
            let mut facts = vec![
                fact(call, Source::Node, 100, 100, stands(id, Standing::Recording)),
                fact(call, Source::Node, 101, 200, stands(id, Standing::Paused)),
                fact(call, Source::Watchdog, 0, 250, end),
            ];
            let lives = seed % 2 == 1;
            let complete = stands(id, Standing::Complete);
            facts.extend(lives.then(|| fact(call, Source::Node, 102, 900, complete)));
            tell_anyhow(&store, node, seed, &facts).await;
            let (ended_ms, length) = if lives { (900, Some(2_000)) } else { (250, None) };
            let found = only(&store, ours, call).await;
            let expected = (Standing::Complete, at(100), Some(at(ended_ms)), length);
            assert_eq!(told_of(&found), expected, "seed {seed}");
        }
    });
}

/// Of a call that was over when its server was killed, the recording is closed by the next: it
/// ended with the call.
#[test]
fn what_was_not_told_complete_is_closed() {
    on_both(async |db| {
        let store = db.store().await;
        let (ours, node, call) = (store.default_organisation(), NodeId::new(), Uuid::now_v7());
        let log = Log::start(&store, node);
        told(call, ours).into_iter().for_each(|fact| assert!(log.handle.tell(fact)));
        let begins = stands(Uuid::now_v7(), Standing::Recording);
        assert!(log.handle.tell(fact(call, Source::Node, 100, 100, begins)));
        assert!(log.handle.flush().await);
        log.kill().await;
        assert_eq!(only(&store, ours, call).await.state, Standing::Recording);
        let log = Log::start(&store, node);
        assert_eq!(watchdog::close_orphans(&store, node, &log.handle).await.unwrap(), 0);
        let expected = (Standing::Complete, at(100), Some(at(60_030)), None);
        assert_eq!(told_of(&only(&store, ours, call).await), expected);
    });
}
