use std::sync::Arc;

use adapters::agent::{Direction, EndedBy};
use adapters::event::{
    CallEvent, CallFact as Said, CarrierCallId, Ended as Over, HangupCause, Price,
};
use tokio::task::JoinHandle;
use uuid::Uuid;

use super::Writer;
use crate::calls::cause::Cause;
use crate::calls::log::{
    Asked, Began, CallFact, Ended, Ending, LogHandle, QualitySample, Sample, Source, Speaker,
    Spoken, State, What, from_carrier, watchdog,
};
use crate::calls::request::{Handle, Request};
use crate::calls::transfer::{Kind, State as TransferState};
use crate::config::Secret;
use crate::node;
use crate::store::calls::CallFilter;
use crate::store::nodes::Node;
use crate::store::subscriptions::{SigningKey, SubscriptionFields};
use crate::store::tests::on_both;
use crate::store::{Actor, NodeId, OrganisationId, Query, Store, StoreError, Timestamp};
use crate::telemetry::LogMetrics;

const BEGAN_US: i64 = 1_700_000_000_000_000;

/// A writer at work.
struct Log {
    handle: LogHandle,
    writer: JoinHandle<()>,
}

impl Log {
    fn start(store: &Store, node: NodeId) -> Self {
        let (handle, queue) = LogHandle::new(Arc::new(LogMetrics::default()));
        let (writer, _) = Writer::new(store.clone(), node, queue);
        Self { handle, writer: tokio::spawn(writer.run()) }
    }

    /// Ends as a killed process does: what it knew is gone.
    async fn kill(self) {
        self.writer.abort();
        let _ = self.writer.await;
    }
}

fn fact(call: Uuid, source: Source, id: u32, after_ms: i64, what: What) -> CallFact {
    CallFact { call, source, id: id.to_string(), at_us: BEGAN_US + after_ms * 1_000, what }
}

/// What the node tells of an answered call.
fn told(call: Uuid, organisation: OrganisationId) -> Vec<CallFact> {
    let began = Began {
        organisation: organisation.0,
        direction: Direction::Inbound,
        from: "+4930123456".into(),
        to: "100".into(),
        trunk: Some("main".into()),
        agent: "helper".into(),
        configuration: None,
    };
    let ended = Ended {
        by: Some(EndedBy::Agent),
        answered: Some(true),
        duration_ms: Some(60_000),
        ..Ended::new(Cause::Normal)
    };
    let what = [
        (0, What::Initiated(Box::new(began))),
        (10, What::Ringing),
        (20, What::AgentConnected { agent: "helper".into(), resumed: false }),
        (30, What::Answered),
        (40, What::Hold { on: true }),
        (60_030, What::Ended(Box::new(ended))),
        (60_031, What::Quality(Box::default())),
    ];
    (0..).zip(what).map(|(id, (at, what))| fact(call, Source::Node, id, at, what)).collect()
}

async fn subscribe(store: &Store, organisation: OrganisationId, events: &str) {
    let fields = SubscriptionFields {
        url: "https://example.com/".into(),
        events: vec![events.into()],
        description: None,
        enabled: true,
    };
    let secret = Secret::new("whsec_test".into());
    store.create_subscription(organisation, &fields, &secret, &Actor::Server).await.unwrap();
}

/// What was said is found in its order, and is no sample of how media fare.
async fn spoken_is_found(store: &Store, log: &Log, ours: OrganisationId, call: Uuid) {
    let spoken = |who, at_s: i64| Spoken {
        at_us: BEGAN_US + at_s * 1_000_000,
        who,
        played_ms: 900,
        dropped_ms: 100,
        outcome: Ending::Cleared,
        waited_ms: None,
        utterance: Some("one".into()),
    };
    for (who, at_s) in [(Speaker::Caller, 30), (Speaker::Agent, 30), (Speaker::Agent, 20)] {
        log.handle.sample(call, Sample::Spoken(spoken(who, at_s)));
    }
    assert!(log.handle.flush().await);
    let said = store.spoken(ours, call, Timestamp(0), 100).await.unwrap();
    let who: Vec<_> = said.iter().filter_map(|(_, data)| data["who"].as_str()).collect();
    assert_eq!(who, ["agent", "agent", "caller"]);
    assert_eq!(said[0].0, Timestamp(BEGAN_US + 20_000_000));
    assert_eq!(said[0].1["utterance"], "one");
    assert!(store.spoken(OrganisationId::new(), call, Timestamp(0), 10).await.unwrap().is_empty());
}

