use std::sync::Arc;

use adapters::agent::{Direction, EndedBy};
use adapters::event::{
    CallEvent, CallFact as Said, CarrierCallId, Ended as Over, HangupCause, Price,
};
use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::calls::caller_ids::Policy;
use crate::calls::cause::Cause;
use crate::quota::amount::{Amount, Currency};
use crate::quota::rates::Rate;

const CALL: Uuid = Uuid::from_u128(7);
const BEGAN_US: i64 = 1_700_000_000_000_000;

fn fact(source: Source, id: &str, after_ms: i64, what: What) -> CallFact {
    CallFact { call: CALL, source, id: id.into(), at_us: BEGAN_US + after_ms * 1_000, what }
}

fn node(id: u32, after_ms: i64, what: What) -> CallFact {
    fact(Source::Node, &id.to_string(), after_ms, what)
}

fn began() -> What {
    What::Initiated(Box::new(Began {
        organisation: Uuid::from_u128(1),
        direction: Direction::Outbound,
        from: "+4930123456".into(),
        to: "+15551234567".into(),
        trunk: Some("main".into()),
        agent: "helper".into(),
        configuration: None,
    }))
}

fn ended(cause: Cause, by: EndedBy, lasted_ms: Option<u64>) -> What {
    What::Ended(Box::new(Ended {
        by: Some(by),
        answered: Some(lasted_ms.is_some()),
        duration_ms: lasted_ms,
        q850: Some(cause.q850()),
        ..Ended::new(cause)
    }))
}

fn carrier(id: Option<&str>, at_ms: i64, what: Said) -> CallFact {
    let event = CallEvent {
        call: CarrierCallId("theirs".into()),
        id: id.map(str::to_owned),
        at_unix_ms: u64::try_from(BEGAN_US / 1_000 + at_ms).ok(),
        what,
    };
    from_carrier(CALL, &event, BEGAN_US).unwrap()
}

fn over(cause: HangupCause, duration_ms: Option<u64>) -> Said {
    Said::Ended(Over { cause, sip_status: None, duration_ms, raw: None })
}

/// The first sample wakes whoever writes, and those behind it do not until all were taken together.
#[test]
fn samples_wake_the_writer_once() {
    let (log, mut queue) = LogHandle::new(Arc::default());
    let sample = QualitySample {
        at_us: BEGAN_US,
        loss: 0.0,
        jitter_ms: 0.0,
        buffer_ms: 0,
        mos: 4.0,
        round_trip_ms: None,
        underruns: None,
    };
    for _ in 0..2 {
        (0..3).for_each(|_| log.sample(CALL, Sample::Quality(sample)));
        assert!(matches!(queue.entries.try_recv(), Ok(Entry::Samples)));
        assert!(queue.entries.try_recv().is_err(), "it is woken once");
        assert_eq!(queue.take_samples().len(), 3);
    }
}

fn folded(facts: &[CallFact]) -> Summary {
    let mut fold = Fold::default();
    fold.extend(facts);
    fold.summary()
}

/// What really happened to a call, and what its node and its carrier say of it.
#[derive(Clone, Debug)]
struct Story {
    state: State,
    cause: Cause,
    facts: Vec<CallFact>,
}

/// Ends that node and carrier call the same.
const ENDS: [(Cause, EndedBy, HangupCause, bool, State); 11] = [
    (Cause::Normal, EndedBy::Caller, HangupCause::Normal, true, State::Completed),
    (Cause::Normal, EndedBy::Agent, HangupCause::Normal, true, State::Completed),
    (Cause::NetworkFailure, EndedBy::Network, HangupCause::Failed, true, State::Completed),
    (Cause::Congestion, EndedBy::Carrier, HangupCause::Congestion, true, State::Completed),
    (Cause::Busy, EndedBy::Caller, HangupCause::Busy, false, State::Busy),
    (Cause::Rejected, EndedBy::Caller, HangupCause::Rejected, false, State::Busy),
    (Cause::NoAnswer, EndedBy::Server, HangupCause::NoAnswer, false, State::NoAnswer),
    (Cause::Cancelled, EndedBy::Agent, HangupCause::Cancelled, false, State::Canceled),
    (Cause::NotFound, EndedBy::Carrier, HangupCause::NotFound, false, State::Failed),
    (Cause::Congestion, EndedBy::Carrier, HangupCause::Congestion, false, State::Failed),
    (Cause::NetworkFailure, EndedBy::Network, HangupCause::Failed, false, State::Failed),
];

