//! Hours within which people may be called, by the clock of where they are.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::routing::{Schedule, ScheduleError};
use crate::store::Timestamp as StoreTime;

/// Hours within which recipients are called.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hours {
    /// Windows, as `mon-fri 09:00-17:30`.
    pub open: Vec<String>,
    /// Days on which they do not hold, as `2026-12-24`, or `12-25` for every year.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub closed: Vec<String>,
    /// The time zone of recipients that name none.
    #[serde(default = "utc")]
    pub time_zone: String,
}

fn utc() -> String {
    "UTC".to_owned()
}

/// Why hours are none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HoursError {
    /// They are not understood.
    #[error(transparent)]
    Schedule(#[from] ScheduleError),
    /// Nothing is ever open.
    #[error("nobody could be called within the next year")]
    Never,
}

impl Hours {
    /// The hours of a recipient in this zone, or in that of the hours.
    ///
    /// # Errors
    ///
    /// What is not understood.
    pub fn schedule(&self, zone: Option<&str>) -> Result<Schedule, ScheduleError> {
        let zone = zone.unwrap_or(&self.time_zone);
        let (open, closed) = (self.open.iter(), self.closed.iter());
        Schedule::parse(zone, open.map(String::as_str), closed.map(String::as_str))
    }

    /// Whether these are hours within which somebody can be called after `now`.
    ///
    /// # Errors
    ///
    /// What is wrong with them.
    pub fn check(&self, zone: Option<&str>, now: Timestamp) -> Result<(), HoursError> {
        self.schedule(zone)?.next_open(now).map(drop).ok_or(HoursError::Never)
    }
}

/// When a recipient in this zone may be called, at `at` or later; `None` if never again.
///
/// Hours that are no longer understood (a zone was renamed) are never.
pub fn next_open(hours: Option<&Hours>, zone: Option<&str>, at: Timestamp) -> Option<Timestamp> {
    match hours {
        None => Some(at),
        Some(hours) => hours.schedule(zone).ok()?.next_open(at),
    }
}

/// The same in the times of the store.
pub fn open_at(hours: Option<&Hours>, zone: Option<&str>, at: StoreTime) -> Option<StoreTime> {
    if hours.is_none() {
        return Some(at);
    }
    let open = next_open(hours, zone, Timestamp::from_microsecond(at.0).ok()?)?;
    Some(StoreTime(open.as_microsecond()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hours(open: &[&str], closed: &[&str]) -> Hours {
        let texts = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect();
        Hours { open: texts(open), closed: texts(closed), time_zone: "Europe/Berlin".into() }
    }

    /// A recipient is called by its own clock, or by that of the hours if it names none.
    #[test]
    fn recipients_have_clocks() {
        let hours = hours(&["mon-fri 09:00-17:00"], &[]);
        // A Monday, 12:00 in Berlin and 06:00 in New York.
        let at: Timestamp = "2026-06-01T10:00:00Z".parse().unwrap();
        assert_eq!(next_open(Some(&hours), None, at), Some(at));
        let there = next_open(Some(&hours), Some("America/New_York"), at);
        assert_eq!(there, Some("2026-06-01T13:00:00Z".parse().unwrap()));
        assert_eq!(next_open(None, Some("America/New_York"), at), Some(at));
        assert_eq!(next_open(Some(&hours), Some("Mars/Olympus"), at), None);
    }

    /// Hours that never come are refused, as are those that are none.
    #[test]
    fn hours_are_checked() {
        let now: Timestamp = "2026-06-01T10:00:00Z".parse().unwrap();
        assert_eq!(hours(&["sat 10:00-12:00"], &[]).check(None, now), Ok(()));
        let wrong = hours(&["9-17"], &[]).check(None, now);
        assert!(matches!(wrong, Err(HoursError::Schedule(_))));
        let zone = hours(&["09:00-17:00"], &[]).check(Some("x"), now);
        assert!(matches!(zone, Err(HoursError::Schedule(ScheduleError::Zone(_)))));
        assert_eq!(hours(&[], &[]).check(None, now), Err(ScheduleError::Never.into()));
    }
}
