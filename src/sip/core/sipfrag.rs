//! Pieces of SIP messages as a body (`message/sipfrag`, RFC 3420): how far a transfer is.

use super::lex;

/// The content type that we write (RFC 3515 2.4.5).
pub const SIPFRAG: &str = "message/sipfrag;version=2.0";

/// The status of the status line that a fragment begins with (RFC 3515 2.4.5); `None` if it begins
/// with anything else.
pub fn status(body: &[u8]) -> Option<u16> {
    let line = body.split(|byte| matches!(byte, b'\r' | b'\n')).next()?;
    let line = std::str::from_utf8(line).ok()?;
    let (version, rest) = lex::trim(line).split_once(' ')?;
    let status = lex::trim(rest).split(' ').next()?;
    if !version.eq_ignore_ascii_case("SIP/2.0") || status.len() != 3 {
        return None;
    }
    let status = lex::number(status, 699).ok().and_then(|status| u16::try_from(status).ok())?;
    (status >= 100).then_some(status)
}

/// A fragment of nothing but a status line.
pub fn line(status: u16, reason: &str) -> String {
    format!("SIP/2.0 {status} {reason}\r\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Statuses are read with and without reason, line end and further headers.
    #[test]
    fn reads_status_lines() {
        for (text, expected) in [
            (&b"SIP/2.0 100 Trying\r\n"[..], Some(100)),
            (b"SIP/2.0 200 OK", Some(200)),
            (b"sip/2.0  603\nTo: <sip:a@b>\r\n", Some(603)),
            (b"SIP/2.0 486 Busy Here\r\nFrom: x\r\n\r\n", Some(486)),
            (b"SIP/2.0 99 Low", None),
            (b"SIP/2.0 700 High", None),
            (b"SIP/2.0 0200 Long", None),
            (b"SIP/2.0 2x0 Odd", None),
            (b"SIP/2.0", None),
            (b"INVITE sip:a@b SIP/2.0", None),
            (b"\xff\xfe", None),
            (b"", None),
        ] {
            assert_eq!(status(text), expected, "{:?}", String::from_utf8_lossy(text));
        }
        assert_eq!(status(line(180, "Ringing").as_bytes()), Some(180));
    }
}
