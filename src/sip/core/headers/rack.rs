//! RAck and RSeq (RFC 3262 section 7).

use super::super::lex::{self, Syntax};
use super::CSeq;

/// The largest number in RSeq: below 2^32 (RFC 3262 section 7.1).
const NUMBER_MAX: u64 = (1 << 32) - 1;

/// The value of RAck: which reliable response is acknowledged.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RAck {
    /// RSeq of the response.
    pub rseq: u32,
    /// CSeq of the response.
    pub cseq: CSeq,
}

impl RAck {
    /// Reads a value such as `776656 1 INVITE`.
    ///
    /// # Errors
    /// [`Syntax::Number`] for a missing or too large number, [`Syntax::Token`] when the method is
    /// no token.
    pub fn parse(text: &str) -> Result<Self, Syntax> {
        let (rseq, cseq) = text.split_once([' ', '\t']).ok_or(Syntax::Number)?;
        Ok(Self { rseq: rseq_number(rseq)?, cseq: CSeq::parse(lex::trim(cseq))? })
    }
}

/// The number of RSeq.
///
/// # Errors
/// [`Syntax::Number`] when it is none, or too large.
pub fn rseq_number(text: &str) -> Result<u32, Syntax> {
    u32::try_from(lex::number(lex::trim(text), NUMBER_MAX)?).map_err(|_| Syntax::Number)
}

#[cfg(test)]
mod tests {
    use super::super::super::method::Method;
    use super::*;

    /// The RFC's example, blanks, bounds, and what is no RAck.
    #[test]
    fn rack_values() {
        let rack = RAck::parse("776656 1 INVITE").unwrap();
        assert_eq!((rack.rseq, rack.cseq.number, rack.cseq.method), (776_656, 1, Method::Invite));
        assert_eq!(RAck::parse("1\t 2  INVITE").unwrap().cseq.number, 2);
        assert_eq!(RAck::parse("4294967295 1 INVITE").unwrap().rseq, u32::MAX);
        for bad in ["", "1", "1 2", "x 1 INVITE", "4294967296 1 INVITE", "1 -1 INVITE", "1 2 a b"] {
            assert!(RAck::parse(bad).is_err(), "{bad}");
        }
        assert_eq!(rseq_number(" 7 "), Ok(7));
        assert!(rseq_number("").is_err());
    }
}
