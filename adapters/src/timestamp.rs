//! Times as carriers write them.

/// Milliseconds since 1970 of a time of RFC 3339 (`2026-01-01T00:00:00.100Z`), also with a blank
/// for the `T` and without a zone, which then is UTC. `None` for anything else, and before 1970.
pub fn rfc3339_ms(text: &str) -> Option<u64> {
    let text = text.trim();
    let (date, time) = (text.get(..10)?, text.get(11..)?);
    if !matches!(text.as_bytes().get(10), Some(b'T' | b't' | b' ')) {
        return None;
    }
    let mut date = date.splitn(3, '-').map(whole);
    let (year, month, day) = (date.next()??, date.next()??, date.next()??);
    let place = time.find(['Z', 'z', '+', '-']).unwrap_or(time.len());
    let (clock, zone) = time.split_at(place);
    let (clock, fraction) = clock.split_once('.').unwrap_or((clock, ""));
    let mut clock = clock.splitn(3, ':').map(whole);
    let (hour, minute, second) = (clock.next()??, clock.next()??, clock.next()??);
    // 60 is a leap second (RFC 3339 5.7).
    let fits = (1..=12).contains(&month) && (1..=31).contains(&day);
    if !fits || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let seconds = days(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second;
    u64::try_from((seconds - offset_s(zone)?) * 1000 + millis(fraction)?).ok()
}

fn whole(digits: &str) -> Option<i64> {
    let fits = matches!(digits.len(), 2 | 4) && digits.bytes().all(|byte| byte.is_ascii_digit());
    if fits { digits.parse().ok() } else { None }
}

fn millis(fraction: &str) -> Option<i64> {
    if !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let first: String = fraction.chars().chain("000".chars()).take(3).collect();
    first.parse().ok()
}

fn offset_s(zone: &str) -> Option<i64> {
    let (sign, rest) = match zone.split_at_checked(1) {
        None | Some(("Z" | "z", "")) => return Some(0),
        Some(("+", rest)) => (1, rest),
        Some(("-", rest)) => (-1, rest),
        Some(_) => return None,
    };
    let digits: String = rest.chars().filter(|c| *c != ':').collect();
    let (hours, minutes) = digits.split_at_checked(2)?;
    let minutes = if minutes.is_empty() { 0 } else { whole(minutes)? };
    Some(sign * (whole(hours)? * 3600 + minutes * 60))
}

/// Days from 1970-01-01 to a day of the Gregorian calendar. Years begin in March here, so that the
/// day that comes every four years is the last of one.
const fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Known times, by every way to write them.
    #[test]
    fn times_are_read() {
        for (text, ms) in [
            ("1970-01-01T00:00:00Z", 0),
            ("2026-01-01T00:00:00.100Z", 1_767_225_600_100),
            ("2026-01-01 00:00:02", 1_767_225_602_000),
            ("2026-01-01T01:00:00.1+01:00", 1_767_225_600_100),
            ("2025-12-31T19:00:00-0500", 1_767_225_600_000),
            ("2026-01-01T00:00:00.123456789Z", 1_767_225_600_123),
            ("2024-02-29T12:00:00Z", 1_709_208_000_000),
            ("2000-03-01T00:00:00Z", 951_868_800_000),
        ] {
            assert_eq!(rfc3339_ms(text), Some(ms), "{text}");
        }
    }

    /// Whatever is no time, or lies before 1970, is none; cutting one off anywhere never panics.
    #[test]
    fn other_texts_are_no_times() {
        let good = "2026-01-01T00:00:00.100+01:00";
        for len in 0..19 {
            assert_eq!(rfc3339_ms(&good[..len]), None, "{len}");
        }
        for bad in [
            "2026-13-01T00:00:00Z",
            "2026-01-00T00:00:00Z",
            "2026-01-01T24:00:00Z",
            "2026-01-01T00:60:00Z",
            "2026-01-01T00:00:00.1xZ",
            "2026-01-01T00:00:00Zz",
            "2026-01-01T00:00:00+1",
            "2026-1-01T000:00:00Z",
            "1969-12-31T23:59:59Z",
            "äääääääääääääääääää",
        ] {
            assert_eq!(rfc3339_ms(bad), None, "{bad}");
        }
    }
}
