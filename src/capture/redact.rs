//! Takes the secrets out of SIP messages, byte for byte, so that lengths still hold.

/// What stands in the place of a secret.
const BLANK: u8 = b'x';
/// Headers whose credentials are secrets (RFC 3261 22).
const HEADERS: [&[u8]; 2] = [b"authorization", b"proxy-authorization"];

/// Blanks credentials, media keys (RFC 4568) and passwords in SIP URIs (RFC 3261 19.1.1) in
/// `message`.
pub(super) fn redact(message: &mut [u8]) {
    let mut secret = false;
    for line in message.split_inclusive_mut(|byte| *byte == b'\n') {
        let folded = line.first().is_some_and(|byte| matches!(byte, b' ' | b'\t'));
        if !folded {
            secret = false;
        }
        if let Some(colon) = line.iter().position(|byte| *byte == b':') {
            let name = line.get(..colon).unwrap_or_default().trim_ascii();
            if !folded && HEADERS.iter().any(|header| name.eq_ignore_ascii_case(header)) {
                secret = true;
                blank(line.get_mut(colon + 1..).unwrap_or_default());
                continue;
            }
        }
        if secret {
            blank(line);
        } else if line.get(..9).is_some_and(|start| start.eq_ignore_ascii_case(b"a=crypto:")) {
            let keys = b"inline:";
            let at = line.windows(keys.len()).position(|part| part.eq_ignore_ascii_case(keys));
            if let Some(at) = at {
                blank(line.get_mut(at + keys.len()..).unwrap_or_default());
            }
        } else if line.get(..2).is_some_and(|start| start == b"k=") {
            blank(line.get_mut(2..).unwrap_or_default());
        } else {
            blank_passwords(line);
        }
    }
}

/// Blanks the passwords of SIP URIs in a line.
fn blank_passwords(line: &mut [u8]) {
    let mut rest = line;
    while let Some(at) = rest.windows(4).position(is_scheme) {
        let uri = std::mem::take(&mut rest).get_mut(at + 4..).unwrap_or_default();
        // `sips:`, of which only the end was looked for, or the port of a host, ends no user.
        let end = uri.iter().position(|byte| b" \t\r\n<>\"@".contains(byte));
        let (user, behind) = uri.split_at_mut(end.unwrap_or(uri.len()));
        if behind.first() == Some(&b'@')
            && let Some(colon) = user.iter().position(|byte| *byte == b':')
        {
            blank(user.get_mut(colon + 1..).unwrap_or_default());
        }
        rest = behind;
    }
}

/// True for what a SIP URI begins with: `sip:`, or the last four of `sips:`.
fn is_scheme(bytes: &[u8]) -> bool {
    bytes.eq_ignore_ascii_case(b"sip:") || bytes.eq_ignore_ascii_case(b"ips:")
}

/// Blanks all that is no white space.
fn blank(bytes: &mut [u8]) {
    for byte in bytes.iter_mut().filter(|byte| !byte.is_ascii_whitespace()) {
        *byte = BLANK;
    }
}