/// What is told is there once it is flushed, as record, events and samples; a late price too; and
/// nobody else's key finds any of it.
#[test]
fn what_is_told_is_found() {
    on_both(async |db| {
        let store = db.store().await;
        let (ours, call) = (store.default_organisation(), Uuid::now_v7());
        let log = Log::start(&store, NodeId::new());
        let facts = told(call, ours);
        for fact in facts.iter().take(4).cloned() {
            assert!(log.handle.tell(fact));
        }
        let sample = QualitySample {
            at_us: BEGAN_US + 10_000_000,
            loss: 0.5,
            jitter_ms: 1.5,
            buffer_ms: 20,
            mos: 4.0,
            round_trip_ms: None,
            underruns: Some(2),
        };
        log.handle.sample(call, Sample::Quality(sample));
        assert!(log.handle.flush().await);
        // Some twice; more than go in one statement.
        for at_s in (20..60).chain(30..50) {
            let sample = QualitySample { at_us: BEGAN_US + at_s * 1_000_000, ..sample };
            log.handle.sample(call, Sample::Quality(sample));
        }
        assert!(log.handle.flush().await);
        let lives = store.call(ours, call).await.unwrap();
        assert_eq!(lives.summary.state, State::InProgress);
        let filter = CallFilter { is_over: Some(false), ..CallFilter::default() };
        assert_eq!(store.calls(ours, &filter, 10).await.unwrap(), vec![lives]);

        facts.iter().skip(4).cloned().for_each(|fact| assert!(log.handle.tell(fact)));
        assert!(log.handle.flush().await);
        let over = store.call(ours, call).await.unwrap();
        assert_eq!(over.summary.state, State::Completed);
        assert_eq!(over.summary.duration_ms, Some(60_000));
        assert_eq!(over.summary.ended_by, Some(EndedBy::Agent));
        assert!(over.summary.quality.is_some() && !over.is_incomplete);

        let price = Price { amount: "0.0125".into(), currency: "USD".into() };
        let priced = What::Priced(price.clone());
        assert!(log.handle.tell(fact(call, Source::Carrier, 0, 99_000, priced)));
        assert!(log.handle.flush().await);
        let priced = store.call(ours, call).await.unwrap().summary;
        assert_eq!((priced.cost, priced.state), (Some(price), State::Completed));

        let events = store.call_events(ours, call, 0, 100).await.unwrap();
        let kinds: Vec<&str> = events.iter().map(|event| event.kind.as_str()).collect();
        let expected = [
            "initiated",
            "ringing",
            "agent_connected",
            "answered",
            "hold",
            "ended",
            "quality",
            "priced",
        ];
        assert_eq!(kinds, expected);
        spoken_is_found(&store, &log, ours, call).await;

        let samples = store.quality(ours, call, Timestamp(0), 100).await.unwrap();
        assert_eq!((samples.len(), samples[0].data["loss"].as_f64()), (41, Some(0.5)));
        assert_eq!(samples[0].data["underruns"].as_u64(), Some(2));

        let theirs = db.organisation(&store, "other").await;
        assert!(matches!(store.call(theirs, call).await, Err(StoreError::NotFound)));
        assert!(store.call_events(theirs, call, 0, 100).await.unwrap().is_empty());
        assert!(store.quality(theirs, call, Timestamp(0), 10).await.unwrap().is_empty());
        assert!(store.calls(theirs, &CallFilter::default(), 10).await.unwrap().is_empty());
        assert_eq!(store.last_event(theirs).await.unwrap(), 0);
    });
}

