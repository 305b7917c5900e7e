//! Which bytes of a file a request wants (RFC 9110 14).
//!
//! One range is served. Several, and what is none, are ignored, as the RFC allows (14.2): the
//! answer is the whole file then.

use std::convert::Infallible;

use axum::extract::FromRequestParts;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, header};

/// The unit of ranges, as `Accept-Ranges` names it (RFC 9110 14.1.2).
pub(super) const UNIT: &str = "bytes";

/// What a request says of the bytes that it wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Asked {
    /// The answer has a head alone.
    pub(super) is_head: bool,
    spec: Option<Spec>,
    /// The range holds of the file with this entity tag; of another the whole is wanted
    /// (RFC 9110 13.1.5).
    only_of: Option<HeaderValue>,
}

/// A range as it is written (RFC 9110 14.1.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Spec {
    /// From a position on.
    From(u64),
    /// From one position to another, which belongs to it.
    Between(u64, u64),
    /// So many bytes at the end.
    Last(u64),
}

/// What of a file is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// All of it.
    Whole,
    /// A part of it.
    Part(Part),
    /// Nothing: the range begins behind its end.
    Nothing,
}

/// Consecutive bytes of a file: at least one, and none behind its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Part {
    /// Position of the first byte.
    pub(super) first: u64,
    /// Position of the last byte.
    pub(super) last: u64,
}

impl Part {
    /// How many bytes it has.
    pub(super) const fn length(self) -> u64 {
        self.last - self.first + 1
    }

    /// Where it lies in a file of `length` bytes, as `Content-Range` tells it (RFC 9110 14.4).
    pub(super) fn within(self, length: u64) -> String {
        format!("{UNIT} {}-{}/{length}", self.first, self.last)
    }
}

/// `Content-Range` of an answer without any byte of a file of `length` bytes (RFC 9110 14.4).
pub(super) fn none_within(length: u64) -> String {
    format!("{UNIT} */{length}")
}

impl Asked {
    fn of(method: &Method, headers: &HeaderMap) -> Self {
        // Ranges are of GET alone (RFC 9110 14.2).
        let spec = if *method == Method::GET { Spec::read(headers) } else { None };
        let only_of = headers.get(header::IF_RANGE).cloned();
        Self { is_head: *method == Method::HEAD, spec, only_of }
    }

    /// What it wants of a file of `length` bytes whose entity tag is `tag`, a strong one.
    pub(super) fn of_file(&self, tag: &str, length: u64) -> Wanted {
        let only_of = self.only_of.as_ref();
        let is_this = only_of.is_none_or(|only| only.as_bytes() == tag.as_bytes());
        let Some(spec) = self.spec.filter(|_| is_this) else { return Wanted::Whole };
        match (spec, length.checked_sub(1)) {
            (Spec::Last(0), _) => Wanted::Nothing,
            (Spec::Last(count), Some(last)) => {
                Wanted::Part(Part { first: length.saturating_sub(count), last })
            }
            // The end of an empty file is the file, and no `Content-Range` can say so.
            (Spec::Last(_), None) => Wanted::Whole,
            (Spec::From(first), Some(last)) if first <= last => Wanted::Part(Part { first, last }),
            (Spec::Between(first, to), Some(last)) if first <= last => {
                Wanted::Part(Part { first, last: to.min(last) })
            }
            (Spec::From(_) | Spec::Between(..), _) => Wanted::Nothing,
        }
    }
}

impl<S: Sync> FromRequestParts<S> for Asked {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self::of(&parts.method, &parts.headers))
    }
}

impl Spec {
    /// The only range that is asked for.
    fn read(headers: &HeaderMap) -> Option<Self> {
        let mut lines = headers.get_all(header::RANGE).iter();
        let (line, None) = (lines.next()?, lines.next()) else { return None };
        let (unit, set) = line.to_str().ok()?.split_once('=')?;
        // Empty elements of a list count for nothing (RFC 9110 5.6.1.2).
        let specs = set.split(',').map(|spec| spec.trim_matches([' ', '\t']));
        let mut specs = specs.filter(|spec| !spec.is_empty());
        let (spec, None) = (specs.next()?, specs.next()) else { return None };
        Self::parse(spec).filter(|_| unit.eq_ignore_ascii_case(UNIT))
    }

    fn parse(text: &str) -> Option<Self> {
        match text.split_once('-')? {
            ("", count) => number(count).map(Self::Last),
            (first, "") => number(first).map(Self::From),
            (first, last) => {
                let (first, last) = (number(first)?, number(last)?);
                (first <= last).then_some(Self::Between(first, last))
            }
        }
    }
}

