//! The Replaces header (RFC 3891): which dialog a new one takes the place of.

use std::fmt;

use thiserror::Error;

use super::lex;

/// Why a Replaces header cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ReplacesError {
    /// No Call-ID, or one with characters that none has.
    #[error("the Call-ID is malformed")]
    CallId,
    /// Not exactly one `to-tag` and one `from-tag`.
    #[error("the tags are missing, repeated or malformed")]
    Tags,
}

/// `call-id;to-tag=..;from-tag=..[;early-only]`, as its receiver reads it: `to_tag` is the
/// receiver's own tag (RFC 3891 3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Replaces<'a> {
    /// The Call-ID of the dialog to replace.
    pub call_id: &'a str,
    /// The tag of whoever receives the header.
    pub to_tag: &'a str,
    /// The tag of its peer; "0" if that has none (RFC 3891 6.1).
    pub from_tag: &'a str,
    /// Only a dialog that is not confirmed may be replaced.
    pub early_only: bool,
}

impl<'a> Replaces<'a> {
    /// Reads the value of the header.
    ///
    /// # Errors
    /// What is missing or malformed; parameters that are not known are ignored.
    pub fn parse(text: &'a str) -> Result<Self, ReplacesError> {
        let mut pieces = text.split(';').map(lex::trim);
        let call_id =
            pieces.next().filter(|id| lex::is_call_id(id)).ok_or(ReplacesError::CallId)?;
        let (mut to, mut from, mut early_only) = (None, None, false);
        for piece in pieces {
            let (name, value) = match piece.split_once('=') {
                Some((name, value)) => (lex::trim(name), lex::trim(value)),
                None => (piece, ""),
            };
            let tag = if name.eq_ignore_ascii_case("to-tag") {
                &mut to
            } else if name.eq_ignore_ascii_case("from-tag") {
                &mut from
            } else {
                early_only |= name.eq_ignore_ascii_case("early-only");
                continue;
            };
            if !lex::is_token(value) || tag.replace(value).is_some() {
                return Err(ReplacesError::Tags);
            }
        }
        match (to, from) {
            (Some(to_tag), Some(from_tag)) => Ok(Self { call_id, to_tag, from_tag, early_only }),
            _ => Err(ReplacesError::Tags),
        }
    }
}

impl fmt::Display for Replaces<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { call_id, to_tag, from_tag, early_only } = self;
        write!(f, "{call_id};to-tag={to_tag};from-tag={from_tag}")?;
        if *early_only { f.write_str(";early-only") } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests;
