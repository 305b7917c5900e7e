//! What calls cost by their destination: a table of rates, of which the longest prefix holds.

use std::collections::HashMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::amount::{Amount, Currency};

/// Most digits of a prefix: those of a number (ITU-T E.164 6.1).
pub const PREFIX_DIGITS_MAX: usize = 15;
/// Longest billing increment, in seconds.
pub const INCREMENT_S_MAX: u32 = 3_600;
/// Seconds of a minute.
const MINUTE_S: u128 = 60;
/// Milliseconds of a second.
const SECOND_MS: u64 = 1_000;

/// What calls to destinations of one prefix cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rate {
    /// What all amounts are in.
    pub currency: Currency,
    /// The price of a minute.
    pub per_minute: Amount,
    /// What is begun of these seconds is paid as a whole; at least one.
    pub increment_s: u32,
    /// What an answered call costs besides.
    pub connection: Amount,
}

impl Rate {
    /// What costs nothing, in the same currency.
    pub const fn free(&self) -> Self {
        let (per_minute, connection) = (Amount::ZERO, Amount::ZERO);
        Self { currency: self.currency, per_minute, increment_s: self.increment_s, connection }
    }

    /// What a call costs that has talked so long. One that was answered costs one increment at
    /// least; one that was not costs nothing, and is not asked for here.
    pub fn charge(&self, talked: Duration) -> Amount {
        let increment_ms = self.increment_ms();
        let talked_ms = u64::try_from(talked.as_millis()).unwrap_or(u64::MAX);
        self.of_increments(talked_ms.div_ceil(increment_ms).max(1))
    }

    /// How long a call may talk for an amount: a millisecond more costs more than that. `None` if
    /// it does not even pay for the first increment; for ever if talking costs nothing.
    pub fn covers(&self, amount: Amount) -> Option<Duration> {
        let left = u128::from(amount.micros().checked_sub(self.connection.micros())?);
        let each = u128::from(self.per_minute.micros()) * u128::from(self.increment_s.max(1));
        let Some(increments) = (left * MINUTE_S).checked_div(each) else {
            return Some(Duration::MAX);
        };
        let increments = u64::try_from(increments).unwrap_or(u64::MAX);
        let whole = increments.saturating_mul(self.increment_ms());
        (increments > 0).then(|| Duration::from_millis(whole))
    }

    /// Whether no call, however long, costs more than it would at another rate.
    pub fn is_within(&self, other: &Self) -> bool {
        let (own, others) = (self.increment_s.max(1), other.increment_s.max(1));
        self.currency == other.currency
            && self.connection <= other.connection
            && self.per_minute <= other.per_minute
            && others.is_multiple_of(own)
    }

    fn increment_ms(&self) -> u64 {
        u64::from(self.increment_s.max(1)) * SECOND_MS
    }

    /// What so many increments cost; what is less than a millionth counts as one.
    fn of_increments(&self, increments: u64) -> Amount {
        let seconds = u128::from(increments) * u128::from(self.increment_s.max(1));
        let talk = (seconds * u128::from(self.per_minute.micros())).div_ceil(MINUTE_S);
        let talk = Amount::from_micros(u64::try_from(talk).unwrap_or(u64::MAX));
        self.connection.plus(talk)
    }
}

/// Rates by currency and prefix.
#[derive(Clone, Debug, Default)]
pub struct Rates(HashMap<Currency, HashMap<Box<str>, Rate>>);

impl Rates {
    /// Those of these prefixes, as [`prefix`] gives them. Of two with one prefix the first counts.
    pub fn new(rates: impl Iterator<Item = (String, Rate)>) -> Self {
        let mut all = Self::default();
        for (prefix, rate) in rates {
            let own = all.0.entry(rate.currency).or_default();
            own.entry(prefix.into_boxed_str()).or_insert(rate);
        }
        all
    }

    /// The rate of a called number, in a currency: that of the longest prefix. `digits` has the
    /// calling code and no `+`; what is no such number has the rate of the empty prefix.
    pub fn find(&self, currency: Currency, digits: Option<&str>) -> Option<Rate> {
        let own = self.0.get(&currency)?;
        let digits = digits.unwrap_or_default();
        let longest = digits.len().min(PREFIX_DIGITS_MAX);
        let mut prefixes = (0..=longest).rev().filter_map(|length| digits.get(..length));
        prefixes.find_map(|prefix| own.get(prefix)).copied()
    }
}

/// The digits of a prefix that is written as `+49`; none of `+`, which is every destination.
///
/// # Errors
///
/// When it is none; the message says why.
pub fn prefix(text: &str) -> Result<String, String> {
    let digits = text.strip_prefix('+').ok_or("it begins with +")?;
    if digits.len() > PREFIX_DIGITS_MAX {
        return Err(format!("more than {PREFIX_DIGITS_MAX} digits"));
    }
    if digits.starts_with('0') || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err("not the start of a number with its calling code".to_owned());
    }
    Ok(digits.to_owned())
}

