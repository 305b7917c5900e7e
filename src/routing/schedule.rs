//! Opening hours: windows of a week in a time zone, and days on which they do not hold.

use jiff::civil::{Date, DateTime, Weekday};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};

/// Times at which something is open.
#[derive(Clone, Debug, PartialEq)]
pub struct Schedule {
    zone: TimeZone,
    windows: Vec<Window>,
    closed: Vec<Day>,
}

/// A span of the local clock on some days of the week.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// A bit for each day on which it begins, Monday the lowest.
    days: u8,
    /// Minute of the day at which it begins.
    from: u16,
    /// Minute of the day before which it ends, of the next day if that is not after `from`.
    until: u16,
}

/// A day of the calendar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Day {
    /// This one.
    Once(Date),
    /// This one of every year.
    Yearly { month: i8, day: i8 },
}

/// Why a text is no schedule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScheduleError {
    /// No zone of that name in the time zone database.
    #[error("no time zone is called \"{0}\"; allowed: names such as Europe/Berlin, or UTC")]
    Zone(String),
    /// Not a window.
    #[error("\"{0}\" is no window; allowed: such as \"mon-fri 09:00-17:30\" or \"22:00-06:00\"")]
    Window(String),
    /// Not a day.
    #[error("\"{0}\" is no day; allowed: such as \"2026-12-24\", or \"12-25\" for every year")]
    Day(String),
    /// Without a window nothing is ever open.
    #[error("no window is named, so it would never be open")]
    Never,
    /// Too many to be looked through for each call.
    #[error("more than {ENTRIES_MAX} windows or days")]
    TooMany,
}

/// Most windows, and most days, of a schedule.
const ENTRIES_MAX: usize = 128;

/// How far is looked ahead for what is open, in days: leap days come round within eight years, but
/// nobody waits so long.
const AHEAD_DAYS: u32 = 370;

const MINUTES_OF_DAY: u16 = 24 * 60;
const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
const EVERY_DAY: u8 = 0b111_1111;

impl Schedule {
    /// A schedule in the time zone of that name: open within `windows` but not on `closed` days.
    ///
    /// A window is days and a span of the local clock: `mon-fri 09:00-17:30`,
    /// `sat,sun 10:00-14:00`, or the span alone for every day. A span whose end is not after its
    /// beginning ends on the next day, and belongs to the day on which it began. `24:00` is the end
    /// of a day. A closed day is `2026-12-24`, or `12-25` for every year.
    ///
    /// # Errors
    ///
    /// What is wrong with which text.
    pub fn parse<'t>(
        zone: &str,
        windows: impl IntoIterator<Item = &'t str>,
        closed: impl IntoIterator<Item = &'t str>,
    ) -> Result<Self, ScheduleError> {
        let zone = TimeZone::get(zone).map_err(|_| ScheduleError::Zone(zone.to_owned()))?;
        let windows: Vec<_> =
            windows.into_iter().map(Window::parse).collect::<Result<_, ScheduleError>>()?;
        let closed: Vec<_> = closed.into_iter().map(day).collect::<Result<_, ScheduleError>>()?;
        if windows.is_empty() {
            return Err(ScheduleError::Never);
        }
        if windows.len() > ENTRIES_MAX || closed.len() > ENTRIES_MAX {
            return Err(ScheduleError::TooMany);
        }
        Ok(Self { zone, windows, closed })
    }

    /// Whether it is open at this time.
    pub fn is_open(&self, at: Timestamp) -> bool {
        let local = self.zone.to_datetime(at);
        self.windows.iter().any(|window| {
            let began = window.began(local);
            began.is_some_and(|day| !self.is_closed(day))
        })
    }

    fn is_closed(&self, day: Date) -> bool {
        self.closed.iter().any(|closed| closed.is(day))
    }

    /// When it is open, at `at` or later; `None` if it is not within `AHEAD_DAYS`.
    pub fn next_open(&self, at: Timestamp) -> Option<Timestamp> {
        if self.is_open(at) {
            return Some(at);
        }
        let mut day = self.zone.to_datetime(at).date();
        for _ in 0..=AHEAD_DAYS {
            let open = !self.is_closed(day);
            let windows = self.windows.iter().filter(|it| open && it.is_on(day.weekday()));
            // Where the clocks skip a beginning, it is as much later.
            let begins = windows.filter_map(|window| {
                let begin =
                    day.at(0, 0, 0, 0).checked_add(i64::from(window.from).minutes()).ok()?;
                begin.to_zoned(self.zone.clone()).ok().map(|begin| begin.timestamp())
            });
            let later = begins.filter(|begin| *begin > at && self.is_open(*begin));
            match later.min() {
                Some(begin) => return Some(begin),
                None => day = day.checked_add(1.day()).ok()?,
            }
        }
        None
    }
}

