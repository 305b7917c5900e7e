//! How long a certificate is valid: the two times in it (RFC 5280 4.1.2.5).

use jiff::civil::DateTime;
use jiff::tz::TimeZone;

const SEQUENCE: u8 = 0x30;
const VERSION: u8 = 0xa0;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;

/// From when until when a certificate in DER is valid, in seconds since 1970. None if it is no
/// certificate, or of before 1970.
pub(super) fn validity(certificate: &[u8]) -> Option<(u64, u64)> {
    let (_, outer, _) = element(certificate).filter(|(tag, ..)| *tag == SEQUENCE)?;
    let (_, mut rest, _) = element(outer).filter(|(tag, ..)| *tag == SEQUENCE)?;
    // Version (which the first version lacks), serial number, algorithm, issuer.
    let before = if rest.first() == Some(&VERSION) { 4 } else { 3 };
    for _ in 0..before {
        (_, _, rest) = element(rest)?;
    }
    let (_, times, _) = element(rest).filter(|(tag, ..)| *tag == SEQUENCE)?;
    let (from, text, times) = element(times)?;
    let (until, other, _) = element(times)?;
    Some((time(from, text)?, time(until, other)?))
}

/// The first element: its tag, what is in it, what follows it.
fn element(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (tag, rest) = bytes.split_first()?;
    let (first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(*first), rest),
        // Longer than four bytes is no certificate; without a length it is no DER.
        0x81..=0x84 => {
            let (digits, rest) = rest.split_at_checked(usize::from(*first & 0x7f))?;
            let join = |length: usize, byte: &u8| length << 8 | usize::from(*byte);
            (digits.iter().fold(0, join), rest)
        }
        _ => return None,
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((*tag, content, rest))
}

/// A time as certificates write it.
fn time(tag: u8, text: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(text).ok()?;
    let text = match (tag, text.len()) {
        // Two digits of a year up to 49 are of this century.
        (UTC_TIME, 13) => {
            let century = if text.get(..2)?.parse::<u8>().ok()? < 50 { "20" } else { "19" };
            format!("{century}{text}")
        }
        (GENERALIZED_TIME, 15) => text.to_owned(),
        _ => return None,
    };
    let time = DateTime::strptime("%Y%m%d%H%M%SZ", &text).ok()?;
    u64::try_from(time.to_zoned(TimeZone::UTC).ok()?.timestamp().as_second()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(from: i32, until: i32) -> Vec<u8> {
        let mut params = rcgen::CertificateParams::new(vec!["a.example".to_owned()]).unwrap();
        params.not_before = rcgen::date_time_ymd(from, 3, 1);
        params.not_after = rcgen::date_time_ymd(until, 3, 1);
        params.self_signed(&rcgen::KeyPair::generate().unwrap()).unwrap().der().to_vec()
    }

    /// Both ways of writing a time are read, each in its range of years.
    #[test]
    fn times_are_read() {
        let seconds = |year: i16| {
            let zoned = jiff::civil::date(year, 3, 1).to_zoned(TimeZone::UTC).unwrap();
            u64::try_from(zoned.timestamp().as_second()).unwrap()
        };
        for (from, until) in [(2026, 2027), (1999, 2049), (2049, 2050), (2051, 2100)] {
            let found = validity(&made(from.into(), until.into()));
            assert_eq!(found, Some((seconds(from), seconds(until))));
        }
    }

    /// No truncation and no changed byte makes it fall over, and what is cut off before the times
    /// end is none.
    #[test]
    fn nonsense_is_none() {
        let whole = made(2026, 2027);
        for length in 0..whole.len() {
            assert_eq!(validity(&whole[..length]), None, "{length}");
        }
        for at in 0..whole.len() {
            for flip in [1, 0x80, 0xff] {
                let mut changed = whole.clone();
                changed[at] ^= flip;
                let _ = validity(&changed);
            }
        }
    }
}