/// A number of bytes. One that is too large to count is larger than every file.
fn number(digits: &str) -> Option<u64> {
    let is_number = !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit());
    is_number.then(|| digits.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TAG: &str = "\"a-1\"";
    const HUGE: &str = "99999999999999999999999";

    fn headers(lines: &[(header::HeaderName, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        headers
    }

    fn wanted(range: &str, length: u64) -> Wanted {
        Asked::of(&Method::GET, &headers(&[(header::RANGE, range)])).of_file(TAG, length)
    }

    const fn part(first: u64, last: u64) -> Wanted {
        Wanted::Part(Part { first, last })
    }

    /// Every form of a range, of files of ten bytes and of none; the examples of RFC 9110 14.1.2
    /// are among them.
    #[test]
    fn ranges_are_cut_to_the_file() {
        let huge = |text: &str| text.replace("HUGE", HUGE);
        for (range, of_ten, of_none) in [
            ("bytes=0-", part(0, 9), Wanted::Nothing),
            ("bytes=0-0", part(0, 0), Wanted::Nothing),
            ("bytes=2-5", part(2, 5), Wanted::Nothing),
            ("bytes=002-0005", part(2, 5), Wanted::Nothing),
            ("bytes=9-", part(9, 9), Wanted::Nothing),
            ("bytes=9-10", part(9, 9), Wanted::Nothing),
            ("bytes=3-HUGE", part(3, 9), Wanted::Nothing),
            ("bytes=-1", part(9, 9), Wanted::Whole),
            ("bytes=-10", part(0, 9), Wanted::Whole),
            ("bytes=-11", part(0, 9), Wanted::Whole),
            ("bytes=-HUGE", part(0, 9), Wanted::Whole),
            ("BYTES=1-2", part(1, 2), Wanted::Nothing),
            ("bytes= 1-2\t", part(1, 2), Wanted::Nothing),
            ("bytes=,1-2, ,", part(1, 2), Wanted::Nothing),
            // Behind the end.
            ("bytes=10-", Wanted::Nothing, Wanted::Nothing),
            ("bytes=10-20", Wanted::Nothing, Wanted::Nothing),
            ("bytes=HUGE-", Wanted::Nothing, Wanted::Nothing),
            ("bytes=HUGE-HUGE", Wanted::Nothing, Wanted::Nothing),
            ("bytes=-0", Wanted::Nothing, Wanted::Nothing),
        ] {
            let range = huge(range);
            assert_eq!(wanted(&range, 10), of_ten, "{range}");
            assert_eq!(wanted(&range, 0), of_none, "{range}");
        }
        assert_eq!(wanted("bytes=500-999", 10_000), part(500, 999));
        assert_eq!(wanted("bytes=-500", 10_000), part(9_500, 9_999));
        assert_eq!(wanted("bytes=9500-", 10_000), part(9_500, 9_999));
        assert_eq!(wanted(&huge("bytes=0-HUGE"), u64::MAX), part(0, u64::MAX - 1));
    }

    /// Several ranges, another unit, and what is no range are ignored.
    #[test]
    fn what_is_no_single_range_is_ignored() {
        for range in [
            "",
            "bytes",
            "bytes=",
            "bytes=,",
            "bytes=-",
            "bytes=5",
            "bytes=5-2",
            "bytes=a-b",
            "bytes=1-b",
            "bytes=+1-2",
            "bytes=1-+2",
            "bytes=--1",
            "bytes=1-2-3",
            "bytes=1 -2",
            "bytes=1- 2",
            "bytes=0x1-2",
            "bytes=\u{661}-",
            "bytes =1-2",
            "bytes:1-2",
            "bytes=0-1,3-4",
            "bytes=0-1,x",
            "bytes=0-,-1",
            "items=1-2",
            "=1-2",
            "1-2",
        ] {
            assert_eq!(wanted(range, 10), Wanted::Whole, "{range:?}");
        }
        let twice = headers(&[(header::RANGE, "bytes=1-2"), (header::RANGE, "bytes=1-2")]);
        assert_eq!(Asked::of(&Method::GET, &twice).of_file(TAG, 10), Wanted::Whole);
        assert_eq!(Asked::of(&Method::GET, &HeaderMap::new()).of_file(TAG, 10), Wanted::Whole);
    }

    /// A range that is wanted of one file alone is ignored of another: the tag is compared
    /// strongly, and a date is no tag of ours. Only GET has ranges.
    #[test]
    fn conditions_of_a_range() {
        for (only_of, expected) in [
            (TAG, part(1, 2)),
            ("\"a-2\"", Wanted::Whole),
            ("W/\"a-1\"", Wanted::Whole),
            ("a-1", Wanted::Whole),
            ("Sat, 29 Oct 1994 19:43:31 GMT", Wanted::Whole),
        ] {
            let headers = headers(&[(header::RANGE, "bytes=1-2"), (header::IF_RANGE, only_of)]);
            let found = Asked::of(&Method::GET, &headers).of_file(TAG, 10);
            assert_eq!(found, expected, "{only_of}");
        }
        let behind = headers(&[(header::RANGE, "bytes=10-"), (header::IF_RANGE, "\"a-2\"")]);
        assert_eq!(Asked::of(&Method::GET, &behind).of_file(TAG, 10), Wanted::Whole);

        let headers = headers(&[(header::RANGE, "bytes=10-")]);
        let asked = Asked::of(&Method::HEAD, &headers);
        assert!(asked.is_head);
        assert_eq!(asked.of_file(TAG, 10), Wanted::Whole);
    }

    /// What `Content-Range` says.
    #[test]
    fn parts_tell_where_they_lie() {
        let part = Part { first: 42, last: 1_233 };
        assert_eq!((part.length(), part.within(1_234).as_str()), (1_192, "bytes 42-1233/1234"));
    }

    proptest! {
        /// Whatever is asked for, a part has bytes and ends within the file; one that is written
        /// as a range begins where it says.
        #[test]
        fn parts_lie_within_the_file(
            text in "(bytes=)?[-,0-9 ]{0,24}", first: u64, last: u64, length: u64
        ) {
            let between = format!("bytes={first}-{last}");
            for range in [&text, &between] {
                if let Wanted::Part(part) = wanted(range, length) {
                    prop_assert!(part.first <= part.last && part.last < length, "{range}");
                    prop_assert!((1..=length).contains(&part.length()), "{range}");
                }
            }
            let expected = match (first <= last, first < length) {
                (true, true) => part(first, last.min(length - 1)),
                (true, false) => Wanted::Nothing,
                (false, _) => Wanted::Whole,
            };
            prop_assert_eq!(wanted(&between, length), expected);
        }
    }
}
