//! Times as they are written: RFC 3339.

use super::id::Timestamp;

/// Days before each month of a year without a leap day.
const DAYS_BEFORE: [i64; 12] = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334];
/// Days from the year 0 to 1970.
const DAYS_TO_1970: i64 = 719_528;

impl Timestamp {
    /// Reads a time such as `2026-11-22T08:15:30.250Z` or `2026-11-22T09:15:30+01:00` (RFC 3339
    /// 5.6); what is finer than microseconds is cut. `None` if it is none.
    pub fn parse(text: &str) -> Option<Self> {
        let (date, time) = text.split_once(['T', 't', ' '])?;
        let mut parts = date.split('-').map(digits);
        let (year, month, day) = (parts.next()??, parts.next()??, parts.next()??);
        let days = days(year, month, day).filter(|_| parts.next().is_none() && date.len() == 10)?;
        let (time, offset_s) = zone(time)?;
        let (time, fraction) = time.split_once('.').map_or((time, None), |(t, f)| (t, Some(f)));
        let mut parts = time.split(':').map(digits);
        let (hour, minute, second) = (parts.next()??, parts.next()??, parts.next()??);
        if parts.next().is_some() || time.len() != 8 || hour > 23 || minute > 59 || second > 60 {
            return None;
        }
        let micros = match fraction {
            None => 0,
            Some(fraction) => {
                digits(fraction.get(..fraction.len().min(18))?)?;
                let padded: String =
                    fraction.chars().chain(std::iter::repeat('0')).take(6).collect();
                digits(&padded)?
            }
        };
        let seconds = days * 86_400 + hour * 3_600 + minute * 60 + second - offset_s;
        seconds.checked_mul(1_000_000)?.checked_add(micros).map(Self)
    }
}

/// A number of nothing but digits.
fn digits(text: &str) -> Option<i64> {
    let all = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if all { text.parse().ok() } else { None }
}

/// Days since 1970.
fn days(year: i64, month: i64, day: i64) -> Option<i64> {
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let before = *DAYS_BEFORE.get(usize::try_from(month.checked_sub(1)?).ok()?)?;
    let next = usize::try_from(month).ok().and_then(|index| DAYS_BEFORE.get(index));
    let leap = |after_february: bool| i64::from(is_leap && after_february);
    let length = next.copied().unwrap_or(365) - before + leap(month == 2);
    if !(1..=length).contains(&day) {
        return None;
    }
    // Leap days before this year; the year 0 has one.
    let past = if year == 0 { 0 } else { (year - 1) / 4 - (year - 1) / 100 + (year - 1) / 400 + 1 };
    Some(year * 365 + past + before + leap(month > 2) + day - 1 - DAYS_TO_1970)
}

/// The time without its zone, and how far that is ahead of UTC in seconds.
fn zone(text: &str) -> Option<(&str, i64)> {
    if let Some(time) = text.strip_suffix(['Z', 'z']) {
        return Some((time, 0));
    }
    let at = text.rfind(['+', '-'])?;
    let (time, zone) = text.split_at_checked(at)?;
    let sign = if zone.starts_with('-') { -1 } else { 1 };
    let (hours, minutes) = zone.get(1..)?.split_once(':')?;
    let (hours, minutes) = (digits(hours)?, digits(minutes)?);
    let fits = zone.len() == 6 && hours <= 23 && minutes <= 59;
    fits.then_some((time, sign * (hours * 3_600 + minutes * 60)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// What is written is read, to the millisecond.
        #[test]
        fn what_is_written_is_read(ms in -62_000_000_000_000_i64..250_000_000_000_000) {
            let at = Timestamp(ms * 1_000);
            prop_assert_eq!(Timestamp::parse(&at.to_string()), Some(at));
        }

        /// Nothing that is given in makes it fail otherwise than by refusing.
        #[test]
        fn anything_is_read_or_refused(text in "\\PC{0,40}") {
            let _ = Timestamp::parse(&text);
        }
    }

    /// Zones, fractions and leap days; what is no time is refused, at every length.
    #[test]
    fn times() {
        let whole = "2026-11-22T08:15:30.250Z";
        let at = Timestamp::parse(whole).unwrap();
        for same in ["2026-11-22T09:15:30.25+01:00", "2026-11-22t02:45:30.2500009-05:30"] {
            assert_eq!(Timestamp::parse(same), Some(at), "{same}");
        }
        assert_eq!(Timestamp::parse("2024-02-29T00:00:00Z").unwrap().day(), "2024-02-29");
        for length in 0..whole.len() {
            assert_eq!(Timestamp::parse(&whole[..length]), None, "{length}");
        }
        for bad in [
            "2023-02-29T00:00:00Z",
            "2026-13-01T00:00:00Z",
            "2026-00-01T00:00:00Z",
            "2026-04-31T00:00:00Z",
            "2026-11-22T24:00:00Z",
            "2026-11-22T08:60:00Z",
            "2026-11-22T08:15:30",
            "2026-11-22T08:15:30.Z",
            "2026-11-22T8:15:30Z",
            "2026-11-22T08:15:30+0100",
            "-026-11-22T08:15:30Z",
            "2026-11-22T08:15:30.2é0Z",
        ] {
            assert_eq!(Timestamp::parse(bad), None, "{bad}");
        }
    }
}
