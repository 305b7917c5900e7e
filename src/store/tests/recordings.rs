//! Recordings of calls.

use std::time::Duration;

use uuid::Uuid;

use super::{Db, on_both};
use crate::calls::cause::Cause;
use crate::calls::log::{CallFact, Ended, Recorded, Source, What};
use crate::recording::State;
use crate::store::recordings::{RecordingFilter, RecordingRecord, follow};
use crate::store::{Actor, NodeId, OrganisationId, RecordingId, Store, Timestamp};

const BEGAN_US: i64 = 1_700_000_000_000_000;

const fn at(after_ms: i64) -> Timestamp {
    Timestamp(BEGAN_US + after_ms * 1_000)
}

/// A recording of a call of its own.
#[derive(Clone, Copy)]
struct Tape {
    call: Uuid,
    id: Uuid,
}

impl Tape {
    fn new() -> Self {
        Self { call: Uuid::now_v7(), id: Uuid::now_v7() }
    }

    /// That it stands so. Complete, it is a second.
    fn stands(self, after_ms: i64, state: State) -> CallFact {
        let is_complete = state == State::Complete;
        let recorded = Recorded {
            id: self.id,
            channels: 2,
            rate_hz: 8_000,
            size_bytes: is_complete.then_some(32_044),
            duration_ms: is_complete.then_some(1_000),
            path: format!("/tapes/{}.wav", self.call).into(),
        };
        let (state, at_server) = (state.as_str().to_owned(), Some(Box::new(recorded)));
        CallFact {
            call: self.call,
            source: Source::Node,
            id: after_ms.to_string(),
            at_us: at(after_ms).0,
            what: What::Recording { state, at_carrier: None, at_server },
        }
    }

    /// That nobody holds its call any more.
    fn lost(self, after_ms: i64) -> CallFact {
        CallFact {
            call: self.call,
            source: Source::Watchdog,
            id: "node_lost".to_owned(),
            at_us: at(after_ms).0,
            what: What::Ended(Box::new(Ended::new(Cause::NodeLost))),
        }
    }
}

async fn tell(store: &Store, whose: OrganisationId, node: NodeId, facts: &[CallFact]) {
    let mut tx = store.begin().await.unwrap();
    for fact in facts {
        follow(&mut tx, whose, node, fact, None).await.unwrap();
    }
    tx.commit().await.unwrap();
}

async fn listed(store: &Store, whose: OrganisationId, filter: RecordingFilter) -> Vec<Uuid> {
    let found = store.recordings(whose, filter, None, 10).await.unwrap();
    found.iter().map(|one| one.id.0).collect()
}

/// However facts come, some twice, and without any but one of those that end it, the row is the
/// same: as the latest says, from the first on.
#[test]
fn facts_come_in_any_order() {
    on_both(async |db: &Db| {
        let store = db.store().await;
        let (ours, node) = (store.default_organisation(), NodeId::new());
        for seed in 0..32 {
            let mut dice = fastrand::Rng::with_seed(seed);
            let tape = Tape::new();
            let mut facts = vec![
                tape.stands(0, State::Recording),
                tape.stands(10, State::Paused),
                tape.stands(20, State::Recording),
            ];
            let stops = seed % 4 > 0;
            let ends = seed % 4 > 1;
            let fails = seed % 4 == 3;
            facts.extend(stops.then(|| tape.stands(30, State::Stopped)));
            let end = if fails { State::Failed } else { State::Complete };
            facts.extend(ends.then(|| tape.stands(31, end)));
            let again = facts[dice.usize(0..facts.len())].clone();
            facts.push(again);
            dice.shuffle(&mut facts);
            tell(&store, ours, node, &facts).await;
            let is_complete = ends && !fails;
            let expected = RecordingRecord {
                id: RecordingId(tape.id),
                call: tape.call,
                node: Some(node),
                path: format!("/tapes/{}.wav", tape.call).into(),
                state: match (stops, ends) {
                    (_, true) => end,
                    (true, false) => State::Stopped,
                    (false, false) => State::Recording,
                },
                channels: 2,
                rate_hz: 8_000,
                size_bytes: is_complete.then_some(32_044),
                duration_ms: is_complete.then_some(1_000),
                created_at: at(0),
                ended_at: ends.then_some(at(31)),
            };
            let found = store.recording_of(ours, tape.call).await.unwrap();
            assert_eq!(found, Some(expected), "seed {seed}");
        }
    });
}