/// A price that came late stays, with its currency, whatever is told afterwards: to the same
/// server, or to the next one, which has to read the call again.
#[test]
fn late_prices_stay() {
    on_both(async |db| {
        let store = db.store().await;
        let (ours, call, node) = (store.default_organisation(), Uuid::now_v7(), NodeId::new());
        let price = |amount: &str| Price { amount: amount.into(), currency: "EUR".into() };
        let cost = async |log: &Log, id, after_ms, what| {
            assert!(log.handle.tell(fact(call, Source::Carrier, id, after_ms, what)));
            assert!(log.handle.flush().await);
            store.call(ours, call).await.unwrap().summary.cost
        };
        let log = Log::start(&store, node);
        told(call, ours).into_iter().for_each(|fact| assert!(log.handle.tell(fact)));
        let first = What::Priced(price("0.01"));
        assert_eq!(cost(&log, 0, 90_000, first).await, Some(price("0.01")));
        log.kill().await;
        let log = Log::start(&store, node);
        let recorded = What::Recording { state: "at_carrier".into(), at_carrier: None };
        assert_eq!(cost(&log, 1, 3_600_000, recorded).await, Some(price("0.01")));
        let later = What::Priced(price("0.0125"));
        assert_eq!(cost(&log, 2, 7_200_000, later).await, Some(price("0.0125")));
        let under_way = What::Priced(price("0.5"));
        assert_eq!(cost(&log, 3, 80_000, under_way).await, Some(price("0.0125")), "an older one");
    });
}

/// What a carrier tells of the same call: each fact by its own number, the end twice in other
/// words.
fn carrier_told(call: Uuid) -> Vec<CallFact> {
    let event = |id: Option<&str>, after_ms: u64, what| CallEvent {
        call: CarrierCallId("theirs".into()),
        id: id.map(str::to_owned),
        at_unix_ms: Some(BEGAN_US as u64 / 1_000 + after_ms),
        what,
    };
    let over = |cause| Said::Ended(Over { cause, sip_status: None, duration_ms: None, raw: None });
    let price = Price { amount: "0.01".into(), currency: "USD".into() };
    let events = [
        event(Some("e1"), 15, Said::Ringing),
        event(Some("e2"), 35, Said::Answered),
        event(Some("e3"), 60_100, over(HangupCause::Normal)),
        event(Some("e4"), 60_200, over(HangupCause::Failed)),
        event(None, 90_000, Said::Priced(price)),
    ];
    events.iter().map(|event| from_carrier(call, event, BEGAN_US).unwrap()).collect()
}

/// However facts of node and carrier come, some never, each several times, in any order after the
/// first, some again after the process was killed: each that came is there once and has one effect,
/// and state and cause are the same. Where nobody told of the end, the watchdog does, once.
#[test]
fn each_fact_has_one_effect() {
    on_both(async |db| {
        let store = db.store().await;
        let (ours, node) = (store.default_organisation(), NodeId::new());
        let theirs = db.organisation(&store, "other").await;
        subscribe(&store, ours, "*").await;
        subscribe(&store, theirs, "*").await;
        let mut effects = 0;
        for seed in 0..24 {
            let mut dice = fastrand::Rng::with_seed(seed);
            let call = Uuid::now_v7();
            let mut facts = told(call, ours);
            facts.extend(carrier_told(call));
            let first = facts.remove(0);
            // Nothing is lost, a few facts, or most of them.
            let lost = f64::from(seed as u32 % 3) * 0.4;
            facts.retain(|_| dice.f64() >= lost);
            let mut order = facts.clone();
            if !facts.is_empty() {
                order.extend((0..10).map(|_| facts[dice.usize(0..facts.len())].clone()));
            }
            dice.shuffle(&mut order);
            order.insert(0, first.clone());
            order.push(first);
            let (before, after) = order.split_at(dice.usize(1..order.len()));
            for part in [before, after] {
                let log = Log::start(&store, node);
                for fact in part {
                    assert!(log.handle.tell(fact.clone()));
                    if dice.bool() {
                        assert!(log.handle.flush().await);
                    }
                }
                assert!(log.handle.flush().await);
                log.kill().await;
            }
            let ends = |source| {
                let end = |fact: &&CallFact| matches!(fact.what, What::Ended(_));
                facts.iter().filter(end).any(|fact| fact.source == source)
            };
            let is_over = ends(Source::Node) || ends(Source::Carrier);
            let log = Log::start(&store, node);
            log.handle.lost(call).await;
            log.handle.lost(call).await;
            assert!(log.handle.flush().await);
            log.kill().await;
            let events = store.call_events(ours, call, 0, 100).await.unwrap();
            let expected = 1 + facts.len() + usize::from(!is_over);
            assert_eq!(events.len(), expected, "seed {seed}");
            effects += expected;
            let summary = store.call(ours, call).await.unwrap().summary;
            assert!(summary.state.is_terminal(), "seed {seed}");
            if ends(Source::Node) {
                let end = (summary.state, summary.cause);
                assert_eq!(end, (State::Completed, Some(Cause::Normal)), "seed {seed}");
            } else if !is_over {
                assert_eq!(summary.cause, Some(Cause::NodeLost), "seed {seed}");
            }
        }

        let subscription = store.subscriptions(ours, None, 10).await.unwrap().remove(0).id;
        let deliveries = store.deliveries(ours, subscription, None, None, 1_000).await.unwrap();
        let mut events: Vec<&str> = deliveries.iter().map(|one| one.event_id.as_str()).collect();
        events.sort_unstable();
        events.dedup();
        assert_eq!((deliveries.len(), events.len()), (effects, effects));
        let other = store.subscriptions(theirs, None, 10).await.unwrap().remove(0).id;
        assert!(store.deliveries(theirs, other, None, None, 10).await.unwrap().is_empty());
    });
}

