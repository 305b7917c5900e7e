//! The list of parameters after the scheme (RFC 3261 25.1: `digest-cln`, `dig-resp`).

use super::AuthError;
use crate::sip::core::lex;

/// Most text of a challenge or credentials, in bytes.
pub(super) const TEXT_MAX_BYTES: usize = 4096;

/// Reads `Digest name=value, …` and hands each parameter to `take`: its name, and its value as it
/// stands between its quotes (RFC 7616 3.4.1: `unq` takes off the quotes and nothing else).
pub(super) fn each<'a>(
    text: &'a str,
    mut take: impl FnMut(&'a str, &'a str) -> Result<(), AuthError>,
) -> Result<(), AuthError> {
    if text.len() > TEXT_MAX_BYTES {
        return Err(AuthError::TooLong);
    }
    let text = lex::trim(text);
    let end = text.find([' ', '\t']).unwrap_or(text.len());
    let (scheme, mut rest) = text.split_at_checked(end).ok_or(AuthError::Scheme)?;
    if !scheme.eq_ignore_ascii_case("Digest") {
        return Err(AuthError::Scheme);
    }
    loop {
        rest = rest.trim_start_matches([' ', '\t', ',']);
        if rest.is_empty() {
            return Ok(());
        }
        let (name, after) = rest.split_once('=').ok_or(AuthError::Syntax)?;
        let (name, after) = (lex::trim(name), lex::trim(after));
        if !lex::is_token(name) {
            return Err(AuthError::Syntax);
        }
        let (value, tail) = if after.starts_with('"') {
            lex::quoted(after).map_err(|_| AuthError::Syntax)?
        } else {
            let end = after.find(',').unwrap_or(after.len());
            let (value, tail) = after.split_at_checked(end).ok_or(AuthError::Syntax)?;
            let value = lex::trim(value);
            // Looser than a token, because nonces stand there; but what is written between quotes
            // later must not end them.
            if value.bytes().any(|byte| matches!(byte, 0..=b' ' | b'"' | b'\\' | 0x7f)) {
                return Err(AuthError::Syntax);
            }
            (value, tail)
        };
        let tail = lex::trim(tail);
        if !tail.is_empty() && !tail.starts_with(',') {
            return Err(AuthError::Syntax);
        }
        take(name, value)?;
        rest = tail;
    }
}

/// Puts a value into its place, once.
pub(super) fn put<'a>(place: &mut Option<&'a str>, value: &'a str) -> Result<(), AuthError> {
    match place.replace(value) {
        None => Ok(()),
        Some(_) => Err(AuthError::Repeated),
    }
}
