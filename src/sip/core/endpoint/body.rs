//! The session description in the body of a message.

use crate::sip::core::headers::HeaderName;
use crate::sip::core::message::Message;
use crate::sip::core::sdp::Sdp;

/// The content type of session descriptions.
pub(super) const APPLICATION_SDP: &str = "application/sdp";
/// Most parts of a multipart body that are looked at.
const PARTS_MAX: usize = 8;

/// Why a body cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BodyError {
    /// Not a type that is understood, and not optional: 415.
    Unsupported,
    /// A coding that is not understood: 415.
    Encoding,
    /// A session description that cannot be read: 400.
    Malformed,
}

/// The session description of a message, alone or as a part of `multipart/*` (RFC 5621 3.1).
pub(super) fn sdp_of(message: &Message) -> Result<Option<Sdp>, BodyError> {
    let body = message.body();
    if body.is_empty() {
        return Ok(None);
    }
    if let Some(coding) = message.header(HeaderName::ContentEncoding)
        && !coding.eq_ignore_ascii_case("identity")
    {
        return Err(BodyError::Encoding);
    }
    let kind = message.header(HeaderName::ContentType).unwrap_or_default();
    if is_type(kind, APPLICATION_SDP) || (kind.is_empty() && body.starts_with(b"v=0")) {
        return Sdp::parse(body).map(Some).map_err(|_| BodyError::Malformed);
    }
    if let Some(boundary) = boundary_of(kind)
        && let Some(part) = parts(body, boundary).find_map(sdp_part)
    {
        return Sdp::parse(part).map(Some).map_err(|_| BodyError::Malformed);
    }
    let disposition = message.header(HeaderName::ContentDisposition).unwrap_or_default();
    if disposition.to_ascii_lowercase().contains("handling=optional") {
        return Ok(None);
    }
    Err(BodyError::Unsupported)
}

fn is_type(text: &str, expected: &str) -> bool {
    text.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case(expected))
}

/// The boundary of a `multipart/*` type (RFC 2046 5.1).
fn boundary_of(kind: &str) -> Option<&str> {
    let (kind, params) = kind.split_once(';')?;
    if !kind.trim().get(..10)?.eq_ignore_ascii_case("multipart/") {
        return None;
    }
    params.split(';').find_map(|param| {
        let (name, value) = param.split_once('=')?;
        let value = value.trim().trim_matches('"');
        let named = name.trim().eq_ignore_ascii_case("boundary") && !value.is_empty();
        named.then_some(value)
    })
}

/// The parts between the boundary lines, headers included.
fn parts<'a>(body: &'a [u8], boundary: &str) -> impl Iterator<Item = &'a [u8]> {
    let delimiter = format!("--{boundary}").into_bytes();
    let mut rest = body;
    let mut after_first = false;
    std::iter::from_fn(move || {
        loop {
            let at = rest.windows(delimiter.len()).position(|w| w == delimiter)?;
            let (part, tail) = rest.split_at_checked(at)?;
            rest = tail.get(delimiter.len()..)?;
            if std::mem::replace(&mut after_first, true) {
                return Some(part);
            }
        }
    })
    .take(PARTS_MAX)
}

/// The content of a part, if it is a session description.
fn sdp_part(part: &[u8]) -> Option<&[u8]> {
    let part = part.strip_prefix(b"\r\n").or_else(|| part.strip_prefix(b"\n"))?;
    let (head_end, content) = [&b"\r\n\r\n"[..], b"\n\n"].into_iter().find_map(|end| {
        let at = part.windows(end.len()).position(|w| w == end)?;
        Some((at, at + end.len()))
    })?;
    let head = String::from_utf8_lossy(part.get(..head_end)?);
    let described = head.lines().any(|line| {
        line.split_once(':').is_some_and(|(name, value)| {
            let name = name.trim();
            (name.eq_ignore_ascii_case("Content-Type") || name.eq_ignore_ascii_case("c"))
                && is_type(value, APPLICATION_SDP)
        })
    });
    if described { part.get(content..) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    fn message(headers: &str, body: &str) -> Message {
        let text = format!(
            "INVITE sip:a@b SIP/2.0\r\n{headers}Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        Message::parse(Bytes::from(text)).unwrap()
    }

    const SDP: &str = "v=0\r\no=- 1 1 IN IP4 1.2.3.4\r\ns=-\r\nt=0 0\r\n";

    /// A description is found alone, without a type, and among other parts.
    #[test]
    fn finds_the_description() {
        let multi = format!(
            "preamble\r\n--x y\r\nContent-Type: application/isup\r\n\r\n\x01\x02\r\n--x y\r\n\
             c: Application/SDP;charset=utf-8\r\nContent-Disposition: session\r\n\r\n{SDP}\r\n\
             --x y--\r\n"
        );
        for (headers, body) in [
            ("Content-Type: application/sdp\r\n", SDP),
            ("c: APPLICATION/SDP ; x=y\r\n", SDP),
            ("", SDP),
            ("Content-Type: multipart/mixed;boundary=\"x y\"\r\n", multi.as_str()),
            ("Content-Type: Multipart/Alternative; a=b; Boundary=\"x y\"\r\n", multi.as_str()),
        ] {
            let sdp = sdp_of(&message(headers, body)).unwrap();
            assert_eq!(sdp.map(|s| s.origin.session_id), Some("1".into()), "{headers}");
        }
    }

    /// What is absent, optional, of another type, coded, or malformed.
    #[test]
    fn judges_other_bodies() {
        for (headers, body, expected) in [
            ("", "", Ok(None)),
            ("Content-Type: text/plain\r\n", "x", Err(BodyError::Unsupported)),
            (
                "Content-Type: text/plain\r\nContent-Disposition: render;Handling=Optional\r\n",
                "x",
                Ok(None),
            ),
            ("Content-Type: application/sdp\r\n", "x", Err(BodyError::Malformed)),
            (
                "Content-Type: application/sdp\r\nContent-Encoding: gzip\r\n",
                "x",
                Err(BodyError::Encoding),
            ),
            (
                "Content-Type: multipart/mixed;boundary=q\r\n",
                "--q\r\n--q\r\nx--q--",
                Err(BodyError::Unsupported),
            ),
            ("Content-Type: multipart/mixed\r\n", "--q", Err(BodyError::Unsupported)),
            ("Content-Type: multi\u{fc}\r\n", "--q", Err(BodyError::Unsupported)),
        ] {
            assert_eq!(sdp_of(&message(headers, body)), expected, "{headers}");
        }
    }
}