prop_compose! {
    fn story()(
        end in 0..ENDS.len(),
        ring_ms in 1_i64..60_000,
        talk_ms in 1_i64..3_600_000,
        skew_ms in -5_000_i64..5_000,
        ids in any::<bool>(),
        carrier_speaks in any::<bool>(),
        extras in any::<[bool; 5]>(),
    ) -> Story {
        let (cause, by, theirs, answered, state) = ENDS[end];
        let [queued, early, held, silent, priced] = extras;
        let (up_ms, end_ms) = (100 + ring_ms, 100 + ring_ms + talk_ms);
        let lasted = answered.then_some(talk_ms as u64);
        let mut told = vec![(0, began()), (100, What::Ringing)];
        if queued {
            told.push((50, What::Queued));
        }
        if early {
            told.push((110, What::EarlyMedia));
        }
        told.push((90, What::AgentConnected { agent: "helper".into(), resumed: false }));
        if answered {
            told.push((up_ms, What::Answered));
        }
        if held && answered {
            told.push((up_ms + 1, What::Hold { on: true }));
            told.push((up_ms + 2, What::Hold { on: false }));
        }
        if silent {
            told.push((up_ms, What::Silence {
                direction: "in".into(),
                reason: "lost".into(),
                silent: true,
                since_ms: 3_000,
            }));
        }
        told.push((end_ms, ended(cause, by, lasted)));
        told.push((end_ms + 1, What::Quality(Box::default())));
        let told = (0..).zip(told);
        let mut facts: Vec<_> = told.map(|(id, (at, what))| node(id, at, what)).collect();
        if carrier_speaks {
            let id = |text| ids.then_some(text);
            facts.push(carrier(id("e1"), skew_ms, Said::Initiated));
            facts.push(carrier(id("e2"), 100 + skew_ms, Said::Ringing));
            if answered {
                facts.push(carrier(id("e3"), up_ms + skew_ms, Said::Answered));
            }
            facts.push(carrier(id("e4"), end_ms + skew_ms, over(theirs, lasted)));
            if priced {
                let price = |amount: &str| Price { amount: amount.into(), currency: "USD".into() };
                facts.push(carrier(None, end_ms + 60_000, Said::Priced(price("0.01"))));
                facts.push(carrier(None, end_ms + 90_000, Said::Priced(price("0.0125"))));
            }
        }
        Story { state, cause, facts }
    }
}

/// `facts` in another order, some of them several times.
fn shuffled(facts: &[CallFact], seed: u64) -> Vec<CallFact> {
    let mut dice = fastrand::Rng::with_seed(seed);
    let mut all = facts.to_vec();
    for _ in 0..dice.usize(0..=facts.len()) {
        all.push(facts[dice.usize(0..facts.len())].clone());
    }
    dice.shuffle(&mut all);
    all
}

proptest! {
    /// Order and repetition change nothing at all.
    #[test]
    fn order_and_repetition_are_harmless(story in story(), seed in any::<u64>()) {
        let straight = folded(&story.facts);
        prop_assert_eq!(straight.state, story.state);
        prop_assert_eq!(straight.cause, Some(story.cause));
        prop_assert_eq!(folded(&shuffled(&story.facts, seed)), straight);
    }

    /// Whatever is lost besides: as long as one account of the end is left, state and cause are the
    /// same; and the one that nobody told is found out by the watchdog.
    #[test]
    fn losses_are_harmless(story in story(), seed in any::<u64>(), keep in 0.0..1.0_f64) {
        let mut dice = fastrand::Rng::with_seed(seed);
        let mut left = story.facts.clone();
        left.retain(|_| dice.f64() < keep);
        let is_end = |fact: &CallFact| matches!(fact.what, What::Ended(_));
        if !left.iter().any(is_end) {
            let lost = Ended::new(Cause::NodeLost);
            left.push(fact(Source::Watchdog, "lost", 9_000_000, What::Ended(Box::new(lost))));
            let summary = folded(&shuffled(&left, seed));
            prop_assert!(summary.state.is_terminal());
            prop_assert_eq!(summary.cause, Some(Cause::NodeLost));
            return Ok(());
        }
        // The network's failure says by itself nothing of the answer: of a carrier's word alone the
        // other facts have to tell.
        let node_ends = left.iter().any(|fact| is_end(fact) && fact.source == Source::Node);
        let lasted = left.iter().any(|fact| match &fact.what {
            What::Ended(ended) => ended.answered.is_some(),
            What::Answered => true,
            _ => false,
        });
        let summary = folded(&shuffled(&left, seed));
        prop_assert_eq!(summary.cause, Some(story.cause));
        if node_ends || lasted {
            prop_assert_eq!(summary.state, story.state);
        }
    }

    /// A summary can be made in two halves: facts that come after the end count as those before.
    #[test]
    fn late_facts_count_as_early_ones(story in story(), cut in any::<prop::sample::Index>()) {
        let at = cut.index(story.facts.len());
        let (early, late) = story.facts.split_at(at);
        let mut fold = Fold::default();
        fold.extend(late);
        fold.extend(early);
        prop_assert_eq!(fold.summary(), folded(&story.facts));
    }

    /// Facts survive being written down.
    #[test]
    fn facts_survive_json(story in story()) {
        for fact in story.facts {
            let text = serde_json::to_string(&fact).unwrap();
            prop_assert_eq!(serde_json::from_str::<CallFact>(&text).unwrap(), fact);
        }
    }
}