/// A subscription gets what it asked for, and nothing once it is switched off.
#[test]
fn subscriptions_get_what_they_asked_for() {
    on_both(async |db| {
        let store = db.store().await;
        let ours = store.default_organisation();
        subscribe(&store, ours, "call.ended").await;
        let log = Log::start(&store, NodeId::new());
        told(Uuid::now_v7(), ours).into_iter().for_each(|fact| assert!(log.handle.tell(fact)));
        assert!(log.handle.flush().await);
        let subscription = store.subscriptions(ours, None, 10).await.unwrap().remove(0);
        let id = subscription.id;
        let sent = store.deliveries(ours, id, None, None, 10).await.unwrap();
        assert_eq!(sent.len(), 1);
        assert_eq!(sent[0].kind, "call.ended");
        let fields = SubscriptionFields {
            url: subscription.url,
            events: subscription.events,
            description: None,
            enabled: false,
        };
        let key = SigningKey::KeptAt("https://example.com/");
        store.update_subscription(ours, id, &fields, key, &Actor::Server).await.unwrap();
        told(Uuid::now_v7(), ours).into_iter().for_each(|fact| assert!(log.handle.tell(fact)));
        assert!(log.handle.flush().await);
        assert_eq!(store.deliveries(ours, id, None, None, 10).await.unwrap().len(), 1);
    });
}

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

/// A list read page by page is the list; filters and their combinations keep what they say.
#[test]
fn lists_are_paged_and_filtered() {
    on_both(async |db| {
        let store = db.store().await;
        let ours = store.default_organisation();
        let log = Log::start(&store, NodeId::new());
        let mut calls = Vec::new();
        for number in 0..25_u32 {
            let call = Uuid::now_v7();
            let mut facts = told(call, ours);
            // Several begin in the same microsecond.
            facts[0].at_us = BEGAN_US + i64::from(number / 3) * 1_000;
            facts.into_iter().for_each(|fact| assert!(log.handle.tell(fact)));
            calls.push(call);
        }
        assert!(log.handle.flush().await);
        calls.reverse();
        let mut seen = Vec::new();
        let mut filter = CallFilter { agent: Some("helper".into()), ..CallFilter::default() };
        loop {
            let page = store.calls(ours, &filter, 4).await.unwrap();
            let Some(last) = page.last() else { break };
            filter.after = Some(last.id);
            seen.extend(page.iter().map(|call| call.id));
        }
        assert_eq!(seen, calls);
        let found = async |filter: CallFilter| store.calls(ours, &filter, 100).await.unwrap().len();
        let all = CallFilter::default();
        assert_eq!(found(CallFilter { to: Some("100".into()), ..all.clone() }).await, 25);
        assert_eq!(found(CallFilter { to: Some("200".into()), ..all.clone() }).await, 0);
        assert_eq!(found(CallFilter { trunk: Some("main".into()), ..all.clone() }).await, 25);
        assert_eq!(found(CallFilter { is_over: Some(false), ..all.clone() }).await, 0);
        let states = vec![State::Busy, State::Completed];
        assert_eq!(found(CallFilter { states, ..all.clone() }).await, 25);
        let outbound = Some(Direction::Outbound);
        assert_eq!(found(CallFilter { direction: outbound, ..all.clone() }).await, 0);
        let (from, until) = (Timestamp(BEGAN_US + 2_000), Timestamp(BEGAN_US + 4_000));
        let within = CallFilter { from_time: Some(from), until_time: Some(until), ..all.clone() };
        assert_eq!(found(within).await, 6);
        let after = Some(Uuid::now_v7());
        assert_eq!(found(CallFilter { after, ..all }).await, 0);
    });
}

