//! Identifiers and times as they are stored.

use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::error::StoreError;
use super::row::{Column, Row};
use super::sql::Value;

/// Declares the identifier of one kind of thing: a UUID of version 7 (RFC 9562 5.7), so that
/// identifiers sort by the time they were made.
macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(
            Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
        )]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl $name {
            /// A new one.
            #[expect(clippy::new_without_default, reason = "each is another")]
            pub fn new() -> Self {
                Self(Uuid::now_v7())
            }

            /// The one that is written so. `None` if none is.
            pub fn parse(text: &str) -> Option<Self> {
                Uuid::try_parse(text).ok().map(Self)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl From<$name> for Value {
            fn from(id: $name) -> Self {
                id.0.into()
            }
        }

        impl From<Option<$name>> for Value {
            fn from(id: Option<$name>) -> Self {
                id.map(|id| id.0).into()
            }
        }

        impl Column for $name {
            fn column(row: &Row, name: &'static str) -> Result<Self, StoreError> {
                Uuid::column(row, name).map(Self)
            }
        }

        impl Column for Option<$name> {
            fn column(row: &Row, name: &'static str) -> Result<Self, StoreError> {
                Ok(Option::<Uuid>::column(row, name)?.map($name))
            }
        }
    )*};
}

ids! {
    /// Names an organisation.
    OrganisationId;
    /// Names a rate.
    RateId;
    /// Names a configuration.
    ConfigurationId;
    /// Names a trunk.
    TrunkId;
    /// Names a number.
    NumberId;
    /// Names an agent.
    AgentId;
    /// Names a route.
    RouteId;
    /// Names a node.
    NodeId;
    /// Names a subscription.
    SubscriptionId;
    /// Names a delivery.
    DeliveryId;
    /// Names an entry of the audit log.
    AuditId;
    /// Names an order of calls.
    CallOrderId;
    /// Names a recipient of an order.
    RecipientId;
    /// Names a message that a caller has left.
    VoicemailId;
    /// Names a recording.
    RecordingId;
}

/// Wall-clock time in microseconds since 1970.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(pub i64);

/// Microseconds of a second.
const MICROS_OF_SECOND: i64 = 1_000_000;
/// Seconds of a day.
const SECONDS_OF_DAY: i64 = 86_400;

impl Timestamp {
    /// This moment.
    pub fn now() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
    }

    /// Whole seconds since 1970; none before.
    pub fn unix_s(self) -> u64 {
        u64::try_from(self.0.div_euclid(MICROS_OF_SECOND)).unwrap_or(0)
    }

    /// The beginning of a second since 1970.
    pub fn from_unix_s(unix_s: u64) -> Self {
        let seconds = i64::try_from(unix_s).unwrap_or(i64::MAX);
        Self(seconds.saturating_mul(MICROS_OF_SECOND))
    }

    /// This much later.
    #[must_use]
    pub fn after(self, duration: std::time::Duration) -> Self {
        let micros = i64::try_from(duration.as_micros()).unwrap_or(i64::MAX);
        Self(self.0.saturating_add(micros))
    }

    /// This much earlier.
    #[must_use]
    pub fn before(self, duration: std::time::Duration) -> Self {
        let micros = i64::try_from(duration.as_micros()).unwrap_or(i64::MAX);
        Self(self.0.saturating_sub(micros))
    }

    /// Year, month and day in UTC.
    fn date(self) -> (i64, i64, i64) {
        // Years begin in March here, so that the leap day is the last of its year.
        let days = self.0.div_euclid(MICROS_OF_SECOND * SECONDS_OF_DAY) + 719_468;
        let (era, day_of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
        let year_of_era =
            (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let shifted_month = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
        let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
        (year_of_era + era * 400 + i64::from(month <= 2), month, day)
    }

    /// The day in UTC, as `2026-11-22`.
    pub fn day(self) -> String {
        let (year, month, day) = self.date();
        format!("{year:04}-{month:02}-{day:02}")
    }
}

/// RFC 3339 in UTC with milliseconds: `2026-11-22T08:15:30.250Z`.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = self.0.div_euclid(1_000).rem_euclid(1_000);
        let second = self.0.div_euclid(MICROS_OF_SECOND).rem_euclid(SECONDS_OF_DAY);
        let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
        write!(f, "{}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z", self.day())
    }
}

impl Serialize for Timestamp {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl From<Timestamp> for Value {
    fn from(at: Timestamp) -> Self {
        at.0.into()
    }
}

impl From<Option<Timestamp>> for Value {
    fn from(at: Option<Timestamp>) -> Self {
        at.map(|at| at.0).into()
    }
}

impl Column for Timestamp {
    fn column(row: &Row, name: &'static str) -> Result<Self, StoreError> {
        i64::column(row, name).map(Self)
    }
}

impl Column for Option<Timestamp> {
    fn column(row: &Row, name: &'static str) -> Result<Self, StoreError> {
        Ok(Option::<i64>::column(row, name)?.map(Timestamp))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Days around leap years and centuries, and before 1970.
    #[test]
    fn dates_are_right() {
        let cases = [
            (0, "1970-01-01"),
            (86_399, "1970-01-01"),
            (951_782_400, "2000-02-29"),
            (951_868_800, "2000-03-01"),
            (1_795_305_600, "2026-11-22"),
            (4_107_542_400, "2100-03-01"),
            (-1, "1969-12-31"),
        ];
        for (unix_s, expected) in cases {
            assert_eq!(Timestamp(unix_s * MICROS_OF_SECOND).day(), expected);
        }
    }

    /// Times are written to the millisecond, cut and not rounded.
    #[test]
    fn times_are_written_with_milliseconds() {
        let at = Timestamp(1_795_305_600_000_000 + 29_730_250_999);
        assert_eq!(at.to_string(), "2026-11-22T08:15:30.250Z");
        assert_eq!(serde_json::to_string(&at).unwrap(), "\"2026-11-22T08:15:30.250Z\"");
        assert_eq!(Timestamp(-1).to_string(), "1969-12-31T23:59:59.999Z");
    }
}