/// Every order of the six facts of a short call, each with one fact doubled, tells the same.
#[test]
fn every_order_of_a_short_call() {
    let facts = [
        node(0, 0, began()),
        node(1, 10, What::Ringing),
        node(2, 20, What::Answered),
        node(3, 61_020, ended(Cause::Normal, EndedBy::Caller, Some(61_000))),
        carrier(None, 61_100, over(HangupCause::Failed, None)),
        fact(Source::Watchdog, "lost", 90_000, What::Ended(Box::new(Ended::new(Cause::NodeLost)))),
    ];
    let straight = folded(&facts);
    let mut orders = 0;
    permute(&mut facts.to_vec(), 0, &mut |order| {
        let mut order = order.to_vec();
        order.push(order[orders % facts.len()].clone());
        assert_eq!(folded(&order), straight);
        orders += 1;
    });
    assert_eq!(orders, 720);
    assert_eq!((straight.state, straight.cause), (State::Completed, Some(Cause::Normal)));
    assert_eq!((straight.duration_ms, straight.billed_s), (Some(61_000), Some(61)));
    assert_eq!(straight.ended_by, Some(EndedBy::Caller));
}

fn permute(facts: &mut Vec<CallFact>, from: usize, visit: &mut impl FnMut(&[CallFact])) {
    if from == facts.len() {
        return visit(facts);
    }
    for at in from..facts.len() {
        facts.swap(from, at);
        permute(facts, from + 1, visit);
        facts.swap(from, at);
    }
}

/// A carrier that says `failed` after `completed` does not take back what it said, in whichever
/// order both arrive; a second `busy` is no second busy.
#[test]
fn the_first_end_of_a_source_wins() {
    let completed = carrier(Some("a"), 5_000, over(HangupCause::Normal, Some(4_200)));
    let failed = carrier(Some("b"), 6_000, over(HangupCause::Failed, None));
    for facts in [[completed.clone(), failed.clone()], [failed, completed]] {
        let summary = folded(&facts);
        assert_eq!((summary.state, summary.cause), (State::Completed, Some(Cause::Normal)));
        assert_eq!(summary.billed_s, Some(5));
    }
    let busy = |at| carrier(None, at, over(HangupCause::Busy, None));
    assert_eq!(busy(1).id, busy(2).id);
}

/// A call whose node was lost was as long as it was known to live; one that had not been answered
/// failed.
#[test]
fn lost_nodes() {
    let lost = |after_ms| {
        let end = What::Ended(Box::new(Ended::new(Cause::NodeLost)));
        fact(Source::Watchdog, "lost", after_ms, end)
    };
    let answered = folded(&[node(0, 0, began()), node(1, 1_000, What::Answered), lost(31_000)]);
    assert_eq!((answered.state, answered.duration_ms), (State::Completed, Some(30_000)));
    assert_eq!(answered.cause, Some(Cause::NodeLost));
    let rang = folded(&[node(0, 0, began()), node(1, 1_000, What::Ringing), lost(31_000)]);
    assert_eq!((rang.state, rang.duration_ms, rang.billed_s), (State::Failed, None, None));
}

/// The price that the carrier told last holds, and comes after the end as well as before.
#[test]
fn prices_come_late() {
    let price = |amount: &str, at| {
        let price = Price { amount: amount.into(), currency: "EUR".into() };
        carrier(None, at, Said::Priced(price))
    };
    let end = node(1, 10, ended(Cause::Normal, EndedBy::Agent, Some(1)));
    let summary = folded(&[price("0.02", 300), end, price("0.01", 200)]);
    let cost = summary.cost.unwrap();
    assert_eq!((cost.amount.as_str(), cost.currency.as_str()), ("0.02", "EUR"));
    assert_eq!(summary.billed_s, Some(1));
}

