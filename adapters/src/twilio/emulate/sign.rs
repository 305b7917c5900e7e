//! What the carrier signs its requests with, and the times it writes.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use http::{HeaderName, HeaderValue};
use sha1::Sha1;

use crate::emulate::form;
use crate::exchange::HttpRequest;

/// The signature of an address and the fields of a form: names in the order of their bytes, each
/// with its values in theirs, each once.
pub(super) fn signature(token: &str, url: &str, fields: &[(String, String)]) -> String {
    let mut sorted: Vec<_> = fields.iter().collect();
    sorted.sort();
    sorted.dedup();
    let mut text = url.to_owned();
    for (name, value) in sorted {
        text.push_str(name);
        text.push_str(value);
    }
    // A key of any length is good.
    Hmac::<Sha1>::new_from_slice(token.as_bytes()).map_or_else(
        |_| String::new(),
        |mut mac| {
            mac.update(text.as_bytes());
            STANDARD.encode(mac.finalize().into_bytes())
        },
    )
}

/// A webhook. What stands behind `#` in its address is for the carrier alone.
pub(super) fn webhook(
    token: &str,
    url: &str,
    fields: &[(String, String)],
    idempotency: &str,
) -> HttpRequest {
    let url = url.split('#').next().unwrap_or_default();
    let body = form::write(fields.iter().map(|(name, value)| (name.as_str(), value.as_str())));
    let kind = "application/x-www-form-urlencoded; charset=UTF-8";
    let mut request = HttpRequest::post(url.to_owned(), kind, body);
    let mut put = |name: &'static str, value: &str| {
        if let Ok(value) = HeaderValue::from_str(value) {
            request.headers.insert(HeaderName::from_static(name), value);
        }
    };
    put("user-agent", "TwilioProxy/1.1");
    put("i-twilio-idempotency-token", idempotency);
    put("x-home-region", "us1");
    put("x-twilio-signature", &signature(token, url, fields));
    request
}

/// The upgrade request of a media socket, signed over the address alone.
pub(super) fn upgrade(token: &str, url: &str) -> HttpRequest {
    let mut request = HttpRequest::get(url.to_owned());
    if let Ok(value) = HeaderValue::from_str(&signature(token, url, &[])) {
        request.headers.insert(HeaderName::from_static("x-twilio-signature"), value);
    }
    request
}

/// Year, month, day, weekday (0 is Thursday), and seconds of the day.
fn date(unix_ms: u64) -> (u64, usize, u64, usize, u64) {
    let seconds = unix_ms / 1000;
    let (days, of_day) = (seconds / 86_400, seconds % 86_400);
    let mut year = 1970;
    let mut rest = days;
    let leap = |year: u64| {
        year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
    };
    while rest >= 365 + u64::from(leap(year)) {
        rest -= 365 + u64::from(leap(year));
        year += 1;
    }
    let february = 28 + u64::from(leap(year));
    let mut month = 0;
    for length in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] {
        if rest < length {
            break;
        }
        rest -= length;
        month += 1;
    }
    (year, month, rest + 1, usize::try_from(days % 7).unwrap_or_default(), of_day)
}

/// `Tue, 06 Jan 2026 10:00:00 +0000`.
pub(super) fn rfc2822(unix_ms: u64) -> String {
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let (year, month, day, weekday, s) = date(unix_ms);
    let weekday = DAYS.get(weekday).copied().unwrap_or_default();
    let month = MONTHS.get(month).copied().unwrap_or_default();
    let (hour, minute, second) = (s / 3600, s / 60 % 60, s % 60);
    format!("{weekday}, {day:02} {month} {year} {hour:02}:{minute:02}:{second:02} +0000")
}

/// `2026-01-06T10:00:00.000Z`.
pub(super) fn iso8601(unix_ms: u64) -> String {
    let (year, month, day, _, s) = date(unix_ms);
    let (hour, minute, second, ms) = (s / 3600, s / 60 % 60, s % 60, unix_ms % 1000);
    let month = month + 1;
    format!("{year}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{ms:03}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Twilio's published sample, and known times.
    #[test]
    fn known_values() {
        let fields = [
            ("CallSid", "CA1234567890ABCDE"),
            ("Caller", "+14158675310"),
            ("Digits", "1234"),
            ("From", "+14158675310"),
            ("To", "+18005551212"),
        ];
        let fields: Vec<_> = fields.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect();
        let url = "https://example.com/myapp.php?foo=1&bar=2";
        assert_eq!(signature("12345", url, &fields), "L/OH5YylLD5NRKLltdqwSvS0BnU=");
        assert_eq!(rfc2822(1_767_693_600_000), "Tue, 06 Jan 2026 10:00:00 +0000");
        assert_eq!(rfc2822(951_782_400_000), "Tue, 29 Feb 2000 00:00:00 +0000");
        assert_eq!(rfc2822(0), "Thu, 01 Jan 1970 00:00:00 +0000");
        assert_eq!(iso8601(1_767_225_599_999), "2025-12-31T23:59:59.999Z");
    }
}
