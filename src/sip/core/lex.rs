//! The lexical level of RFC 3261 section 25: character classes, numbers, quoted strings, lists.

use thiserror::Error;

/// What is wrong with a piece of SIP text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Syntax {
    /// Nothing where something must be.
    #[error("empty")]
    Empty,
    /// A token is missing or has characters that no token has.
    #[error("not a token")]
    Token,
    /// Not decimal digits, or outside the range of the field.
    #[error("not a number in range")]
    Number,
    /// A quoted string without its closing quote.
    #[error("unbalanced quotes")]
    Quote,
    /// An angle bracket without its partner, or in a place where none may be.
    #[error("misplaced angle bracket")]
    Bracket,
    /// A parameter without a name, or separators without a parameter between them.
    #[error("malformed parameter")]
    Param,
    /// A host that is neither a name nor an address, or a malformed port.
    #[error("malformed host or port")]
    Host,
    /// A URI that cannot be read.
    #[error("malformed URI")]
    Uri,
    /// Text after the end of the value.
    #[error("unexpected text after the value")]
    Trailing,
    /// The protocol of a Via that is not `SIP/2.0`.
    #[error("unknown protocol")]
    Protocol,
}

const TOKEN: u8 = 1;
const WORD: u8 = 2;
const HOST: u8 = 4;

/// Character classes of every octet (RFC 3261 section 25.1).
static CLASS: [u8; 256] = classes();

const fn classes() -> [u8; 256] {
    let mut table = [0u8; 256];
    let mut octet = 0;
    while octet < 256 {
        let byte = octet as u8;
        let alnum = byte.is_ascii_alphanumeric();
        let mark =
            matches!(byte, b'-' | b'.' | b'!' | b'%' | b'*' | b'_' | b'+' | b'`' | b'\'' | b'~');
        let word = matches!(
            byte,
            b'(' | b')'
                | b'<'
                | b'>'
                | b':'
                | b'\\'
                | b'"'
                | b'/'
                | b'['
                | b']'
                | b'?'
                | b'{'
                | b'}'
                | b'@'
        );
        if alnum || mark {
            table[octet] |= TOKEN | WORD;
        }
        if word {
            table[octet] |= WORD;
        }
        // The underscore is no part of a host name, but hosts in the field carry it.
        if alnum || matches!(byte, b'-' | b'.' | b'_') {
            table[octet] |= HOST;
        }
        octet += 1;
    }
    table
}

fn all_of(text: &str, class: u8) -> bool {
    !text.is_empty() && text.bytes().all(|byte| CLASS[usize::from(byte)] & class != 0)
}

/// Whether `text` is a `token`: the alphabet of methods, header names and parameter names.
pub fn is_token(text: &str) -> bool {
    all_of(text, TOKEN)
}

/// Whether `text` is a `word` or `word@word`: the alphabet of Call-ID.
pub fn is_call_id(text: &str) -> bool {
    all_of(text, WORD)
}

/// Whether `text` consists of the characters of a host name.
pub(crate) fn is_host_name(text: &str) -> bool {
    all_of(text, HOST)
}

/// `text` without blanks at both ends.
pub fn trim(text: &str) -> &str {
    let blank = |byte: &u8| matches!(byte, b' ' | b'\t');
    let bytes = text.as_bytes();
    let start = bytes.iter().position(|byte| !blank(byte)).unwrap_or(bytes.len());
    let end = bytes.iter().rposition(|byte| !blank(byte)).map_or(start, |last| last + 1);
    text.get(start..end).unwrap_or_default()
}

/// Whether `text` may be the value of a header or a reason phrase that we write: no CR, LF or NUL,
/// with which a caller's text could end the line and begin another one.
pub fn is_line_safe(text: &str) -> bool {
    !text.bytes().any(|byte| matches!(byte, b'\r' | b'\n' | 0))
}

/// A decimal number as SIP writes it: digits alone, leading zeros allowed.
///
/// # Errors
/// [`Syntax::Number`] when there is another character, no digit, or more than `max`.
pub fn number(text: &str, max: u64) -> Result<u64, Syntax> {
    if text.is_empty() {
        return Err(Syntax::Number);
    }
    let mut value: u64 = 0;
    for byte in text.bytes() {
        if !byte.is_ascii_digit() {
            return Err(Syntax::Number);
        }
        let digit = u64::from(byte - b'0');
        value =
            value.checked_mul(10).and_then(|tens| tens.checked_add(digit)).ok_or(Syntax::Number)?;
    }
    if value > max { Err(Syntax::Number) } else { Ok(value) }
}

/// The position of the first CR or LF, eight octets at a time: most of a message is neither.
pub(crate) fn find_line_end(octets: &[u8]) -> Option<usize> {
    const LOW: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x8080_8080_8080_8080;
    // Whether an octet of the word is zero; exact as long as only "any" is asked.
    let any_zero = |word: u64| word.wrapping_sub(LOW) & !word & HIGH;
    let (words, tail) = octets.as_chunks::<8>();
    let in_word = words.iter().position(|word| {
        let word = u64::from_le_bytes(*word);
        any_zero(word ^ (LOW * b'\n' as u64)) | any_zero(word ^ (LOW * b'\r' as u64)) != 0
    });
    let (from, rest) = match in_word {
        Some(index) => (index * 8, octets.get(index * 8..).unwrap_or_default()),
        None => (octets.len() - tail.len(), tail),
    };
    rest.iter().position(|byte| matches!(byte, b'\n' | b'\r')).map(|at| from + at)
}