/// With a call that was lost ends its recording, of which nobody knows how long it is; of one that
/// was complete everything stays known, and what a carrier recorded is none of ours.
#[test]
fn a_lost_call_ends_its_recording() {
    on_both(async |db: &Db| {
        let store = db.store().await;
        let (ours, node) = (store.default_organisation(), NodeId::new());
        let (cut_off, complete, carriers) = (Tape::new(), Tape::new(), Tape::new());
        let facts = [cut_off.stands(0, State::Recording), cut_off.lost(500)];
        tell(&store, ours, node, &facts).await;
        tell(&store, ours, node, &facts).await;
        let found = store.recording_of(ours, cut_off.call).await.unwrap().unwrap();
        assert_eq!((found.state, found.ended_at), (State::Complete, Some(at(500))));
        assert_eq!((found.size_bytes, found.duration_ms), (None, None));

        let stands = complete.stands(900, State::Complete);
        tell(&store, ours, node, &[stands, complete.lost(600)]).await;
        let found = store.recording_of(ours, complete.call).await.unwrap().unwrap();
        assert_eq!((found.state, found.ended_at), (State::Complete, Some(at(900))));
        assert_eq!((found.size_bytes, found.duration_ms), (Some(32_044), Some(1_000)));

        let what =
            What::Recording { state: "at_carrier".into(), at_carrier: None, at_server: None };
        let fact = CallFact { what, ..carriers.stands(0, State::Recording) };
        tell(&store, ours, node, &[fact, carriers.lost(1)]).await;
        assert_eq!(store.recording_of(ours, carriers.call).await.unwrap(), None);
    });
}

/// Recordings are listed by their organisation alone, the latest first, by pages, of one call and
/// of one state; one that was deleted is not, whatever is told of it afterwards.
#[test]
fn recordings_are_listed() {
    on_both(async |db: &Db| {
        let store = db.store().await;
        let node = NodeId::new();
        let (ours, theirs) = (store.default_organisation(), db.organisation(&store, "x").await);
        let (first, second, foreign) = (Tape::new(), Tape::new(), Tape::new());
        for (whose, tape) in [(ours, first), (ours, second), (theirs, foreign)] {
            tell(&store, whose, node, &[tape.stands(0, State::Recording)]).await;
        }
        tell(&store, ours, node, &[first.stands(9, State::Complete)]).await;
        let all = RecordingFilter::default();
        assert_eq!(listed(&store, ours, all).await, [second.id, first.id]);
        assert_eq!(listed(&store, theirs, all).await, [foreign.id]);
        let before = Some(RecordingId(second.id));
        let page = store.recordings(ours, all, before, 10).await.unwrap();
        assert_eq!(page.iter().map(|one| one.id.0).collect::<Vec<_>>(), [first.id]);
        assert_eq!(store.recordings(ours, all, None, 1).await.unwrap().len(), 1);
        let of_call = |call| RecordingFilter { call: Some(call), state: None };
        assert_eq!(listed(&store, ours, of_call(first.call)).await, [first.id]);
        assert!(listed(&store, ours, of_call(foreign.call)).await.is_empty());
        let that = |state| RecordingFilter { call: None, state: Some(state) };
        assert_eq!(listed(&store, ours, that(State::Complete)).await, [first.id]);
        assert_eq!(listed(&store, ours, that(State::Recording)).await, [second.id]);
        assert!(listed(&store, ours, that(State::Failed)).await.is_empty());

        // Nobody deletes what is another's.
        store.delete_recording(ours, foreign.call, &Actor::Server).await.unwrap();
        assert_eq!(listed(&store, theirs, all).await, [foreign.id]);
        store.delete_recording(ours, first.call, &Actor::Server).await.unwrap();
        tell(&store, ours, node, &[first.stands(8, State::Stopped)]).await;
        assert_eq!(listed(&store, ours, all).await, [second.id]);
        assert_eq!(store.recording_of(ours, first.call).await.unwrap(), None);
        assert!(store.recording_of(ours, foreign.call).await.unwrap().is_none());
    });
}

