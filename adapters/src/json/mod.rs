//! JSON messages that carry audio in base64: read where they lie, without a tree of values.

pub(crate) mod base64;
pub(crate) mod decode;
pub(crate) mod parts;
pub(crate) mod quick;
pub(crate) mod scan;

/// Puts `texts`, which were read out of `message`, at its beginning, so that they can be lent from
/// there. `None` if there is no room, as there always is for different strings of a JSON text: what
/// an escape stands for is never longer than the escape.
pub(crate) fn lend<'m, const N: usize>(
    message: &'m mut [u8],
    texts: [&str; N],
) -> Option<[&'m str; N]> {
    let mut at = 0;
    for text in texts {
        message.get_mut(at..at + text.len())?.copy_from_slice(text.as_bytes());
        at += text.len();
    }
    let message: &'m [u8] = message;
    let mut lent = [""; N];
    let mut at = 0;
    for (text, place) in texts.iter().zip(&mut lent) {
        *place = str::from_utf8(message.get(at..at + text.len())?).ok()?;
        at += text.len();
    }
    Some(lent)
}

/// Appends `text` to `out` as a JSON string (RFC 8259 7).
pub(crate) fn append_string(out: &mut Vec<u8>, text: &str) {
    // Strings always serialise, and a vector takes whatever is written.
    let written = serde_json::to_writer(&mut *out, text);
    debug_assert!(written.is_ok());
}

/// Appends the message `event` about the stream `id`, which stands in the field `stream`; a mark
/// has a name.
pub(crate) fn append_event(
    out: &mut Vec<u8>,
    event: &str,
    (stream, id): (&str, &str),
    mark: Option<&str>,
) {
    out.extend_from_slice(br#"{"event":""#);
    out.extend_from_slice(event.as_bytes());
    out.extend_from_slice(br#"",""#);
    out.extend_from_slice(stream.as_bytes());
    out.extend_from_slice(br#"":"#);
    append_string(out, id);
    if let Some(name) = mark {
        out.extend_from_slice(br#","mark":{"name":"#);
        append_string(out, name);
        out.push(b'}');
    }
    out.push(b'}');
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Texts are lent side by side, whole; what does not fit is not lent.
    #[test]
    fn texts_are_lent() {
        let mut message = *b"0123456789";
        assert_eq!(lend(&mut message, ["ab", "", "c\u{fc}"]), Some(["ab", "", "c\u{fc}"]));
        assert_eq!(lend(&mut message, ["0123456", "789a"]), None);
        let mut out = b"x".to_vec();
        append_string(&mut out, "a\"\n");
        assert_eq!(out, br#"x"a\"\n""#);
    }
}