/// What a call tells of a transfer `id`.
fn moved(id: Uuid, state: &str, cause: Option<&str>) -> What {
    let asked = (state == "requested").then(|| {
        Box::new(Asked {
            kind: "warm".into(),
            destination: "+4930123456".into(),
            other_call: None,
            options: [("accept_digit".to_owned(), "1".to_owned())].into(),
        })
    });
    let (id, cause) = (Some(id), cause.map(str::to_owned));
    What::Transfer { id, state: state.into(), cause, asked }
}

/// Transfers are as far as the facts of their call say, once each however often that is told; with
/// the call ends what is under way, whoever ends it; nobody else sees them.
#[test]
fn transfers_follow_from_facts() {
    on_both(async |db| {
        let store = db.store().await;
        let ours = store.default_organisation();
        let log = Log::start(&store, NodeId::new());
        let (first, second) = (Uuid::now_v7(), Uuid::now_v7());
        let (over, lost) = (Uuid::now_v7(), Uuid::now_v7());
        for call in [over, lost] {
            told(call, ours).into_iter().take(4).for_each(|fact| assert!(log.handle.tell(fact)));
        }
        let steps = [
            moved(first, "requested", None),
            moved(first, "dialling", None),
            moved(first, "failed", Some("busy")),
            // Behind its end nothing changes it.
            moved(first, "bridged", None),
            moved(second, "requested", None),
            moved(second, "ringing", None),
        ];
        for (id, what) in (100..).zip(steps) {
            let step = fact(over, Source::Node, id, i64::from(id), what);
            assert!(log.handle.tell(step.clone()) && log.handle.tell(step));
        }
        let third = Uuid::now_v7();
        let begins = moved(third, "requested", None);
        assert!(log.handle.tell(fact(lost, Source::Node, 100, 100, begins)));
        assert!(log.handle.flush().await);
        let kept = store.transfers(ours, over, None, 10).await.unwrap();
        let states: Vec<_> =
            kept.iter().map(|one| (one.id, one.state, one.cause.as_deref())).collect();
        let expected =
            [(first, TransferState::Failed, Some("busy")), (second, TransferState::Ringing, None)];
        assert_eq!(states, expected);
        assert_eq!(kept[0].created_at, Timestamp(BEGAN_US + 100_000));
        assert_eq!(kept[0].ended_at, Some(Timestamp(BEGAN_US + 102_000)));
        assert_eq!(kept[1].ended_at, None);
        assert_eq!((kept[1].kind, kept[1].options.len()), (Kind::Warm, 1));
        assert!(!format!("{kept:?}").contains("+4930"), "no number in a log");
        let behind = store.transfers(ours, over, Some(first), 10).await.unwrap();
        assert_eq!(behind.len(), 1);

        let ended = Ended::new(Cause::Normal);
        let carrier = What::Ended(Box::new(ended.clone()));
        assert!(log.handle.tell(fact(over, Source::Carrier, 0, 200, carrier)));
        assert!(log.handle.flush().await);
        let state = async |call, at: usize| {
            let kept = store.transfers(ours, call, None, 10).await.unwrap();
            (kept[at].state, kept[at].cause.clone())
        };
        assert_eq!(state(over, 1).await.0, TransferState::Ringing, "the node knows better");
        let node = What::Ended(Box::new(ended));
        assert!(log.handle.tell(fact(over, Source::Node, 200, 300, node)));
        log.handle.lost(lost).await;
        assert!(log.handle.flush().await);
        assert_eq!(state(over, 0).await, (TransferState::Failed, Some("busy".into())));
        assert_eq!(state(over, 1).await, (TransferState::Cancelled, Some("call_over".into())));
        assert_eq!(state(lost, 0).await, (TransferState::Failed, Some("node_lost".into())));
        let theirs = db.organisation(&store, "other").await;
        assert!(store.transfers(theirs, over, None, 10).await.unwrap().is_empty());
        log.kill().await;
    });
}
