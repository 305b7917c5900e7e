//! Bencode, in which rtpengine is told what to do: writing it, and finding texts in an answer.

use std::collections::BTreeMap;

/// A value to write; dictionaries are sorted by key, as the format wants.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    /// A text.
    Text(String),
    /// A list.
    List(Vec<Self>),
    /// A dictionary.
    Map(BTreeMap<&'static str, Self>),
}

impl Value {
    /// A text.
    pub(crate) fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    /// A list of texts.
    pub(crate) fn texts<const N: usize>(texts: [&str; N]) -> Self {
        Self::List(texts.into_iter().map(Self::text).collect())
    }

    /// A dictionary.
    pub(crate) fn map<const N: usize>(entries: [(&'static str, Self); N]) -> Self {
        Self::Map(entries.into_iter().collect())
    }

    /// Appends it to `out`.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Text(text) => {
                out.extend_from_slice(format!("{}:{text}", text.len()).as_bytes());
            }
            Self::List(items) => {
                out.push(b'l');
                items.iter().for_each(|item| item.write(out));
                out.push(b'e');
            }
            Self::Map(entries) => {
                out.push(b'd');
                for (key, value) in entries {
                    Self::text(*key).write(out);
                    value.write(out);
                }
                out.push(b'e');
            }
        }
    }
}

/// The text that stands under `key` in an answer.
pub(crate) fn find<'a>(answer: &'a str, key: &str) -> Option<&'a str> {
    let mark = format!("{}:{key}", key.len());
    let (_, rest) = answer.split_once(&mark)?;
    let (length, rest) = rest.split_once(':')?;
    rest.get(..length.parse().ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is written has lengths, order and ends where they belong, and is found again.
    #[test]
    fn writes_and_finds() {
        let value = Value::map([
            ("sdp", Value::text("v=0\r\n")),
            ("command", Value::text("offer")),
            ("flags", Value::texts(["a", "bc"])),
        ]);
        let mut out = Vec::new();
        value.write(&mut out);
        let text = String::from_utf8(out).expect("text");
        assert_eq!(text, "d7:command5:offer5:flagsl1:a2:bce3:sdp5:v=0\r\ne");
        assert_eq!(find(&text, "sdp"), Some("v=0\r\n"));
        assert_eq!(find(&text, "command"), Some("offer"));
        assert_eq!(find(&text, "result"), None);
        assert_eq!(find("3:sdp99:short", "sdp"), None);
    }
}
