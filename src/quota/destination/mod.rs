//! Where calls may be placed.
//!
//! Emergency services and premium numbers are not called unless an allowed destination names them:
//! a program that dials by itself, or somebody who makes it do so, must not occupy the one or pay
//! for the other. A list of allowed destinations leaves nothing else.

mod emergency;
mod premium;

use adapters::address::{Address, region};

use crate::routing::Pattern;

/// Where calls may go.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Destinations {
    /// These; if empty, everywhere but to emergency services and premium numbers. Those need a
    /// pattern that lies within them: `112`, or `+1900*`.
    pub allowed: Vec<Pattern>,
}

/// Why a destination is not called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Undialled {
    /// It is an emergency service.
    #[error("emergency services are not called unless they are an allowed destination")]
    Emergency,
    /// It is a premium number.
    #[error("premium numbers are not called unless they are an allowed destination")]
    Premium,
    /// A list of allowed destinations does not hold it.
    #[error("not an allowed destination")]
    Unlisted,
    /// No rate tells what calls there cost, and money is counted.
    #[error("no rate tells what calls there cost")]
    Unpriced,
}

impl Undialled {
    /// The stable word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Emergency => "emergency",
            Self::Premium => "premium",
            Self::Unlisted => "not_allowed",
            Self::Unpriced => "no_rate",
        }
    }
}

impl Destinations {
    /// Whether `to` may be called: a number, a user, or a SIP or tel URI, whose user part counts.
    /// `country` (ISO 3166-1 alpha-2) tells what numbers without `+` mean.
    ///
    /// # Errors
    ///
    /// Why it may not.
    pub fn judge(&self, to: &str, country: Option<&str>) -> Result<(), Undialled> {
        let forms = Forms::of(to, country);
        if emergency::is(&forms, country) && !self.names(&forms, None) {
            return Err(Undialled::Emergency);
        }
        let premium = forms.numbers().find_map(premium::prefix);
        let premium = premium.or_else(|| premium::as_dialled(&forms.dialled, country));
        if let Some(prefix) = premium
            && !self.names(&forms, Some(prefix))
        {
            return Err(Undialled::Premium);
        }
        let listed = || self.allowed.iter().any(|pattern| forms.fit(pattern).is_some());
        if self.allowed.is_empty() || listed() { Ok(()) } else { Err(Undialled::Unlisted) }
    }

    /// Whether a pattern names the destination: exactly, or by a start that has at least so many
    /// digits.
    fn names(&self, forms: &Forms, start: Option<usize>) -> bool {
        self.allowed.iter().any(|pattern| match (pattern, start) {
            (Pattern::Exact(_), _) => forms.fit(pattern).is_some(),
            (Pattern::Prefix(_), Some(start)) => forms.fit(pattern) >= Some(start),
            _ => false,
        })
    }
}

/// The digits of a destination with its calling code, without `+`, if a number is called: by
/// itself, or as the user of a URI. `country` (ISO 3166-1 alpha-2) tells what numbers without `+`
/// mean.
pub fn international(to: &str, country: Option<&str>) -> Option<String> {
    let Forms { international, dialled } = Forms::of(to, country);
    let digits = |text: &String| text.bytes().all(|byte| byte.is_ascii_digit());
    let bare = || Some(dialled).filter(|text| !text.starts_with('0') && text.len() >= 7);
    international.or_else(bare).filter(digits)
}

/// A destination in the forms in which it may be known.
struct Forms {
    /// As it is dialled, without what people put between digits.
    dialled: String,
    /// Digits with calling code, without `+`, if it is a number.
    international: Option<String>,
}

