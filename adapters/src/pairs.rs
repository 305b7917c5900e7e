//! The pairs of a query or a form (`application/x-www-form-urlencoded`, WHATWG URL 5.1), as
//! carriers send them.

/// The pairs in their order, decoded. Bytes that are not UTF-8 are replaced.
pub fn pairs(text: &str) -> impl Iterator<Item = (String, String)> {
    text.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        (unescape(name), unescape(value))
    })
}

fn unescape(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let escaped = match (first, after) {
            (b'%', [high, low, after @ ..]) => digit(*high).zip(digit(*low)).map(|d| (d, after)),
            _ => None,
        };
        rest = match escaped {
            Some(((high, low), after)) => {
                bytes.push(high << 4 | low);
                after
            }
            None => {
                bytes.push(if *first == b'+' { b' ' } else { *first });
                after
            }
        };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::pairs;
    use crate::exchange::form;

    /// Escapes are undone, also unusual ones; what is none stays; empty values and repeated names
    /// are kept.
    #[test]
    fn pairs_are_decoded() {
        let text = "to=%2B49+30&empty=&bare&a=1&a=%zz&&b=%4&c=%e2%98%83&d=%ff=";
        let read: Vec<_> = pairs(text).collect();
        let expected = [
            ("to", "+49 30"),
            ("empty", ""),
            ("bare", ""),
            ("a", "1"),
            ("a", "%zz"),
            ("b", "%4"),
            ("c", "☃"),
            ("d", "\u{fffd}="),
        ];
        let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(read, expected);
    }

    proptest! {
        /// What is written as a form is read as it was.
        #[test]
        fn forms_come_back(fields in proptest::collection::vec((".{1,8}", ".{0,12}"), 0..6)) {
            let given: Vec<_> = fields.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
            prop_assert_eq!(pairs(&form(&given)).collect::<Vec<_>>(), fields);
        }
    }
}
