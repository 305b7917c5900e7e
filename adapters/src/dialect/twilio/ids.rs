//! Ids in the carrier's form: two letters and 32 hexadecimal digits.

use std::fmt::Write;

use sha2::{Digest, Sha256};

/// Hexadecimal digits of an id.
const DIGITS: usize = 32;
/// Hexadecimal digits of the groups of a UUID (RFC 9562 4).
const UUID_GROUPS: [usize; 5] = [8, 4, 4, 4, 12];

/// The ids of one stream, always the same for the same call.
#[derive(Debug)]
pub(super) struct Ids {
    /// `AC…`
    pub(super) account: String,
    /// `CA…`: the digits of our call id, which is a UUID.
    pub(super) call: String,
    /// `MZ…`
    pub(super) stream: String,
}

impl Ids {
    pub(super) fn of(call_id: &str, stream: u32) -> Self {
        let call = uuid_digits(call_id)
            .map(|digits| format!("CA{digits}"))
            .unwrap_or_else(|| derive("CA", call_id, 0));
        let stream = derive("MZ", call_id, stream);
        Self { account: derive("AC", call_id, 0), call, stream }
    }
}

/// The call id that an id `CA…` was made of.
pub(super) fn call_id(call: &str) -> Option<String> {
    let mut rest = call.strip_prefix("CA").filter(|digits| is_digits(digits))?;
    let mut id = String::with_capacity(36);
    for len in UUID_GROUPS {
        let (group, after) = rest.split_at_checked(len)?;
        if !id.is_empty() {
            id.push('-');
        }
        id.push_str(group);
        rest = after;
    }
    id.make_ascii_lowercase();
    Some(id)
}

fn is_digits(text: &str) -> bool {
    text.len() == DIGITS && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// The digits of a UUID, with or without hyphens, in lower case.
fn uuid_digits(id: &str) -> Option<String> {
    let groups: Vec<&str> = id.split('-').collect();
    let hyphenated = groups.iter().map(|group| group.len()).eq(UUID_GROUPS);
    let digits = groups.concat();
    ((hyphenated || groups.len() == 1) && is_digits(&digits)).then(|| digits.to_ascii_lowercase())
}

/// An id of which nothing can be read, different for each prefix, call and stream.
fn derive(prefix: &str, call_id: &str, stream: u32) -> String {
    let mut hash = Sha256::new();
    hash.update(prefix);
    hash.update(stream.to_be_bytes());
    hash.update(call_id);
    let mut id = prefix.to_owned();
    for byte in hash.finalize().iter().take(DIGITS / 2) {
        // Writing to a string cannot fail.
        let _ = write!(id, "{byte:02x}");
    }
    id
}

#[cfg(test)]
mod tests {
    use super::{Ids, call_id};

    const CALL: &str = "019337a1-5c3e-7d4b-9f00-0123456789ab";

    fn has_form(id: &str, prefix: &str) -> bool {
        id.strip_prefix(prefix).is_some_and(|digits| {
            digits.len() == 32 && digits.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
        })
    }

    /// Ids have the carrier's form, stay the same, differ between calls and streams, and the call's
    /// leads back to ours.
    #[test]
    fn form_and_way_back() {
        for text in [CALL, "019337A15C3E7D4B9F000123456789AB", "not a uuid", "", "é-€"] {
            let ids = Ids::of(text, 7);
            assert!(has_form(&ids.account, "AC") && has_form(&ids.stream, "MZ"), "{ids:?}");
            assert!(has_form(&ids.call, "CA"), "{ids:?}");
            assert_eq!(Ids::of(text, 7).stream, ids.stream);
            assert_ne!(Ids::of(text, 8).stream, ids.stream);
            assert_ne!(Ids::of("other", 7).call, ids.call);
        }
        let ids = Ids::of(CALL, 1);
        assert_eq!(ids.call, "CA019337a15c3e7d4b9f000123456789ab");
        assert_eq!(call_id(&ids.call).as_deref(), Some(CALL));
        let upper = "CA019337A15C3E7D4B9F000123456789AB";
        assert_eq!(call_id(upper).as_deref(), Some(CALL));
    }

    /// Anything else leads nowhere.
    #[test]
    fn foreign_ids() {
        for id in ["", "CA", "CA019337a1", "MZ019337a15c3e7d4b9f000123456789ab"] {
            assert_eq!(call_id(id), None, "{id}");
        }
        assert_eq!(call_id("CA019337a15c3e7d4b9f000123456789ag"), None);
        assert_eq!(call_id("CA019337a15c3e7d4b9f000123456789abc"), None);
        assert_eq!(call_id("CA019337a15c3e7d4b9f00012345678\u{e9}9"), None);
    }
}
