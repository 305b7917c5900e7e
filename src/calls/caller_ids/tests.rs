//! Which number is picked, by each policy, and that none is beyond its calls of the day.

use proptest::prelude::*;
use uuid::Uuid;

use super::*;

const LINE: Uuid = Uuid::from_u128(1);
const NUMBERS: [&str; 4] = ["+493011", "+498922", "+4930555", "+12125550100"];

fn rotation(policy: Policy) -> Rotation {
    Rotation { policy, daily_cap: None }
}

/// Picks and counts; the number.
fn next(uses: &mut Uses, rotation: Rotation, callee: Callee<'_>) -> Option<&'static str> {
    let picked = uses.pick(0, LINE, rotation, &NUMBERS, callee).ok()?;
    let number = NUMBERS[picked?];
    uses.count(0, LINE, number);
    Some(number)
}

/// The default is the first, call after call; by turns each comes once before any comes again, and
/// begins anew with whichever was used the longest time ago.
#[test]
fn defaults_and_turns() {
    let mut uses = Uses::default();
    let by = |policy| rotation(policy);
    for _ in 0..3 {
        assert_eq!(next(&mut uses, by(Policy::Default), Callee::default()), Some(NUMBERS[0]));
    }
    let turns: Vec<_> =
        (0..6).filter_map(|_| next(&mut uses, by(Policy::RoundRobin), Callee::default())).collect();
    let [first, second, third, fourth] = NUMBERS;
    // The first has had its turn as the default.
    assert_eq!(turns, [second, third, fourth, first, second, third]);
    assert_eq!(uses.pick(0, LINE, by(Policy::RoundRobin), &[], Callee::default()), Ok(None));
}

/// Whoever was called before is called from the same number, however it was written down, as long
/// as it is there; everybody else by turns.
#[test]
fn the_same_callee_has_the_same_number() {
    let mut uses = Uses::default();
    let sticky = rotation(Policy::Sticky);
    let callee = |last| Callee { digits: None, last };
    for last in ["+4930555", "4930555"] {
        assert_eq!(next(&mut uses, sticky, callee(Some(last))), Some(NUMBERS[2]));
    }
    assert_eq!(next(&mut uses, sticky, callee(None)), Some(NUMBERS[0]));
    assert_eq!(next(&mut uses, sticky, callee(Some("+4940"))), Some(NUMBERS[1]), "it is gone");
    // It has had its calls of the day.
    let capped = Rotation { daily_cap: Some(2), ..sticky };
    assert_eq!(next(&mut uses, capped, callee(Some("+4930555"))), Some(NUMBERS[3]));
}

/// The nearest number shares country and area; of equals the one that waits for longest.
#[test]
fn the_nearest_number() {
    let mut uses = Uses::default();
    let near = |digits| Callee { digits: Some(digits), last: None };
    for (called, expected) in [
        ("498912345", NUMBERS[1]),
        ("12125550199", NUMBERS[3]),
        ("13105550199", NUMBERS[3]),
        ("4930999", NUMBERS[0]),
        ("4930999", NUMBERS[2]),
        ("4930999", NUMBERS[0]),
        ("4940999", NUMBERS[1]),
        ("+493055", NUMBERS[2]),
    ] {
        assert_eq!(next(&mut uses, rotation(Policy::Local), near(called)), Some(expected));
    }
    let nobody = next(&mut uses, rotation(Policy::Local), Callee::default());
    assert!(nobody.is_some(), "a SIP URI is near to none, and called all the same");
}

/// Each has its calls of the day and no more; then the next is taken, at last none; on the next day
/// all are there again, and turns go on where they were.
#[test]
fn calls_of_a_day() {
    let mut uses = Uses::default();
    let two = Rotation { policy: Policy::Default, daily_cap: Some(2) };
    let placed: Vec<_> = std::iter::from_fn(|| next(&mut uses, two, Callee::default())).collect();
    let each: Vec<_> = NUMBERS.into_iter().flat_map(|number| [number; 2]).collect();
    assert_eq!(placed, each);
    let refused = uses.pick(0, LINE, two, &NUMBERS, Callee::default());
    assert_eq!(refused, Err(UsedUp { daily_cap: 2 }));
    assert_eq!(uses.pick(0, Uuid::nil(), two, &NUMBERS, Callee::default()), Ok(Some(0)));
    assert_eq!(uses.pick(1, LINE, two, &NUMBERS, Callee::default()), Ok(Some(0)));
    uses.count(1, LINE, NUMBERS[3]);
    let turns = rotation(Policy::RoundRobin);
    assert_eq!(uses.pick(1, LINE, turns, &NUMBERS, Callee::default()), Ok(Some(0)));
}

/// What other servers have placed counts; what is known of a day that is over does not, and what
/// this server knows is not forgotten because the log is late.
#[test]
fn other_servers_count() {
    let mut uses = Uses::default();
    let cap = Rotation { policy: Policy::Default, daily_cap: Some(5) };
    for _ in 0..3 {
        uses.count(7, LINE, NUMBERS[0]);
    }
    uses.learn(7, LINE, &[("493011".to_owned(), 1), ("498922".to_owned(), 5)]);
    uses.learn(6, LINE, &[("493011".to_owned(), 5)]);
    assert_eq!(uses.pick(7, LINE, cap, &NUMBERS, Callee::default()), Ok(Some(0)));
    for _ in 0..2 {
        uses.count(7, LINE, NUMBERS[0]);
    }
    assert_eq!(uses.pick(7, LINE, cap, &NUMBERS, Callee::default()), Ok(Some(2)));
}

/// Words lead back to their policy, and are what is stored.
#[test]
fn words_name_policies() {
    for policy in Policy::ALL {
        assert_eq!(Policy::from_word(policy.as_str()), Some(policy));
        assert_eq!(serde_json::to_value(policy).unwrap(), policy.as_str());
    }
    assert!(!Rotation::default().is_set() && rotation(Policy::Local).is_set());
}

proptest! {
    /// Whatever is called by whatever policies: no number has more than its calls of a day, none is
    /// refused while any has calls left, and a call is always placed from one that is there.
    #[test]
    fn no_number_is_used_more(
        steps in prop::collection::vec((0_i64..3, 0_usize..4, 0_usize..4, any::<bool>()), 1..200),
        cap in 1_u32..6,
    ) {
        let mut uses = Uses::default();
        let mut placed: HashMap<(i64, usize), u32> = HashMap::new();
        let mut today = 0;
        for (days, policy, last, known) in steps {
            today += i64::from(days == 0);
            let rotation = Rotation { policy: Policy::ALL[policy], daily_cap: Some(cap) };
            let last = known.then(|| NUMBERS[last]);
            let callee = Callee { digits: Some("493012"), last };
            let used = |at: usize| placed.get(&(today, at)).copied().unwrap_or(0);
            match uses.pick(today, LINE, rotation, &NUMBERS, callee) {
                Ok(Some(at)) => {
                    prop_assert!(used(at) < cap);
                    uses.count(today, LINE, NUMBERS[at]);
                    *placed.entry((today, at)).or_default() += 1;
                }
                Ok(None) => prop_assert!(false, "there are numbers"),
                Err(_) => prop_assert!((0..NUMBERS.len()).all(|at| used(at) >= cap)),
            }
        }
    }
}