impl Forms {
    fn of(to: &str, country: Option<&str>) -> Self {
        let dialled = user(to);
        let bare = dialled.strip_prefix('+');
        let by_plan = || {
            let address = Address::parse(&dialled, country).ok()?;
            address.digits().map(str::to_owned)
        };
        // Without a country the two usual international prefixes are taken for what they are.
        let by_prefix = || {
            let prefixes = ["00", "011"].into_iter().filter(|_| country.is_none());
            let mut rest = prefixes.filter_map(|prefix| dialled.strip_prefix(prefix));
            rest.find(|rest| !rest.is_empty() && !rest.starts_with('0')).map(str::to_owned)
        };
        let by_country = || {
            let prefix = region(&country?.to_ascii_uppercase())?.international_prefix;
            let rest = dialled.strip_prefix(prefix).filter(|_| !prefix.is_empty())?;
            Some(rest.to_owned())
        };
        let international = match bare {
            Some(digits) => Some(digits.to_owned()),
            None => by_country().or_else(by_prefix).or_else(by_plan),
        };
        Self { international, dialled }
    }

    /// The digits that may begin with a calling code.
    fn numbers(&self) -> impl Iterator<Item = &str> {
        let digits = |text: &&str| text.len() >= 7 && text.bytes().all(|b| b.is_ascii_digit());
        let dialled = Some(self.dialled.as_str()).filter(digits);
        // Carriers take numbers without `+` too, but not those that begin with a zero.
        let dialled = dialled.filter(|text| !text.starts_with('0'));
        self.international.as_deref().into_iter().chain(dialled)
    }

    fn fit(&self, pattern: &Pattern) -> Option<usize> {
        let international = self.international.as_deref().and_then(|number| pattern.fit(number));
        international.max(pattern.fit(&self.dialled))
    }
}

/// The user part of a URI, or the text itself; separators of digits dropped.
fn user(to: &str) -> String {
    let text = match to.split_once(':') {
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("tel") => rest,
        Some((scheme, rest))
            if scheme.eq_ignore_ascii_case("sip") || scheme.eq_ignore_ascii_case("sips") =>
        {
            rest.rsplit_once('@').map_or("", |(user, _)| user)
        }
        _ => to,
    };
    // Parameters of a user, such as `;npdi` or `;phone-context`, and a password are no part of the
    // number, and escapes hide none.
    let text = unescaped(text.split([';', '?', ':']).next().unwrap_or_default());
    let separator = |c: &char| matches!(c, ' ' | '-' | '.' | '(' | ')' | '/' | '\u{a0}');
    let digits = |c: char| c.is_ascii_digit() || c == '+' || separator(&c);
    match text.trim().chars().all(digits) {
        true => text.chars().filter(|c| !separator(c)).collect(),
        false => text.trim().to_owned(),
    }
}

