//! What calls hold is never more than there is, and all of it comes back.

use proptest::prelude::*;

use super::*;

const OURS: Uuid = Uuid::from_u128(1);
const START: MonoTime = MonoTime::from_nanos(1_000_000_000);

fn amount(text: &str) -> Amount {
    Amount::parse(text).unwrap()
}

fn euro() -> Currency {
    Currency::parse("EUR").unwrap()
}

/// So much a minute, by the increment.
fn rate(per_minute: &str, increment_s: u32) -> Rate {
    Rate { currency: euro(), per_minute: amount(per_minute), increment_s, connection: Amount::ZERO }
}

fn cap(a_day: &str) -> Cap {
    Cap { currency: euro(), a_day: Some(amount(a_day)), a_month: None }
}

/// Credits of an organisation that has so much left.
fn credits(left: &str) -> Credits {
    let mut credits = Credits::default();
    let balance = Balance { cap: amount(left), left: amount(left) };
    let mark = credits.mark();
    credits.learn(mark, &HashMap::from([(OURS, balance)]));
    credits
}

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// The narrower of day and month decides, and what calls may cost elsewhere is gone.
#[test]
fn balances() {
    let both = Cap { a_month: Some(amount("100")), ..cap("10") };
    let spent =
        |day, month| Expense { a_day: amount(day), a_month: amount(month), elsewhere: amount("1") };
    let left = |expense| {
        let balance: Balance = both.balance(&expense);
        (balance.cap.to_string(), balance.left.to_string())
    };
    assert_eq!(left(spent("2", "2")), ("10.00".into(), "7.00".into()));
    assert_eq!(left(spent("2", "95.5")), ("100.00".into(), "3.50".into()));
    assert_eq!(left(spent("9.5", "20")), ("10.00".into(), "0.00".into()));
    let none = Cap { currency: euro(), a_day: None, a_month: None };
    assert!(!none.is_set() && both.is_set());
}

/// A call holds its first increment from the start, and more while it talks; what others hold is
/// not there for it; and all is given back when it ends, but for what it cost.
#[test]
fn calls_hold_what_they_will_cost() {
    let mut credits = credits("1.00");
    let by_minute = rate("0.30", 60);
    let mut first = credits.take(OURS, &cap("1"), by_minute).unwrap();
    assert_eq!(credits.held(OURS), amount("0.30"));
    // Two minutes are paid for after ten seconds, as it has to hear of its end in time.
    let lasts = credits.renew(OURS, &mut first, seconds(10));
    assert_eq!((lasts, credits.held(OURS)), (Lasts::Until(seconds(60)), amount("0.60")));
    let second = credits.take(OURS, &cap("1"), by_minute).unwrap();
    let third = credits.take(OURS, &cap("1"), by_minute);
    assert_eq!(third.unwrap_err(), NoCredit::Spent(amount("1")));
    // There is no third minute for it.
    let lasts = credits.renew(OURS, &mut first, seconds(60));
    assert_eq!(lasts, Lasts::End(seconds(120) - END_EARLY));
    drop(second);
    assert_eq!(first.end(START), None);
    credits.settle(OURS, &first, by_minute.charge(seconds(61)));
    drop(first);
    assert_eq!(credits.held(OURS), Amount::ZERO);
    // 0.60 are spent, whether the log knows it or not.
    let rest = credits.take(OURS, &cap("1"), rate("0.40", 60)).unwrap();
    assert!(credits.take(OURS, &cap("1"), rate("0.01", 60)).is_err());
    drop(rest);
    let mark = credits.mark();
    let told = Balance { cap: amount("1"), left: amount("0.40") };
    credits.learn(mark, &HashMap::from([(OURS, told)]));
    assert!(credits.take(OURS, &cap("1"), rate("0.40", 60)).is_ok());
}

/// What a leg has cost that is over is held until its call is, and no more.
#[test]
fn legs_hold_what_they_have_cost() {
    let mut credits = credits("1.00");
    let mut leg = credits.take(OURS, &cap("1"), rate("0.10", 60)).unwrap();
    leg.begin(START);
    assert_eq!((leg.since(), leg.due), (Some(START), START));
    credits.renew(OURS, &mut leg, seconds(0));
    assert_eq!(credits.held(OURS), amount("0.20"));
    assert_eq!(leg.end(START + seconds(59)), Some(amount("0.10")));
    assert_eq!((credits.held(OURS), leg.due), (amount("0.10"), MonoTime::MAX));
    drop(leg);
    assert_eq!(credits.held(OURS), Amount::ZERO);
}

