//! CSeq (RFC 3261 section 20.16).

use super::super::lex::{self, Syntax};
use super::super::method::Method;

/// The largest sequence number: below 2^31 (RFC 3261 section 8.1.1.5).
const NUMBER_MAX: u64 = (1 << 31) - 1;

/// The value of CSeq.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct CSeq {
    /// The sequence number, below 2^31.
    pub number: u32,
    /// The method of the request.
    pub method: Method,
}

impl CSeq {
    /// Reads a value such as `314159 INVITE`.
    ///
    /// # Errors
    /// [`Syntax::Number`] when the number is missing or 2^31 and above, [`Syntax::Token`] when the
    /// method is no token.
    pub fn parse(text: &str) -> Result<Self, Syntax> {
        let (number, method) = Self::split(text)?;
        Ok(Self { number, method: Method::from_token(method) })
    }

    /// Number and text of the method, without making a [`Method`].
    pub(crate) fn split(text: &str) -> Result<(u32, &str), Syntax> {
        let (number, method) = text.split_once([' ', '\t']).ok_or(Syntax::Number)?;
        let number = lex::number(number, NUMBER_MAX)?;
        let method = lex::trim(method);
        if !lex::is_token(method) {
            return Err(Syntax::Token);
        }
        Ok((u32::try_from(number).map_err(|_| Syntax::Number)?, method))
    }
}
