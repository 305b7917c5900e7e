//! Requests over HTTP between a call and its carrier, and their answers, as they are kept: without
//! secrets.
//!
//! What is secret is known in three ways, each of which is enough: by its value (what the
//! configuration keeps secret, as it is and as forms and JSON write it), by its place (the token in
//! the address of a media socket), and by its name (`password=`, `"token":`). Of the headers a few
//! are shown; what the others say is blanked.

use http::{HeaderMap, HeaderName, header};
use media::time::MonoTime;

use super::MESSAGE_BYTES_MAX;

/// What stands in the place of each character of a secret.
const BLANK: char = 'x';
/// Headers whose values are shown.
const SHOWN: [HeaderName; 8] = [
    header::ACCEPT,
    header::CONTENT_LENGTH,
    header::CONTENT_TYPE,
    header::DATE,
    header::HOST,
    header::RETRY_AFTER,
    header::SERVER,
    header::USER_AGENT,
];
/// What is in the names of fields whose values are secrets.
const NAMES: [&str; 11] = [
    "password",
    "passwd",
    "secret",
    "token",
    "apikey",
    "api_key",
    "api-key",
    "auth",
    "signature",
    "private",
    "credential",
];
/// How slashes are written: as they are, in JSON, in forms, in forms within forms.
const SLASHES: [&str; 5] = ["/", "\\/", "%2F", "%2f", "%252F"];

/// A request or an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Web {
    /// When it came or left.
    pub at: MonoTime,
    /// It came.
    pub incoming: bool,
    /// It went encrypted.
    pub secure: bool,
    /// The other end.
    pub peer: String,
    /// The method of the request.
    pub method: String,
    /// The path of the request, and its query.
    pub path: String,
    /// The status, of an answer.
    pub status: Option<u16>,
    /// First line, headers and body.
    pub text: String,
}

/// What a configuration keeps secret, in every way of writing it.
#[derive(Clone, Default)]
pub struct Secrets(Vec<String>);

impl Secrets {
    /// These values.
    pub fn new<'v>(values: impl IntoIterator<Item = &'v str>) -> Self {
        let mut written = Vec::new();
        for value in values.into_iter().filter(|value| !value.is_empty()) {
            let json = serde_json::to_string(value).unwrap_or_default();
            let json = json.get(1..json.len().saturating_sub(1)).unwrap_or_default().to_owned();
            let (form, lower) =
                (percent(value, "0123456789ABCDEF"), percent(value, "0123456789abcdef"));
            let plus = form.replace("%20", "+");
            written.extend([value.to_owned(), json, form, lower, plus]);
        }
        // The longest first: a secret may hold another.
        written.sort_by_key(|value| std::cmp::Reverse(value.len()));
        written.dedup();
        written.retain(|value| !value.is_empty());
        Self(written)
    }

    fn longest(&self) -> usize {
        self.0.first().map_or(0, String::len)
    }
}

/// How many there are, and nothing else.
impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Secrets").field(&self.0.len()).finish()
    }
}

/// A value as forms and queries write it.
fn percent(value: &str, digits: &str) -> String {
    let digit = |of: u8| digits.chars().nth(usize::from(of)).unwrap_or('0');
    let mut out = String::with_capacity(value.len());
    for byte in value.bytes() {
        match byte {
            b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' | b'-' | b'.' | b'_' | b'~' => {
                out.push(char::from(byte));
            }
            _ => out.extend(['%', digit(byte >> 4), digit(byte & 15)]),
        }
    }
    out
}

/// What is known of a request or an answer.
#[derive(Clone, Copy, Debug)]
pub struct Raw<'r> {
    /// The method of the request.
    pub method: &'r str,
    /// The address of the request: all of it, or path and query.
    pub url: &'r str,
    /// The status, of an answer.
    pub status: Option<http::StatusCode>,
    /// Its own headers.
    pub headers: Option<&'r HeaderMap>,
    /// Its own body.
    pub body: &'r [u8],
}