/// A node that starts makes no recording: those that it made are closed, once. Where nodes share
/// the database those of others are left alone.
#[test]
fn a_start_closes_what_was_open() {
    on_both(async |db: &Db| {
        let store = db.store().await;
        let (ours, node, other) = (store.default_organisation(), NodeId::new(), NodeId::new());
        let (open, stopped, complete) = (Tape::new(), Tape::new(), Tape::new());
        let others = Tape::new();
        tell(&store, ours, node, &[open.stands(0, State::Paused)]).await;
        tell(&store, ours, node, &[stopped.stands(0, State::Stopped)]).await;
        tell(&store, ours, node, &[complete.stands(0, State::Complete)]).await;
        tell(&store, ours, other, &[others.stands(0, State::Recording)]).await;
        let expected = if store.is_shared() { 2 } else { 3 };
        assert_eq!(store.close_recordings(node).await.unwrap(), expected);
        assert_eq!(store.close_recordings(node).await.unwrap(), 0);
        for tape in [open, stopped] {
            let found = store.recording_of(ours, tape.call).await.unwrap().unwrap();
            assert_eq!((found.state, found.ended_at.is_some()), (State::Complete, true));
        }
        let found = store.recording_of(ours, complete.call).await.unwrap().unwrap();
        assert_eq!(found.ended_at, Some(at(0)));
        let found = store.recording_of(ours, others.call).await.unwrap().unwrap();
        assert_eq!(found.ended_at.is_none(), store.is_shared());
    });
}

/// What ended long ago is found in pages to be looked for on the disk, and is listed no more once
/// it is gone; what is made, young or gone is not looked for.
#[test]
fn old_recordings_are_found() {
    on_both(async |db: &Db| {
        let store = db.store().await;
        let (ours, node, other) = (store.default_organisation(), NodeId::new(), NodeId::new());
        let (old, older, young) = (Tape::new(), Tape::new(), Tape::new());
        let (open, others) = (Tape::new(), Tape::new());
        tell(&store, ours, node, &[old.stands(50, State::Complete)]).await;
        tell(&store, ours, node, &[older.stands(0, State::Failed)]).await;
        tell(&store, ours, node, &[young.stands(100, State::Complete)]).await;
        tell(&store, ours, node, &[open.stands(0, State::Recording)]).await;
        let found = async |after| {
            let found = store.old_recordings(node, (at(100), None), after, 1).await.unwrap();
            found.first().map(|one| one.id)
        };
        let first = found(None).await;
        assert_eq!(first, Some(RecordingId(old.id)));
        let second = found(first).await;
        assert_eq!(second, Some(RecordingId(older.id)));
        assert_eq!(found(second).await, None);
        tell(&store, ours, other, &[others.stands(0, State::Complete)]).await;
        assert_eq!(found(second).await.is_none(), store.is_shared());

        store.recordings_gone(&[], at(200)).await.unwrap();
        let gone = [RecordingId(old.id), RecordingId(older.id), RecordingId(others.id)];
        store.recordings_gone(&gone, at(200)).await.unwrap();
        assert_eq!(found(None).await, None);
        let left = [open.id, young.id];
        assert_eq!(listed(&store, ours, RecordingFilter::default()).await, left);
    });
}

/// With its call a recording is forgotten.
#[test]
fn a_recording_goes_with_its_call() {
    use crate::store::Query;
    use crate::store::retention::Kept;
    on_both(async |db: &Db| {
        let store = db.store().await;
        let (ours, tape) = (store.default_organisation(), Tape::new());
        tell(&store, ours, NodeId::new(), &[tape.stands(0, State::Complete)]).await;
        let query = Query::new(
            "INSERT INTO calls (id, organisation_id, direction, state, from_number, to_number, \
             created_at, ended_at, updated_at, is_incomplete) \
             VALUES ($1, $2, 'inbound', 'x', '', '', $3, $3, $3, $4)",
        );
        let query = query.bind(tape.call).bind(ours).bind(at(0)).bind(false);
        store.execute(query).await.unwrap();
        let later = Timestamp::now().after(Duration::from_secs(60));
        store.forget_batch(Kept::Calls, later, 0).await.unwrap();
        let query = Query::new("SELECT COUNT(*) AS held FROM recordings");
        let held: i64 = store.fetch_one(query).await.unwrap().get("held").unwrap();
        assert_eq!(held, 0);
    });
}
