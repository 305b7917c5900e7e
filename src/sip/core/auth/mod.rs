//! Digest authentication (RFC 7616 as SIP uses it: RFC 3261 22, RFC 8760), without I/O.
//!
//! - [`Algorithm`], [`Input`]: what is hashed and how;
//! - [`Challenge`], [`Credentials`]: what stands in WWW-Authenticate and Authorization;
//! - [`Server`]: challenges without keeping anything, judges what comes back, slows down who
//!   guesses;
//! - [`Account`], [`DigestClient`]: answers the challenges of others.

mod account;
mod algorithm;
mod challenge;
mod client;
mod credentials;
mod digest;
#[doc(hidden)]
pub mod fuzz;
mod nonce;
mod params;
mod server;
#[cfg(test)]
mod tests;
mod throttle;

pub use account::Account;
pub use algorithm::Algorithm;
pub use challenge::{Challenge, Qop};
pub use client::{AuthFailure, DigestClient};
pub use credentials::Credentials;
pub use digest::Input;
pub use nonce::NONCE_LIFETIME;
pub use server::{Server, ServerConfig, Verdict};
pub use throttle::{ADDRESSES_MAX, FAILURES_FREE, QUIET, SLOWEST, Throttle};

use thiserror::Error;

/// Why a challenge or credentials cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum AuthError {
    /// The scheme is not Digest.
    #[error("the authentication scheme is not Digest")]
    Scheme,
    /// The list of parameters does not follow the grammar.
    #[error("malformed authentication parameters")]
    Syntax,
    /// A parameter stands twice: it would be read differently by others.
    #[error("an authentication parameter is repeated")]
    Repeated,
    /// A parameter that is needed is missing.
    #[error("an authentication parameter is missing")]
    Missing,
    /// An algorithm that is not known here.
    #[error("unknown digest algorithm")]
    Algorithm,
    /// No quality of protection that is known here.
    #[error("unknown quality of protection")]
    Qop,
    /// The nonce count is not eight hexadecimal digits.
    #[error("malformed nonce count")]
    NonceCount,
    /// Longer than anybody needs.
    #[error("authentication parameters are too long")]
    TooLong,
}