impl Window {
    /// Reads a window.
    ///
    /// # Errors
    ///
    /// [`ScheduleError::Window`].
    pub fn parse(text: &str) -> Result<Self, ScheduleError> {
        window(&text.to_ascii_lowercase()).ok_or_else(|| ScheduleError::Window(text.to_owned()))
    }

    /// The day on which the window began that holds this time of the local clock.
    fn began(self, local: DateTime) -> Option<Date> {
        let hour = u16::try_from(local.hour()).unwrap_or_default();
        let minute = hour * 60 + u16::try_from(local.minute()).unwrap_or_default();
        let (today, over_night) = (local.date(), self.until <= self.from);
        if self.is_on(today.weekday()) && minute >= self.from && (over_night || minute < self.until)
        {
            return Some(today);
        }
        let yesterday = today.checked_sub(1.day()).ok()?;
        let still = over_night && minute < self.until && self.is_on(yesterday.weekday());
        still.then_some(yesterday)
    }

    fn is_on(self, day: Weekday) -> bool {
        self.days & 1 << day.to_monday_zero_offset() != 0
    }
}

fn window(text: &str) -> Option<Window> {
    let text = text.trim();
    let (days, span) = match text.rsplit_once(' ') {
        Some((days, span)) => (weekdays(days)?, span),
        None => (EVERY_DAY, text),
    };
    let (from, until) = span.split_once('-')?;
    let (from, until) = (minute(from)?, minute(until)?);
    (from < MINUTES_OF_DAY).then_some(Window { days, from, until })
}

/// Days such as `mon`, `mon-fri`, `sat,sun`, `fri-mon`, `daily`.
fn weekdays(text: &str) -> Option<u8> {
    let number = |name: &str| DAYS.iter().position(|day| *day == name.trim());
    let mut days = 0;
    for part in text.split(',') {
        match part.trim() {
            "daily" => days |= EVERY_DAY,
            part => {
                let (first, last) = part.split_once('-').unwrap_or((part, part));
                let (first, last) = (number(first)?, number(last)?);
                let count = (last + DAYS.len() - first) % DAYS.len();
                for day in 0..=count {
                    days |= 1 << ((first + day) % DAYS.len());
                }
            }
        }
    }
    Some(days)
}

/// A time of day, such as `09:30`, in minutes.
fn minute(text: &str) -> Option<u16> {
    let (hours, minutes) = text.split_once(':')?;
    let digits = |text: &str, most: u16| {
        let two = (1..=2).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse().ok().filter(|number: &u16| two && *number <= most)
    };
    let minute = digits(hours, 24)? * 60 + digits(minutes, 59).filter(|_| minutes.len() == 2)?;
    (minute <= MINUTES_OF_DAY).then_some(minute)
}

impl Day {
    fn is(self, date: Date) -> bool {
        match self {
            Self::Once(day) => day == date,
            Self::Yearly { month, day } => (date.month(), date.day()) == (month, day),
        }
    }
}

