//! Limits: what they refuse, and that the counts are those of the living calls.

use std::collections::HashMap;
use std::time::Duration;

use media::time::MonoTime;
use proptest::prelude::*;
use uuid::Uuid;

use super::*;

fn now(millis: u64) -> MonoTime {
    MonoTime::from_nanos(10_000_000_000) + Duration::from_millis(millis)
}

fn bound(kind: Kind, id: u128, limits: Limits) -> Bound {
    Bound::new(kind, Uuid::from_u128(id), limits)
}

/// Places that are taken out of a permit are held apart from those that stay in it.
#[test]
fn a_permit_is_divided() {
    let mut quota = Quota::default();
    let bounds = [Kind::Organisation, Kind::Server, Kind::Number];
    let bounds = bounds.map(|kind| bound(kind, 1, Limits::default()));
    let mut permit = quota.take(now(0), Way::In, &bounds).unwrap();
    let rest = permit.all_but(Kind::Server);
    let held = |quota: &Quota| bounds.map(|bound| quota.calls(bound.subject).0);
    assert_eq!(held(&quota), [1, 1, 1]);
    drop(permit);
    assert_eq!(held(&quota), [1, 0, 1]);
    drop(rest);
    assert_eq!(held(&quota), [0, 0, 0]);
}

/// All or nothing: a call that one subject refuses takes nothing of the others, no rate either.
#[test]
fn a_refused_call_takes_nothing() {
    let mut quota = Quota::default();
    let organisation = bound(Kind::Organisation, 1, Limits::calls(10, 0).at_rate(3));
    let agent = bound(Kind::Agent, 2, Limits::calls(1, 0));
    let bounds = [organisation, agent];
    let first = quota.take(now(0), Way::In, &bounds).unwrap();
    for _ in 0..10 {
        let refused = quota.take(now(0), Way::In, &bounds).unwrap_err();
        assert_eq!((refused.kind, refused.limit), (Kind::Agent, Limit::Calls));
        assert_eq!(refused.to_string(), "the limit of calls of the agent is reached (1)");
    }
    assert_eq!(quota.calls(organisation.subject), (1, 0));
    drop(first);
    assert_eq!(quota.calls(organisation.subject), (0, 0));
    assert_eq!(quota.calls(agent.subject), (0, 0));
    // Two of the three a second are left.
    let two: Vec<_> =
        (0..9).filter_map(|_| quota.take(now(0), Way::In, &[organisation]).ok()).collect();
    assert_eq!(two.len(), 2);
    let refused = quota.take(now(0), Way::In, &bounds).unwrap_err();
    assert_eq!((refused.kind, refused.limit), (Kind::Organisation, Limit::Rate));
    assert!(quota.take(now(334), Way::In, &bounds).is_ok());
}

/// What is kept for inbound calls no outbound call takes; inbound ones may take everything.
#[test]
fn reserve_for_inbound() {
    let mut quota = Quota::default();
    let server = [bound(Kind::Server, 0, Limits::calls(10, 25))];
    let placed: Vec<_> =
        (0..20).map_while(|_| quota.take(now(0), Way::Out, &server).ok()).collect();
    assert_eq!(placed.len(), 8);
    let refused = quota.take(now(0), Way::Out, &server).unwrap_err();
    assert_eq!((refused.limit, refused.bound), (Limit::OutboundCalls, 8));
    let come: Vec<_> = (0..20).map_while(|_| quota.take(now(0), Way::In, &server).ok()).collect();
    assert_eq!(come.len(), 2);
    drop(placed);
    let all: Vec<_> = (0..20).map_while(|_| quota.take(now(0), Way::In, &server).ok()).collect();
    assert_eq!(all.len(), 8);
    assert_eq!(Limits::calls(1, 10).calls.outbound, Some(1), "a share of one call is none");
    assert_eq!(Limits::calls(7, 100).calls.outbound, Some(0));
}

/// A limit that has become smaller than what lives refuses new calls and lets the old ones be.
#[test]
fn limits_change_under_living_calls() {
    let mut quota = Quota::default();
    let with = |most| [bound(Kind::Trunk, 1, Limits::calls(most, 0))];
    let calls: Vec<_> = (0..3).map(|_| quota.take(now(0), Way::In, &with(3)).unwrap()).collect();
    assert!(quota.take(now(0), Way::In, &with(1)).is_err());
    drop(calls);
    assert!(quota.take(now(0), Way::In, &with(1)).is_ok());
}

/// Subjects without calls are forgotten, those with calls never.
#[test]
fn idle_subjects_are_forgotten() {
    let mut quota = Quota::default();
    let of = |id| [bound(Kind::Number, id, Limits::calls(1, 0).at_rate(1))];
    let kept = quota.take(now(0), Way::In, &of(0)).unwrap();
    for id in 1..100_000 {
        drop(quota.take(now(u64::try_from(id).unwrap() * 10), Way::In, &of(id)).unwrap());
    }
    assert!(quota.len() < 1_000, "{}", quota.len());
    assert!(quota.take(now(9_999_999), Way::In, &of(0)).is_err());
    drop(kept);
    assert!(quota.take(now(9_999_999), Way::In, &of(0)).is_ok());
}

