//! When two URIs mean the same (RFC 3261 section 19.1.4, RFC 3966 section 5).

use super::super::headers::Params;
use super::{Octets, Scheme, Uri};

/// Parameters that make URIs differ when only one has them. The text of section 19.1.4 names
/// `user`, `ttl`, `method` and `maddr`; its examples add `transport`.
const NEVER_IGNORED: [&str; 5] = ["user", "ttl", "method", "maddr", "transport"];

impl Uri<'_> {
    /// Whether both URIs are equivalent. The relation is not transitive (unknown parameters that
    /// only one URI has are ignored), hence it is not `==`, which compares as written.
    pub fn equivalent(&self, other: &Uri<'_>) -> bool {
        match (self.scheme, other.scheme) {
            (Scheme::Sip, Scheme::Sip) | (Scheme::Sips, Scheme::Sips) => sip(self, other),
            (Scheme::Tel, Scheme::Tel) => {
                let (one, two) = (self.user.unwrap_or_default(), other.user.unwrap_or_default());
                digits(one).eq(digits(two)) && tel_params(self.params, other.params)
            }
            (Scheme::Other(one), Scheme::Other(two)) => {
                one.eq_ignore_ascii_case(two)
                    && self.as_str().get(one.len()..) == other.as_str().get(two.len()..)
            }
            _ => false,
        }
    }
}

fn sip(one: &Uri<'_>, two: &Uri<'_>) -> bool {
    let same_host = match (one.host, two.host) {
        (Some(one), Some(two)) => one.equivalent(&two),
        _ => false,
    };
    same_host
        && one.port == two.port
        && same_optional(one.user, two.user)
        && same_optional(one.password, two.password)
        && sip_params(one.params, two.params)
        && sip_params(two.params, one.params)
        && headers_within(one, two)
        && headers_within(two, one)
}

/// Whether no parameter of `one` contradicts `two`.
fn sip_params(one: Params<'_>, two: Params<'_>) -> bool {
    one.iter().all(|(name, value)| {
        let mut named = two.iter().filter(|(other, _)| same_ignoring_case(name, other)).peekable();
        if named.peek().is_none() {
            return !NEVER_IGNORED.iter().any(|kept| name.eq_ignore_ascii_case(kept));
        }
        let value = value.unwrap_or_default();
        named.any(|(_, other)| same_ignoring_case(value, other.unwrap_or_default()))
    })
}

/// Whether each header of `one` is in `two`; headers are never ignored.
fn headers_within(one: &Uri<'_>, two: &Uri<'_>) -> bool {
    one.header_fields().all(|(name, value)| {
        two.header_fields()
            .any(|(other, text)| same_ignoring_case(name, other) && same(value, text))
    })
}

/// Whether both have the same parameters, in any order (RFC 3966 section 5).
fn tel_params(one: Params<'_>, two: Params<'_>) -> bool {
    let within = |one: Params<'_>, two: Params<'_>| {
        one.iter().all(|(name, value)| {
            two.iter().any(|(other, text)| {
                name.eq_ignore_ascii_case(other)
                    && digits(value.unwrap_or_default()).eq(digits(text.unwrap_or_default()))
            })
        })
    };
    within(one, two) && within(two, one)
}

/// A telephone number without visual separators, in lower case.
fn digits(number: &str) -> impl Iterator<Item = u8> {
    number.bytes().filter(|byte| !b"-.()".contains(byte)).map(|byte| byte.to_ascii_lowercase())
}

fn same_optional(one: Option<&str>, two: Option<&str>) -> bool {
    match (one, two) {
        (None, None) => true,
        (Some(one), Some(two)) => same(one, two),
        _ => false,
    }
}

/// Octets of a URI such that equal ones mean the same: an escaped reserved octet differs from the
/// octet itself, any other does not.
fn meaning(text: &str) -> impl Iterator<Item = (u8, bool)> {
    Octets::new(text).map(|(octet, escaped)| (octet, escaped && b";/?:@&=+$,%".contains(&octet)))
}

fn same(one: &str, two: &str) -> bool {
    meaning(one).eq(meaning(two))
}

fn same_ignoring_case(one: &str, two: &str) -> bool {
    let lower = |(octet, reserved): (u8, bool)| (octet.to_ascii_lowercase(), reserved);
    meaning(one).map(lower).eq(meaning(two).map(lower))
}
