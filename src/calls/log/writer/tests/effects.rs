//! Each fact has one effect, and each subscription gets what it asked for.

use adapters::event::{CallEvent, CallFact as Said, CarrierCallId, Ended as Over};
use adapters::event::{HangupCause, Price};

use crate::calls::log::from_carrier;
use crate::config::Secret;
use crate::store::Actor;
use crate::store::subscriptions::{SigningKey, SubscriptionFields};

use super::*;

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