/// The position of the first `stop` outside quoted strings and, with `brackets`, outside `<>`.
pub(crate) fn find_outside(text: &str, stop: u8, brackets: bool) -> Option<usize> {
    let mut bytes = text.bytes().enumerate();
    while let Some((at, byte)) = bytes.next() {
        if byte == stop {
            return Some(at);
        }
        let close = match byte {
            b'"' => b'"',
            b'<' if brackets => b'>',
            _ => continue,
        };
        loop {
            match bytes.next() {
                None => return None,
                Some((_, b'\\')) if close == b'"' => {
                    bytes.next();
                }
                Some((_, byte)) if byte == close => break,
                Some(_) => {}
            }
        }
    }
    None
}

/// `text` cut before and after position `at`, the separator left out.
pub(crate) fn cut(text: &str, at: usize) -> (&str, &str) {
    (text.get(..at).unwrap_or_default(), text.get(at + 1..).unwrap_or_default())
}

/// Splits a comma separated header value; commas in quoted strings and in `<>` do not separate.
/// Elements are trimmed and empty ones are skipped.
pub fn split_list(text: &str) -> List<'_> {
    List { rest: Some(text) }
}

/// The elements of a comma separated value; see [`split_list`].
#[derive(Debug, Clone)]
pub struct List<'a> {
    rest: Option<&'a str>,
}

impl<'a> List<'a> {
    /// The next element, empty ones included.
    pub(crate) fn next_raw(&mut self) -> Option<&'a str> {
        let rest = self.rest.take()?;
        let element = match find_outside(rest, b',', true) {
            Some(at) => {
                let (element, tail) = cut(rest, at);
                self.rest = Some(tail);
                element
            }
            None => rest,
        };
        Some(trim(element))
    }
}

impl<'a> Iterator for List<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        loop {
            let element = self.next_raw()?;
            if !element.is_empty() {
                return Some(element);
            }
        }
    }
}

/// The quoted string at the beginning of `text`: what is between the quotes, escapes kept, and
/// what follows.
///
/// # Errors
/// [`Syntax::Quote`] when `text` does not begin with a quote or the closing one is missing.
pub(crate) fn quoted(text: &str) -> Result<(&str, &str), Syntax> {
    let inner = text.strip_prefix('"').ok_or(Syntax::Quote)?;
    let mut bytes = inner.bytes().enumerate();
    while let Some((at, byte)) = bytes.next() {
        match byte {
            b'\\' => {
                bytes.next();
            }
            b'"' => return Ok(cut(inner, at)),
            _ => {}
        }
    }
    Err(Syntax::Quote)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lists are cut at commas outside quotes and brackets only; empty elements are skipped.
    #[test]
    fn lists() {
        let cases: [(&str, &[&str]); 8] = [
            ("", &[]),
            (" , ,", &[]),
            ("a", &["a"]),
            ("a, b\t,c", &["a", "b", "c"]),
            (r#""a,b" <sip:c,d@e>;x="y,\",z", f"#, &[r#""a,b" <sip:c,d@e>;x="y,\",z""#, "f"]),
            (r#""\\",b"#, &[r#""\\""#, "b"]),
            ("\"open, b", &["\"open, b"]),
            ("<open, b", &["<open, b"]),
        ];
        for (text, elements) in cases {
            assert_eq!(split_list(text).collect::<Vec<_>>(), elements, "{text}");
        }
    }

    /// Numbers are digits alone and within their range, however many leading zeros there are.
    #[test]
    fn numbers() {
        assert_eq!(number("0068", 255), Ok(68));
        assert_eq!(number(&"0".repeat(500), 0), Ok(0));
        assert_eq!(number("18446744073709551615", u64::MAX), Ok(u64::MAX));
        assert_eq!(number("18446744073709551616", u64::MAX), Err(Syntax::Number));
        for text in ["", "-1", "+1", " 1", "1 ", "0x1", "256", "99999999999999999999999"] {
            assert_eq!(number(text, 255), Err(Syntax::Number), "{text}");
        }
    }

    /// The character classes are those of the grammar (RFC 3261 section 25.1).
    #[test]
    fn classes_follow_the_grammar() {
        let token = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-.!%*_+`'~";
        let word = format!("{token}()<>:\\\"/[]?{{}}");
        for octet in 0..=255u8 {
            let text = char::from(octet).to_string();
            assert_eq!(is_token(&text), token.contains(&text), "{text:?}");
            assert_eq!(is_call_id(&text), word.contains(&text) || text == "@", "{text:?}");
        }
        assert!(!is_token("") && !is_call_id(""));
    }

    /// Line ends are found wherever they stand in a word, after octets that differ by one bit or
    /// borrow, and nothing else is taken for one.
    #[test]
    fn line_ends() {
        for octet in 0..=255u8 {
            for length in 1..40 {
                for at in 0..length {
                    let mut octets = vec![0x0c; length];
                    octets[at] = octet;
                    let expected = matches!(octet, b'\n' | b'\r').then_some(at);
                    assert_eq!(find_line_end(&octets), expected, "{octet} at {at} of {length}");
                }
            }
        }
        assert_eq!(find_line_end(b"\x0b\x0b\x0b\n\x0b\r"), Some(3));
        assert_eq!(find_line_end(b""), None);
    }

    /// A quoted string ends at the first quote that is not escaped.
    #[test]
    fn quoted_strings() {
        assert_eq!(quoted(r#""a\"b" c"#), Ok((r#"a\"b"#, " c")));
        assert_eq!(quoted(r#""\\""#), Ok((r"\\", "")));
        for text in ["", "a", "\"", r#""a\""#, r#""\"#] {
            assert_eq!(quoted(text), Err(Syntax::Quote), "{text}");
        }
    }
}