/// A record names the way that its call went in the end, in whichever order that is told, and not
/// what it tried before.
#[test]
fn the_last_line_is_the_records() {
    let changed = |id, at_ms, trunk: &str, configuration| {
        let trunk = Some(trunk.to_owned());
        node(id, at_ms, What::LineChanged { trunk, configuration })
    };
    let by = Some(Uuid::from_u128(9));
    let facts = [
        node(0, 0, began()),
        changed(1, 500, "second", None),
        changed(2, 900, "third", by),
        node(3, 1_000, What::Ringing),
    ];
    permute(&mut facts.to_vec(), 0, &mut |order| {
        let began = folded(order).began.unwrap();
        assert_eq!((began.trunk.as_deref(), began.configuration), (Some("third"), by));
        assert_eq!(began.agent, "helper");
    });
    let began = folded(&facts[..1]).began.unwrap();
    assert_eq!((began.trunk.as_deref(), began.configuration), (Some("main"), None));
}

/// A call that was answered has an estimate once it is over, whatever its carrier says later; one
/// that was not costs nothing; and the number that was picked last is the one that it came from.
#[test]
fn estimates_and_picked_numbers() {
    let amount = |text| Amount::parse(text).unwrap();
    let rate = Rate {
        currency: Currency::parse("EUR").unwrap(),
        per_minute: amount("0.10"),
        increment_s: 60,
        connection: amount("0.05"),
    };
    let picked = |number: &str| {
        let (number, policy) = (number.to_owned(), Policy::Local);
        What::CallerIdPicked(Box::new(PickedCallerId { number, policy }))
    };
    let ended = |answered: bool| {
        let duration_ms = answered.then_some(60_001);
        Ended { answered: Some(answered), duration_ms, ..Ended::new(Cause::Normal) }
    };
    let mut facts = [
        node(0, 0, began()),
        node(1, 1, What::Rated(Box::new(rate))),
        node(2, 2, picked("+4930111")),
        node(3, 500, picked("+4930222")),
        node(4, 90_000, What::Ended(Box::new(ended(true)))),
    ];
    permute(&mut facts.to_vec(), 0, &mut |order| {
        let summary = folded(order);
        let estimate = summary.estimate.unwrap();
        assert_eq!((estimate.amount, estimate.currency), (amount("0.25"), rate.currency));
        assert_eq!(summary.began.unwrap().from, "+4930222");
    });
    assert_eq!((folded(&facts[..4]).estimate, folded(&facts[..4]).rate), (None, Some(rate)));
    // A leg costs besides, once.
    let leg = Estimate { amount: amount("0.40"), currency: rate.currency };
    let mut with = facts.to_vec();
    with.extend([3_000, 3_000].map(|at_ms| node(9, at_ms, What::LegCharged(Box::new(leg)))));
    assert_eq!(folded(&with).estimate.unwrap().amount, amount("0.65"));
    // A called party in whose place another has called in costs what it did until then.
    let charged = node(8, 3_000, What::LegCharged(Box::new(leg)));
    let free = node(9, 3_000, What::Rated(Box::new(rate.free())));
    let mut replaced = [&facts[..2], &[charged, free][..], &facts[4..]].concat();
    permute(&mut replaced, 0, &mut |order| {
        assert_eq!(folded(order).estimate.unwrap().amount, amount("0.40"));
    });
    facts[4] = node(4, 90_000, What::Ended(Box::new(ended(false))));
    assert_eq!(folded(&facts).estimate, None);
}

/// Every cause leads to a terminal state; an answered call is completed whatever cut it short.
#[test]
fn every_cause_ends_a_call() {
    for cause in Cause::ALL {
        assert_eq!(State::of_end(cause, true, None), State::Completed);
        let state = State::of_end(cause, false, None);
        assert!(state.is_terminal() && state != State::Completed, "{cause:?}");
    }
    assert_eq!(State::of_end(Cause::Rejected, false, Some(603)), State::Busy);
    assert_eq!(State::of_end(Cause::Rejected, false, Some(403)), State::Failed);
    for state in State::ALL {
        assert_eq!(State::from_word(state.as_str()), Some(state));
        assert_eq!(serde_json::to_value(state).unwrap(), state.as_str());
    }
}

/// Neither numbers nor digits come out of `Debug`, and digits are not kept at all.
#[test]
fn facts_are_discreet() {
    let shown = format!("{:?}", node(0, 0, began()));
    assert!(!shown.contains("5551234") && !shown.contains("30123"), "{shown}");
    let digit = CallEvent {
        call: CarrierCallId("theirs".into()),
        id: None,
        at_unix_ms: None,
        what: Said::Dtmf { digit: adapters::secret::Pii::new("7") },
    };
    assert_eq!(from_carrier(CALL, &digit, BEGAN_US), None);
}