#[derive(Clone, Debug)]
enum Step {
    Take { way: Way, organisation: u128, agent: u128 },
    End(usize),
    Wait(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (any::<bool>(), 0..3_u128, 0..4_u128).prop_map(|(out, organisation, agent)| {
            let way = if out { Way::Out } else { Way::In };
            Step::Take { way, organisation, agent }
        }),
        2 => any::<usize>().prop_map(Step::End),
        1 => (0..2_000_u64).prop_map(Step::Wait),
    ]
}

proptest! {
    /// After any sequence of calls that begin and end, each subject counts its living calls, none
    /// has more than its limit, and a call is refused only if a limit is really met.
    #[test]
    fn counts_equal_the_living_calls(steps in prop::collection::vec(step(), 0..200)) {
        let mut quota = Quota::default();
        let mut living: Vec<(Way, Vec<Subject>, Permit)> = Vec::new();
        let mut at = now(0);
        let limits = [Limits::calls(12, 25), Limits::calls(5, 20), Limits::calls(3, 0)];
        for step in steps {
            match step {
                Step::Wait(millis) => at += Duration::from_millis(millis),
                Step::End(which) if !living.is_empty() => {
                    drop(living.swap_remove(which % living.len()));
                }
                Step::End(_) => {}
                Step::Take { way, organisation, agent } => {
                    let bounds = [
                        bound(Kind::Server, 0, limits[0]),
                        bound(Kind::Organisation, organisation, limits[1]),
                        bound(Kind::Agent, agent, limits[2]),
                    ];
                    let counts = |bound: &Bound| {
                        let of = |wanted| living.iter().filter(move |(way, subjects, _)| {
                            *way == wanted && subjects.contains(&bound.subject)
                        }).count() as u32;
                        (of(Way::In), of(Way::Out))
                    };
                    let full = bounds.iter().any(|bound| {
                        let (inbound, outbound) = counts(bound);
                        let calls = bound.limits.calls;
                        calls.both.is_some_and(|most| inbound + outbound >= most)
                            || way == Way::Out
                                && calls.outbound.is_some_and(|most| outbound >= most)
                    });
                    let taken = quota.take(at, way, &bounds);
                    prop_assert_eq!(taken.is_err(), full);
                    if let Ok(permit) = taken {
                        let subjects = bounds.iter().map(|bound| bound.subject).collect();
                        living.push((way, subjects, permit));
                    }
                }
            }
            let mut counts: HashMap<Subject, (u32, u32)> = HashMap::new();
            for (way, subjects, _) in &living {
                for subject in subjects {
                    let count = counts.entry(*subject).or_default();
                    match way {
                        Way::In => count.0 += 1,
                        Way::Out => count.1 += 1,
                    }
                }
            }
            for (subject, count) in counts {
                prop_assert_eq!(quota.calls(subject), count);
            }
        }
        living.clear();
        let subject = bound(Kind::Server, 0, Limits::default()).subject;
        prop_assert_eq!(quota.calls(subject), (0, 0));
    }
}

/// A call that is there already has its places whatever the limits are, and nothing of the rates.
#[test]
fn places_are_restored() {
    let mut quota = Quota::default();
    let organisation = bound(Kind::Organisation, 1, Limits::calls(1, 0).at_rate(1));
    let held = [Way::In, Way::Out].map(|way| quota.restore(way, &[organisation]));
    assert_eq!(quota.calls(organisation.subject), (1, 1));
    assert!(quota.take(now(0), Way::In, &[organisation]).is_err());
    drop(held);
    quota.take(now(0), Way::In, &[organisation]).unwrap();
}

/// An organisation that has spent what it may has no calls, and is told what it was that it spent;
/// others have theirs; and once there is more, so has it.
#[test]
fn who_has_spent_all_has_no_calls() {
    let mut quota = Quota::default();
    let [ours, theirs] = [1, 2].map(|id| [bound(Kind::Organisation, id, Limits::default())]);
    for (limit, told) in [
        (Limit::Money, "the limit of money of the organisation is reached (12.05)"),
        (Limit::Minutes, "the limit of minutes of the organisation is reached (1205)"),
    ] {
        let gone = Gone { limit, bound: 1_205 };
        quota.spend(HashMap::from([(Uuid::from_u128(1), gone)]));
        let refusal = quota.take(now(0), Way::In, &ours).unwrap_err();
        assert_eq!(refusal.to_string(), told);
        assert_eq!((refusal.is_budget(), refusal.is_lasting()), (true, true));
        assert!(quota.take(now(0), Way::Out, &theirs).is_ok());
    }
    quota.spend(HashMap::new());
    assert!(quota.take(now(0), Way::Out, &ours).is_ok());
    let daily = Refusal { kind: Kind::Number, limit: Limit::CallsADay, bound: 5 };
    assert_eq!((daily.is_budget(), daily.is_lasting()), (false, true));
    assert_eq!(daily.to_string(), "the limit of calls a day of the number is reached (5)");
}
