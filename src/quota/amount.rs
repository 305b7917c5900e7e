//! Amounts of money: whole millionths of a unit of a currency, never floats.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Millionths of a unit.
const UNIT_MICROS: u64 = 1_000_000;
/// Decimal places of an amount.
const PLACES: usize = 6;
/// Places that are always written, as most currencies have them.
const PLACES_MIN: usize = 2;
/// The largest amount that can be set, in whole units.
pub const UNITS_MAX: u64 = 1_000_000_000;

/// An amount, in millionths of a unit of whatever currency.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Amount(u64);

impl Amount {
    /// Nothing.
    pub const ZERO: Self = Self(0);
    /// What [`Amount::parse`] takes, for messages.
    pub const ALLOWED: &str = "an amount with a point, such as \"0.0125\", of at most six places";

    /// So many millionths.
    pub const fn from_micros(micros: u64) -> Self {
        Self(micros)
    }

    /// Millionths.
    pub const fn micros(self) -> u64 {
        self.0
    }

    /// The same as it is stored.
    pub fn stored(self) -> i64 {
        i64::try_from(self.0).unwrap_or(i64::MAX)
    }

    /// An amount as it was stored; nothing if it is below zero.
    pub fn of_stored(micros: i64) -> Self {
        Self(u64::try_from(micros).unwrap_or(0))
    }

    /// Hundredths, rounded down.
    pub fn hundredths(self) -> u32 {
        u32::try_from(self.0 / (UNIT_MICROS / 100)).unwrap_or(u32::MAX)
    }

    /// Reads a decimal number without sign.
    ///
    /// # Errors
    ///
    /// When it is none, has more places than are counted, or is too large; the message says why.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (whole, places) = text.split_once('.').unwrap_or((text, ""));
        let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        let dangling = text.ends_with('.');
        if whole.is_empty() || dangling || !digits(whole) || !digits(places) {
            return Err("not an amount".to_owned());
        }
        if places.len() > PLACES {
            return Err(format!("more than {PLACES} places"));
        }
        let whole = whole.parse().ok().filter(|whole: &u64| *whole <= UNITS_MAX);
        let whole = whole.ok_or_else(|| format!("more than {UNITS_MAX}"))?;
        let places: String = places.chars().chain(std::iter::repeat('0')).take(PLACES).collect();
        let micros = places.parse::<u64>().map_err(|_| "not an amount".to_owned())?;
        Ok(Self(whole * UNIT_MICROS + micros))
    }

    /// Both together; the largest amount if that is more.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    /// What is left of it without the other; nothing if that is more.
    #[must_use]
    pub const fn minus(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

/// As a decimal number with as many places as it takes, and at least two.
impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let places = format!("{:0PLACES$}", self.0 % UNIT_MICROS);
        let kept = places.trim_end_matches('0').len().max(PLACES_MIN);
        write!(f, "{}.{}", self.0 / UNIT_MICROS, places.get(..kept).unwrap_or(&places))
    }
}

/// As text: a JSON number would be a float to many who read it.
impl Serialize for Amount {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Amount {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(from)?).map_err(serde::de::Error::custom)
    }
}

/// A currency, by its three letters (ISO 4217).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Currency([u8; 3]);

impl Currency {
    /// What [`Currency::parse`] takes, for messages.
    pub const ALLOWED: &str = "three capital letters (ISO 4217), such as \"EUR\"";

    /// Reads the letters.
    ///
    /// # Errors
    ///
    /// When they are not three capital letters.
    pub fn parse(text: &str) -> Result<Self, String> {
        let letters = <[u8; 3]>::try_from(text.as_bytes()).ok();
        let letters = letters.filter(|letters| letters.iter().all(u8::is_ascii_uppercase));
        letters.map(Self).ok_or_else(|| "not a currency".to_owned())
    }

    /// The letters.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Currency {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Currency {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(from)?).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Amounts are decimal numbers without sign, and nothing of them is lost.
    #[test]
    fn amounts_are_read() {
        for (text, micros, written) in [
            ("0", 0, "0.00"),
            ("0.0125", 12_500, "0.0125"),
            ("12", 12_000_000, "12.00"),
            ("007.5", 7_500_000, "7.50"),
            ("0.000001", 1, "0.000001"),
            ("1000000000", 1_000_000_000_000_000, "1000000000.00"),
        ] {
            let amount = Amount::parse(text).unwrap();
            assert_eq!((amount.micros(), amount.to_string().as_str()), (micros, written), "{text}");
        }
        for text in [
            "",
            ".",
            "1.",
            ".5",
            "-1",
            "+1",
            "1,5",
            "1e3",
            "0.0000001",
            "1000000001",
            "1 ",
            "1.2.3",
        ] {
            assert!(Amount::parse(text).is_err(), "{text}");
        }
        assert_eq!(Amount::parse("12.349999").unwrap().hundredths(), 1_234);
        assert_eq!(Amount::from_micros(u64::MAX).hundredths(), u32::MAX);
    }

    /// Currencies are three capital letters.
    #[test]
    fn currencies_are_read() {
        assert_eq!(Currency::parse("EUR").unwrap().to_string(), "EUR");
        for text in ["", "EU", "eur", "EURO", "E1R", "€"] {
            assert!(Currency::parse(text).is_err(), "{text}");
        }
    }

    proptest! {
        /// What is written is read as the same amount, as text and as JSON.
        #[test]
        fn what_is_written_is_read(micros in 0..=UNITS_MAX * UNIT_MICROS) {
            let amount = Amount::from_micros(micros);
            prop_assert_eq!(Amount::parse(&amount.to_string()), Ok(amount));
            let json = serde_json::to_string(&amount).unwrap();
            prop_assert_eq!(serde_json::from_str::<Amount>(&json).unwrap(), amount);
            prop_assert_eq!(Amount::of_stored(amount.stored()), amount);
        }

        /// No text makes it panic.
        #[test]
        fn any_text(text in "\\PC*") {
            let _ = Amount::parse(&text);
            let _ = Currency::parse(&text);
        }
    }
}