impl Web {
    /// What is kept of `raw`.
    pub fn new(
        at: MonoTime,
        incoming: bool,
        peer: String,
        raw: &Raw<'_>,
        secrets: &Secrets,
    ) -> Self {
        let (secure, target) = match raw.url.split_once("://") {
            Some((scheme, rest)) => {
                let path = rest.find('/').and_then(|at| rest.get(at..)).unwrap_or("/");
                (scheme.eq_ignore_ascii_case("https"), path)
            }
            None => (false, raw.url),
        };
        let path = blanked(&cut(target.as_bytes(), secrets), secrets);
        let first = match raw.status {
            None => format!("{} {path} HTTP/1.1", raw.method),
            Some(status) => format!("HTTP/1.1 {status}"),
        };
        let mut text = first + "\r\n";
        for (name, value) in raw.headers.into_iter().flatten() {
            let value = String::from_utf8_lossy(value.as_bytes());
            text += name.as_str();
            text += ": ";
            match SHOWN.contains(name) {
                true => text += &blanked(&value, secrets),
                false => text.extend(value.chars().map(blank)),
            }
            text += "\r\n";
        }
        text += "\r\n";
        text += &blanked(&cut(raw.body, secrets), secrets);
        shorten(&mut text);
        let (method, status) = (raw.method.to_owned(), raw.status.map(|status| status.as_u16()));
        Self { at, incoming, secure, peer, method, path, status, text }
    }
}

/// As much of it as may be kept, and so much more that no secret is cut before it is blanked.
fn cut(bytes: &[u8], secrets: &Secrets) -> String {
    let most = (MESSAGE_BYTES_MAX + secrets.longest()).min(bytes.len());
    String::from_utf8_lossy(bytes.get(..most).unwrap_or_default()).into_owned()
}

/// Cuts a text to what is kept, between two characters.
fn shorten(text: &mut String) {
    if text.len() > MESSAGE_BYTES_MAX {
        let end = (0..=MESSAGE_BYTES_MAX).rev().find(|at| text.is_char_boundary(*at));
        text.truncate(end.unwrap_or(0));
    }
}

const fn blank(character: char) -> char {
    if character.is_ascii_whitespace() { character } else { BLANK }
}

/// The text without secrets; as long as it was, counted in characters.
fn blanked(text: &str, secrets: &Secrets) -> String {
    let mut secret = vec![false; text.len()];
    let mut mark = |from: usize, to: usize| {
        secret.get_mut(from..to).unwrap_or_default().fill(true);
    };
    for value in &secrets.0 {
        text.match_indices(value.as_str()).for_each(|(at, it)| mark(at, at + it.len()));
    }
    media_tokens(text, &mut mark);
    named(text, &mut mark);
    let is_secret = |at: usize| secret.get(at).copied().unwrap_or(false);
    text.char_indices().map(|(at, it)| if is_secret(at) { blank(it) } else { it }).collect()
}

/// Marks what opens media sockets: `…/telephony/ws/{provider}/{call}/{token}`.
fn media_tokens(text: &str, mark: &mut impl FnMut(usize, usize)) {
    let end = |byte: u8| !(byte.is_ascii_alphanumeric() || b"-._~".contains(&byte));
    for slash in SLASHES {
        let before = format!("telephony{slash}ws{slash}");
        for (at, it) in text.match_indices(&before) {
            let from = at + it.len();
            let rest = text.get(from..).unwrap_or_default();
            let Some(token) = rest.match_indices(slash).nth(1).map(|(at, it)| at + it.len()) else {
                continue;
            };
            let token_text = rest.get(token..).unwrap_or_default();
            let length = token_text.bytes().position(end).unwrap_or(token_text.len());
            mark(from + token, from + token + length);
        }
    }
}

/// How the value of a field ends.
#[derive(Clone, Copy)]
enum Ends {
    /// With this quote.
    Quote(u8),
    /// With the field, in forms, queries and markup.
    Form,
    /// With the field, in JSON.
    Json,
}

impl Ends {
    fn at(self, byte: u8) -> bool {
        match self {
            Self::Quote(quote) => byte == quote,
            Self::Form => b"&; \t\r\n\"'<>".contains(&byte),
            Self::Json => b",}] \r\n".contains(&byte),
        }
    }

    /// Its place among all of them.
    const fn index(self) -> usize {
        match self {
            Self::Quote(b'"') => 0,
            Self::Quote(_) => 1,
            Self::Form => 2,
            Self::Json => 3,
        }
    }
}