/// A balance that was asked for before a call was over does not have it yet.
#[test]
fn balances_may_be_late() {
    let mut credits = credits("1.00");
    let hold = credits.take(OURS, &cap("1"), rate("0.50", 60)).unwrap();
    let mark = credits.mark();
    credits.settle(OURS, &hold, hold.rate().charge(seconds(1)));
    drop(hold);
    let before = Balance { cap: amount("1"), left: amount("1") };
    credits.learn(mark, &HashMap::from([(OURS, before)]));
    assert!(credits.take(OURS, &cap("1"), rate("0.60", 60)).is_err());
    let mark = credits.mark();
    credits.learn(mark, &HashMap::from([(OURS, before)]));
    assert!(credits.take(OURS, &cap("1"), rate("0.60", 60)).is_ok());
}

/// Without a limit nothing is held; with one, nothing is given before it is known what is left;
/// once the limit is gone, calls go on for ever; and those that cost nothing do anyway.
#[test]
fn limits_come_and_go() {
    let mut credits = Credits::default();
    let none = Cap { a_day: None, ..cap("1") };
    let mut free = credits.take(OURS, &none, rate("9", 60)).unwrap();
    assert_eq!(credits.renew(OURS, &mut free, seconds(9)), Lasts::Always);
    assert_eq!(credits.take(OURS, &cap("1"), rate("0.01", 1)).unwrap_err(), NoCredit::Unknown);
    let mut credits = self::credits("1.00");
    let mut held = credits.take(OURS, &cap("1"), rate("0.60", 60)).unwrap();
    assert!(matches!(credits.renew(OURS, &mut held, seconds(1)), Lasts::End(_)));
    let mut nothing = credits.take(OURS, &cap("1"), rate("0", 60)).unwrap();
    assert_eq!(credits.renew(OURS, &mut nothing, seconds(1)), Lasts::Always);
    let mark = credits.mark();
    credits.learn(mark, &HashMap::new());
    assert_eq!(credits.renew(OURS, &mut held, seconds(1)), Lasts::Always);
    // Who has nothing left has no free calls either.
    let mut credits = self::credits("0");
    assert!(credits.take(OURS, &cap("1"), rate("0", 60)).is_err());
}

/// A call as the property test leads it.
struct Led {
    hold: Hold,
    talked: Duration,
    end: Option<Duration>,
}

proptest! {
    /// Whatever calls begin, talk and end in whatever order: together they never hold more than
    /// there is, and what they cost is never more than that; not even if each ends an increment
    /// late, but for that increment.
    #[test]
    fn nobody_overspends(
        left in 0..3_000_000_u64,
        rates in prop::collection::vec((1..500_000_u64, 1..=90_u32, 0..100_000_u64), 1..4),
        steps in prop::collection::vec((0_u8..4, any::<prop::sample::Index>(), 1..90_u64), 1..120),
    ) {
        let left = Amount::from_micros(left);
        let mut credits = Credits::default();
        let mark = credits.mark();
        credits.learn(mark, &HashMap::from([(OURS, Balance { cap: left, left })]));
        let cap = Cap { currency: euro(), a_day: Some(left), a_month: None };
        let rates: Vec<Rate> = rates
            .into_iter()
            .map(|(per_minute, increment_s, connection)| Rate {
                currency: euro(),
                per_minute: Amount::from_micros(per_minute),
                increment_s,
                connection: Amount::from_micros(connection),
            })
            .collect();
        let mut living: Vec<Led> = Vec::new();
        let mut spent = Amount::ZERO;
        for (what, which, seconds) in steps {
            if what == 0 || living.is_empty() {
                let taken = credits.take(OURS, &cap, *which.get(&rates));
                let led = |hold| Led { hold, talked: Duration::ZERO, end: None };
                living.extend(taken.ok().map(led));
            } else if what == 1 {
                let mut call = living.swap_remove(which.index(living.len()));
                call.talked = call.end.map_or(call.talked, |end| call.talked.min(end));
                let cost = call.hold.rate().charge(call.talked);
                credits.settle(OURS, &call.hold, cost);
                spent = spent.plus(cost);
            } else {
                // All clocks go on; whoever is due is renewed, or ends.
                for call in &mut living {
                    for _ in 0..seconds {
                        let lasts = credits.renew(OURS, &mut call.hold, call.talked);
                        if let Lasts::End(end) = lasts {
                            call.end.get_or_insert(end);
                        }
                        let next = call.talked + Duration::from_secs(1);
                        call.talked = call.end.map_or(next, |end| next.min(end));
                    }
                }
            }
            prop_assert!(spent.plus(credits.held(OURS)) <= left, "{spent} {left}");
        }
        for call in living {
            spent = spent.plus(call.hold.rate().charge(call.talked));
        }
        prop_assert!(spent <= left, "{spent} of {left}");
    }
}