/// The text with its `%41` read (RFC 3986 2.1).
fn unescaped(text: &str) -> String {
    let mut plain = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        let mut ahead = bytes.clone();
        let digits = (ahead.next(), ahead.next());
        let hex = |byte: Option<u8>| char::from(byte?).to_digit(16);
        match (byte, hex(digits.0), hex(digits.1)) {
            (b'%', Some(high), Some(low)) => {
                plain.push(u8::try_from(high * 16 + low).unwrap_or_default());
                bytes = ahead;
            }
            _ => plain.push(byte),
        }
    }
    String::from_utf8_lossy(&plain).into_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::Undialled::{Emergency, Premium, Unlisted};
    use super::*;

    fn judge(allowed: &[&str], to: &str, country: &str) -> Result<(), Undialled> {
        let allowed = allowed.iter().map(|text| Pattern::parse(text).unwrap()).collect();
        let country = Some(country).filter(|country| !country.is_empty());
        Destinations { allowed }.judge(to, country)
    }

    /// Emergency and premium numbers in every form in which they can be dialled, and what is none.
    #[test]
    fn defaults_table() {
        for (to, country, expected) in [
            ("112", "", Err(Emergency)),
            ("112", "DE", Err(Emergency)),
            ("911", "DE", Err(Emergency)),
            ("110", "DE", Err(Emergency)),
            ("110", "US", Ok(())),
            ("000", "AU", Err(Emergency)),
            ("999", "", Err(Emergency)),
            ("999", "GB", Err(Emergency)),
            ("+112", "", Err(Emergency)),
            ("1 1 2", "", Err(Emergency)),
            ("tel:112", "", Err(Emergency)),
            ("sip:112@gw.example", "", Err(Emergency)),
            ("sip:%31%312@gw.example", "", Err(Emergency)),
            ("sip:112;phone-context=+49@gw.example;user=phone", "", Err(Emergency)),
            ("sips:911:x@gw.example", "", Err(Emergency)),
            ("+49112", "", Err(Emergency)),
            ("+49-112", "", Err(Emergency)),
            ("0049110", "", Err(Emergency)),
            ("+44999", "US", Err(Emergency)),
            ("+1911", "", Err(Emergency)),
            ("101", "RU", Err(Emergency)),
            ("101", "", Ok(())),
            ("1120", "DE", Ok(())),
            ("100", "US", Ok(())),
            ("bob", "", Ok(())),
            ("sip:bob@192.0.2.1", "", Ok(())),
            ("sip:192.0.2.1", "", Ok(())),
            ("+4930123456", "", Ok(())),
            ("+49900123456", "", Err(Premium)),
            ("0900123456", "DE", Err(Premium)),
            ("0049900123456", "", Err(Premium)),
            ("49900123456", "", Err(Premium)),
            ("+1 (900) 555-1234", "", Err(Premium)),
            ("19005551234", "US", Err(Premium)),
            ("9005551234", "US", Err(Premium)),
            ("+12125551234", "US", Ok(())),
            ("+979123456789", "", Err(Premium)),
            ("+8821612345678", "", Err(Premium)),
            ("+44 909 1234567", "", Err(Premium)),
            ("01144909123456", "", Err(Premium)),
            ("+421905123456", "", Ok(())),
            ("*21#", "", Ok(())),
            ("", "", Ok(())),
        ] {
            assert_eq!(judge(&[], to, country), expected, "{to} in {country:?}");
        }
    }

    proptest! {
        /// Whatever is to be called, there is a judgement, and what people put between the digits
        /// of a number makes no difference to it.
        #[test]
        fn separators_make_no_difference(
            any in ".{0,40}",
            digits in "[0-9]{2,14}",
            gaps in prop::collection::vec("[ ./()-]{0,2}", 14),
            plus in any::<bool>(),
        ) {
            let _ = judge(&["+49*", "112"], &any, "DE");
            let number = if plus { format!("+{digits}") } else { digits.clone() };
            let spaced = digits.chars().zip(&gaps).map(|(c, gap)| format!("{c}{gap}"));
            let spaced: String = spaced.collect();
            let spaced = if plus { format!("+{spaced}") } else { spaced };
            for country in ["", "DE", "US"] {
                prop_assert_eq!(judge(&[], &number, country), judge(&[], &spaced, country));
                let uri = format!("sip:{number}@gw.example");
                prop_assert_eq!(judge(&[], &number, country), judge(&[], &uri, country));
            }
        }
    }

    /// A list leaves nothing else; what is refused by default needs a pattern that lies within it.
    #[test]
    fn lists_table() {
        for (allowed, to, expected) in [
            (&["+49*"][..], "+4930123456", Ok(())),
            (&["+49*"], "004930123456", Ok(())),
            (&["+49*"], "+12125551234", Err(Unlisted)),
            (&["+49*"], "+49900123456", Err(Premium)),
            (&["+49*", "+49900*"], "+49900123456", Ok(())),
            (&["+49900123456"], "+49900123456", Ok(())),
            (&["*"], "+49900123456", Err(Premium)),
            (&["*"], "112", Err(Emergency)),
            (&["1*"], "112", Err(Emergency)),
            (&["+49*"], "+49112", Err(Emergency)),
            (&["+49112"], "+49112", Ok(())),
            (&["*", "112"], "112", Ok(())),
            (&["bob"], "sip:bob@192.0.2.1", Ok(())),
            (&["bob"], "sip:eve@192.0.2.1", Err(Unlisted)),
        ] {
            assert_eq!(judge(allowed, to, ""), expected, "{allowed:?} {to}");
        }
    }
}