/// Marks the values of fields whose names say that they are secret, in forms and queries
/// (`name=value`), JSON (`"name":"value"`) and markup (`name="value"`). Whatever the text is, it is
/// gone through a fixed number of times.
fn named(text: &str, mark: &mut impl FnMut(usize, usize)) {
    let lower = text.to_ascii_lowercase();
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.[]%".contains(&byte);
    // Where values of each kind are marked up to: a value within one ends where that does.
    let mut marked = [0; 4];
    let mut at = 0;
    while let Some(rest) = lower.as_bytes().get(at..).filter(|rest| !rest.is_empty()) {
        let length = rest.iter().position(|byte| !is_name(*byte)).unwrap_or(rest.len());
        let behind = at + length;
        let name = lower.get(at..behind).unwrap_or_default();
        at = behind + 1;
        if !NAMES.iter().any(|secret| name.contains(secret)) {
            continue;
        }
        let bytes = text.as_bytes().get(behind..).unwrap_or_default();
        let Some((skipped, ends)) = value_behind(bytes) else { continue };
        let from = behind + skipped;
        let Some(until) = marked.get_mut(ends.index()) else { continue };
        if from < *until {
            continue;
        }
        let value = text.as_bytes().get(from..).unwrap_or_default();
        *until = from + length_of(value, ends);
        mark(from, *until);
    }
}

/// Where the value of a field begins behind its name, and how it ends.
fn value_behind(behind: &[u8]) -> Option<(usize, Ends)> {
    match behind {
        [b'=', quote @ (b'"' | b'\''), ..] => Some((2, Ends::Quote(*quote))),
        [b'=', ..] => Some((1, Ends::Form)),
        [b'"', rest @ ..] => match value_of(rest)? {
            (before, true) => Some((1 + before, Ends::Quote(b'"'))),
            (before, false) => Some((1 + before, Ends::Json)),
        },
        _ => None,
    }
}

/// How long a value is. An escaped quote ends no string; what follows it is blanked too.
fn length_of(value: &[u8], ends: Ends) -> usize {
    let mut escaped = false;
    let length = value.iter().position(|byte| {
        let over = !escaped && ends.at(*byte);
        escaped = !escaped && *byte == b'\\';
        over
    });
    length.unwrap_or(value.len())
}

/// How far a JSON value is behind the quote that ends its name, and whether it is a string.
fn value_of(rest: &[u8]) -> Option<(usize, bool)> {
    let spaces = |from: usize| {
        let rest = rest.get(from..).unwrap_or_default();
        from + rest.iter().take_while(|byte| byte.is_ascii_whitespace()).count()
    };
    let colon = spaces(0);
    if rest.get(colon) != Some(&b':') {
        return None;
    }
    let value = spaces(colon + 1);
    match rest.get(value)? {
        b'"' => Some((value + 1, true)),
        b'{' | b'[' => None,
        _ => Some((value, false)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A text of one field after the other is gone through once: what is marked is no more than the
    /// text, and all of it.
    #[test]
    fn fields_within_fields_are_marked_once() {
        for (field, kept) in
            [("token=", 6), ("\"token\":x", 8), ("token='", 7), ("passwordtoken", usize::MAX)]
        {
            let text = field.repeat(20_000);
            let (mut total, mut first) = (0, usize::MAX);
            named(&text, &mut |from, to| {
                total += to - from;
                first = first.min(from);
            });
            assert!(total <= text.len(), "{field}: {total} of {}", text.len());
            assert_eq!(first, kept, "{field}");
        }
    }

    proptest::proptest! {
        /// The same is marked as by looking behind every name, one by one.
        #[test]
        fn every_value_is_marked(
            pieces in proptest::collection::vec(
                proptest::sample::select(vec![
                    "token", "Api_Key", "x", "=", "\"", "'", ":", "\\", "&", " ", ",", "}", "ü", "%",
                ]),
                0..24,
            ),
        ) {
            let text = pieces.concat();
            let marks = |found: &mut dyn FnMut(&mut dyn FnMut(usize, usize))| {
                let mut marked = vec![false; text.len()];
                found(&mut |from, to| marked[from..to].fill(true));
                marked
            };
            let once = marks(&mut |mark| named(&text, &mut |from, to| mark(from, to)));
            let each = marks(&mut |mark| {
                let lower = text.to_ascii_lowercase();
                let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.[]%".contains(&byte);
                for (at, _) in NAMES.iter().flat_map(|name| lower.match_indices(name)) {
                    let rest = &text.as_bytes()[at..];
                    let name = rest.iter().position(|it| !is_name(*it)).unwrap_or(rest.len());
                    if let Some((skipped, ends)) = value_behind(&rest[name..]) {
                        let from = at + name + skipped;
                        mark(from, from + length_of(&text.as_bytes()[from..], ends));
                    }
                }
            });
            proptest::prop_assert_eq!(once, each, "{}", text);
        }
    }
}
