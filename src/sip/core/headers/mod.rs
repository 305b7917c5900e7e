//! Header fields: their names and typed views of the values that calls depend on.

mod cseq;
mod name;
mod name_addr;
mod params;
mod rack;
#[cfg(test)]
mod tests;
mod via;

pub use cseq::CSeq;
pub use name::HeaderName;
pub(crate) use name::{UNKNOWN, number_of};
pub use name_addr::NameAddr;
pub use params::{ParamIter, Params};
pub use rack::{RAck, rseq_number};
pub use via::{BRANCH_COOKIE, Via};

use thiserror::Error;

use super::lex::Syntax;

/// Why a header field of a message cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum HeaderError {
    /// The message has no such field.
    #[error("{0} is missing")]
    Missing(HeaderName),
    /// A field that may stand once stands more than once.
    #[error("{0} is repeated")]
    Repeated(HeaderName),
    /// The value does not follow the grammar of the field.
    #[error("{name} is malformed")]
    Malformed {
        /// The field.
        name: HeaderName,
        /// What is wrong with its value.
        #[source]
        cause: Syntax,
    },
}

impl HeaderError {
    /// The field that the error is about.
    pub const fn name(&self) -> HeaderName {
        match self {
            Self::Missing(name) | Self::Repeated(name) | Self::Malformed { name, .. } => *name,
        }
    }
}
