//! What can go wrong in a measurement, named by the fault.

use std::io;

use crate::sip::digest::Denied;
use crate::sip::tls::TlsError;

/// Why a measurement could not be made (a bad result is a result, not an error).
#[derive(Debug, thiserror::Error)]
pub(crate) enum PerfError {
    /// The kernel refused something.
    #[error("{what}: {source}")]
    Io {
        /// What was being done.
        what: String,
        /// What the kernel said.
        source: io::Error,
    },
    /// A peer answered with something that makes the measurement meaningless.
    #[error("{0}")]
    Peer(String),
    /// Whom the calls are to wants to know who calls, and does not believe it.
    #[error("{whom}: {why}")]
    Denied {
        /// Whom they are to.
        whom: String,
        /// What became of its challenge.
        why: Denied,
    },
    /// No connection by TLS.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The arguments do not go together.
    #[error("{0}")]
    Usage(String),
    /// A result could not be written as JSON.
    #[error("result is not JSON: {0}")]
    Json(#[from] serde_json::Error),
}

impl PerfError {
    /// An I/O error with what was being done.
    pub(crate) fn io(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        move |source| Self::Io { what, source }
    }
}

impl From<io::Error> for PerfError {
    fn from(source: io::Error) -> Self {
        Self::Io { what: "i/o".into(), source }
    }
}

/// Result of a measurement's step.
pub(crate) type Result<T> = std::result::Result<T, PerfError>;
