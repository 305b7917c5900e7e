//! What is told is found: as record, events and samples, and in lists.

use adapters::event::Price;

use crate::calls::log::{Ending, QualitySample, Sample, Speaker, Spoken};
use crate::store::calls::CallFilter;

use super::*;

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
        let state = "at_carrier".into();
        let recorded = What::Recording { state, at_carrier: None, at_server: None };
        assert_eq!(cost(&log, 1, 3_600_000, recorded).await, Some(price("0.01")));
        let later = What::Priced(price("0.0125"));
        assert_eq!(cost(&log, 2, 7_200_000, later).await, Some(price("0.0125")));
        let under_way = What::Priced(price("0.5"));
        assert_eq!(cost(&log, 3, 80_000, under_way).await, Some(price("0.0125")), "an older one");
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