/// What [`prefix`] takes, for messages.
pub const PREFIX_ALLOWED: &str = "the start of numbers with their calling code, such as \"+49\", \
                                  or \"+\" for all others";

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rate(per_minute: &str, increment_s: u32, connection: &str) -> Rate {
        let amount = |text| Amount::parse(text).unwrap();
        Rate {
            currency: Currency::parse("EUR").unwrap(),
            per_minute: amount(per_minute),
            increment_s,
            connection: amount(connection),
        }
    }

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    /// A rate is within another if nothing of it is more; what is begun of 40 seconds may be more
    /// than what is begun of 60.
    #[test]
    fn rates_are_within_others() {
        let other = rate("0.12", 60, "0.05");
        for (per_minute, increment_s, connection, expected) in [
            ("0.12", 60, "0.05", true),
            ("0.11", 1, "0", true),
            ("0.13", 60, "0.05", false),
            ("0.12", 60, "0.06", false),
            ("0.12", 40, "0.05", false),
            ("0.12", 120, "0.05", false),
        ] {
            let own = rate(per_minute, increment_s, connection);
            assert_eq!(own.is_within(&other), expected, "{own:?}");
        }
        let elsewhere = Rate { currency: Currency::parse("USD").unwrap(), ..other };
        assert!(!elsewhere.is_within(&other));
    }

    /// What is begun of an increment is paid, and the connection once.
    #[test]
    fn calls_are_charged() {
        let by_minute = rate("0.12", 60, "0.05");
        for (talked_s, expected) in
            [(0, "0.17"), (1, "0.17"), (60, "0.17"), (61, "0.29"), (3_600, "7.25")]
        {
            assert_eq!(by_minute.charge(seconds(talked_s)).to_string(), expected, "{talked_s} s");
        }
        let by_second = rate("0.06", 1, "0");
        assert_eq!(by_second.charge(Duration::from_millis(1_001)).to_string(), "0.002");
        // A third of a millionth is rounded up, once for all increments.
        let tiny = rate("0.000020", 1, "0");
        assert_eq!(tiny.charge(seconds(1)).micros(), 1);
        assert_eq!(tiny.charge(seconds(3)).micros(), 1);
        assert_eq!(tiny.charge(seconds(4)).micros(), 2);
    }

    /// The longest prefix holds; what has none has that of all others, in its own currency.
    #[test]
    fn the_longest_prefix_holds() {
        let dear = rate("1", 60, "0");
        let rates = [("+49", "0.01"), ("+4915", "0.10"), ("+1", "0.02")];
        let rates = rates.map(|(text, price)| (prefix(text).unwrap(), rate(price, 60, "0")));
        let table = Rates::new(rates.clone().into_iter());
        let euro = Currency::parse("EUR").unwrap();
        let price = |digits| table.find(euro, digits).map(|rate: Rate| rate.per_minute.to_string());
        assert_eq!(price(Some("4915112345678")).as_deref(), Some("0.10"));
        assert_eq!(price(Some("4930123456")).as_deref(), Some("0.01"));
        assert_eq!(price(Some("12125550100")).as_deref(), Some("0.02"));
        assert_eq!((price(Some("44")), price(None)), (None, None));
        assert_eq!(table.find(Currency::parse("USD").unwrap(), Some("4930")), None);
        let all = Rates::new(rates.into_iter().chain([(prefix("+").unwrap(), dear)]));
        assert_eq!((all.find(euro, Some("44")), all.find(euro, None)), (Some(dear), Some(dear)));
        for text in ["", "49", "+0", "+49*", "+4 9", "+1234567890123456"] {
            assert!(prefix(text).is_err(), "{text}");
        }
    }

    /// Rates of all kinds, among them free ones and those that cost more than anybody has.
    fn any_rate() -> impl Strategy<Value = Rate> {
        let amount = || prop_oneof![Just(0_u64), 1..100_u64, 0..5_000_000_u64, any::<u64>()];
        (amount(), 1..=INCREMENT_S_MAX, amount()).prop_map(
            |(per_minute, increment_s, connection)| {
                let [per_minute, connection] = [per_minute, connection].map(Amount::from_micros);
                Rate { per_minute, increment_s, connection, ..rate("0", 1, "0") }
            },
        )
    }

    proptest! {
        /// Whoever talks longer pays no less.
        #[test]
        fn charges_grow(rate in any_rate(), ms in 0..100_000_000_u64, more in 0..10_000_000_u64) {
            let charge = |ms| rate.charge(Duration::from_millis(ms));
            prop_assert!(charge(ms) <= charge(ms + more));
            prop_assert!(charge(0) >= rate.connection);
        }

        /// What an amount covers costs no more than it, and a millisecond more does.
        #[test]
        fn amounts_cover_what_they_pay(rate in any_rate(), micros in 0..10_000_000_000_u64) {
            let amount = Amount::from_micros(micros);
            match rate.covers(amount) {
                None => prop_assert!(rate.charge(Duration::ZERO) > amount),
                Some(covered) if covered == Duration::MAX => {
                    prop_assert_eq!(rate.per_minute, Amount::ZERO);
                }
                Some(covered) => {
                    prop_assert!(rate.charge(covered) <= amount);
                    let longer = covered + Duration::from_millis(1);
                    // Beyond what a clock of milliseconds counts nothing is said.
                    if covered < Duration::from_secs(u64::MAX / 10_000) {
                        prop_assert!(rate.charge(longer) > amount);
                    }
                }
            }
        }
    }
}