fn day(text: &str) -> Result<Day, ScheduleError> {
    let text = text.trim();
    // A leap year, so that the 29th of February is a day.
    let yearly = || {
        let date: Date = format!("2024-{text}").parse().ok()?;
        (text.len() == 5).then(|| Day::Yearly { month: date.month(), day: date.day() })
    };
    let once = || text.parse().ok().filter(|_| text.len() == 10).map(Day::Once);
    yearly().or_else(once).ok_or_else(|| ScheduleError::Day(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_open(windows: &[&str], closed: &[&str], zone: &str, at: &str) -> bool {
        let schedule =
            Schedule::parse(zone, windows.iter().copied(), closed.iter().copied()).unwrap();
        schedule.is_open(at.parse().unwrap())
    }

    /// Days, spans over midnight, closed days, zones and the change of the clocks.
    #[test]
    fn schedules_table() {
        let week = &["mon-fri 09:00-17:30"][..];
        let night = &["fri 22:00-06:00"][..];
        for (windows, closed, zone, at, expected) in [
            // 2026-06-01 is a Monday.
            (week, &[][..], "UTC", "2026-06-01T09:00:00Z", true),
            (week, &[], "UTC", "2026-06-01T08:59:59Z", false),
            (week, &[], "UTC", "2026-06-01T17:29:59Z", true),
            (week, &[], "UTC", "2026-06-01T17:30:00Z", false),
            (week, &[], "UTC", "2026-06-06T12:00:00Z", false),
            (week, &["2026-06-01"], "UTC", "2026-06-01T12:00:00Z", false),
            (week, &["06-01"], "UTC", "2027-06-01T12:00:00Z", false),
            (week, &["02-29"], "UTC", "2026-03-02T12:00:00Z", true),
            // Berlin is two hours ahead in summer and one in winter.
            (week, &[], "Europe/Berlin", "2026-06-01T07:00:00Z", true),
            (week, &[], "Europe/Berlin", "2026-06-01T15:30:00Z", false),
            (week, &[], "Europe/Berlin", "2026-01-05T07:30:00Z", false),
            (week, &[], "Europe/Berlin", "2026-01-05T08:00:00Z", true),
            // Monday in Tokyo is Sunday evening in London.
            (week, &[], "Asia/Tokyo", "2026-05-31T23:59:00Z", false),
            (week, &[], "Asia/Tokyo", "2026-06-01T00:00:00Z", true),
            // Friday night belongs to Friday.
            (night, &[], "UTC", "2026-06-05T23:00:00Z", true),
            (night, &[], "UTC", "2026-06-06T05:59:00Z", true),
            (night, &[], "UTC", "2026-06-06T06:00:00Z", false),
            (night, &[], "UTC", "2026-06-05T05:00:00Z", false),
            (night, &["2026-06-06"], "UTC", "2026-06-06T01:00:00Z", true),
            (night, &["2026-06-05"], "UTC", "2026-06-06T01:00:00Z", false),
            // The clocks go forward at 02:00: the hour from two to three does not exist.
            (&["02:00-03:00"], &[], "Europe/Berlin", "2026-03-29T01:00:00Z", false),
            (&["01:00-04:00"], &[], "Europe/Berlin", "2026-03-29T01:00:00Z", true),
            (&["00:00-24:00"], &[], "UTC", "2026-06-01T23:59:59Z", true),
            (&["00:00-00:00"], &[], "UTC", "2026-06-01T13:00:00Z", true),
            (&["sat-mon 08:00-9:00"], &[], "UTC", "2026-06-01T08:30:00Z", true),
            (&["sat-mon 08:00-9:00"], &[], "UTC", "2026-06-02T08:30:00Z", false),
            (&["tue,THU 08:00-09:00"], &[], "UTC", "2026-06-04T08:30:00Z", true),
        ] {
            assert_eq!(is_open(windows, closed, zone, at), expected, "{windows:?} {zone} {at}");
        }
    }

    /// The next opening is now if it is open, else the first moment at which it is: on another day,
    /// behind closed days, where the clocks change, and never if there is none.
    #[test]
    fn openings_table() {
        let next = |windows: &[&str], closed: &[&str], zone: &str, at: &str| {
            let windows = windows.iter().copied();
            let schedule = Schedule::parse(zone, windows, closed.iter().copied()).unwrap();
            schedule.next_open(at.parse().unwrap()).map(|open| open.to_string())
        };
        let week = &["mon-fri 09:00-17:30", "sat 10:00-12:00"][..];
        for (windows, closed, zone, at, expected) in [
            (week, &[][..], "UTC", "2026-06-01T09:00:00Z", "2026-06-01T09:00:00Z"),
            (week, &[], "UTC", "2026-06-01T08:59:59Z", "2026-06-01T09:00:00Z"),
            (week, &[], "UTC", "2026-06-01T17:30:00Z", "2026-06-02T09:00:00Z"),
            (week, &[], "UTC", "2026-06-05T18:00:00Z", "2026-06-06T10:00:00Z"),
            (week, &[], "UTC", "2026-06-06T12:00:00Z", "2026-06-08T09:00:00Z"),
            (week, &["06-02", "2026-06-03"], "UTC", "2026-06-01T18:00:00Z", "2026-06-04T09:00:00Z"),
            (week, &[], "Asia/Tokyo", "2026-06-01T12:00:00Z", "2026-06-02T00:00:00Z"),
            // The hour from two to three does not exist.
            (
                &["02:30-05:00"],
                &[],
                "Europe/Berlin",
                "2026-03-29T00:59:00Z",
                "2026-03-29T01:30:00Z",
            ),
            (&["fri 22:00-06:00"], &[], "UTC", "2026-06-06T06:00:00Z", "2026-06-12T22:00:00Z"),
        ] {
            let found = next(windows, closed, zone, at);
            assert_eq!(found.as_deref(), Some(expected), "{windows:?} {zone} {at}");
        }
        // A Monday a year that is always closed, and one that is not.
        let always = ["06-01", "2026-06-08"];
        assert_eq!(
            next(&["mon 09:00-10:00"], &always, "UTC", "2026-05-30T11:00:00Z").as_deref(),
            Some("2026-06-15T09:00:00Z"),
        );
        // Every day there is.
        let days = (1..=12).flat_map(|month| (1..=31).map(move |day| (month, day)));
        let days: Vec<String> = days.map(|(month, day)| format!("{month:02}-{day:02}")).collect();
        let days: Vec<&str> =
            days.iter().map(String::as_str).filter(|it| day(it).is_ok()).collect();
        assert_eq!(days.len(), 366);
        let mut never = Schedule::parse("UTC", ["09:00-10:00"], []).unwrap();
        never.closed = days.into_iter().map(|it| day(it).unwrap()).collect();
        assert_eq!(never.next_open("2026-06-01T11:00:00Z".parse().unwrap()), None);
    }

    /// What is no schedule is refused, with the text that is wrong.
    #[test]
    fn bad_schedules() {
        for window in [
            "",
            "9-17",
            "mon",
            "mon 9:00",
            "mon 24:00-24:00",
            "mon 09:60-10:00",
            "foo 09:00-10:00",
            "mon 09:00-25:00",
            "mon 9:0-10:00",
            "mon- 09:00-10:00",
            "mon 09:00 - 10:00",
            "24:01-1:00",
        ] {
            let error = Schedule::parse("UTC", [window], []).unwrap_err();
            assert_eq!(error, ScheduleError::Window(window.to_owned()), "{window}");
        }
        for day in ["", "2026-13-01", "2026-02-30", "13-01", "1-1", "today"] {
            let error = Schedule::parse("UTC", ["09:00-10:00"], [day]).unwrap_err();
            assert_eq!(error, ScheduleError::Day(day.to_owned()), "{day}");
        }
        let zone = Schedule::parse("Mars/Olympus", ["09:00-10:00"], []).unwrap_err();
        assert!(matches!(zone, ScheduleError::Zone(_)));
        assert_eq!(Schedule::parse("UTC", [], []).unwrap_err(), ScheduleError::Never);
        let many = vec!["09:00-10:00"; ENTRIES_MAX + 1];
        assert_eq!(Schedule::parse("UTC", many, []).unwrap_err(), ScheduleError::TooMany);
    }
}
