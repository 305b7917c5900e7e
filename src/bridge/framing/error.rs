//! What can be wrong with a frame, and the close codes that say so.

use thiserror::Error;

/// The purpose of the connection is fulfilled (RFC 6455 7.4.1).
pub const CLOSE_NORMAL: u16 = 1000;
/// An end point goes away, such as a server that drains (RFC 6455 7.4.1).
pub const CLOSE_GOING_AWAY: u16 = 1001;
/// The connection ended without a close frame; never on the wire (RFC 6455 7.4.1).
pub const CLOSE_ABNORMAL: u16 = 1006;

const PROTOCOL_ERROR: u16 = 1002;
const NOT_UTF8: u16 = 1007;
const TOO_BIG: u16 = 1009;

/// Why a peer's frames were refused. The connection cannot go on after any of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum FrameError {
    /// RSV1, RSV2 or RSV3 is set and no extension was agreed on (RFC 6455 5.2).
    #[error("reserved bit set")]
    ReservedBits,
    /// An opcode without a meaning (RFC 6455 5.2).
    #[error("reserved opcode {0:#x}")]
    ReservedOpcode(u8),
    /// A client must mask its frames (RFC 6455 5.1).
    #[error("client frame is not masked")]
    NotMasked,
    /// A server must not mask its frames (RFC 6455 5.1).
    #[error("server frame is masked")]
    Masked,
    /// A control frame with more than 125 bytes (RFC 6455 5.5).
    #[error("control frame too long")]
    ControlTooLong,
    /// A control frame without the FIN bit (RFC 6455 5.5).
    #[error("control frame in fragments")]
    ControlFragmented,
    /// A length not in its shortest form, or with its highest bit set (RFC 6455 5.2).
    #[error("length in a wrong form")]
    LengthForm,
    /// A continuation frame without a message to continue (RFC 6455 5.4).
    #[error("nothing to continue")]
    NothingToContinue,
    /// A new message before the last one's final fragment (RFC 6455 5.4).
    #[error("message interrupted by another")]
    Interrupted,
    /// A close frame's body of one byte (RFC 6455 5.5.1).
    #[error("close frame with half a code")]
    CloseForm,
    /// A close code that may not be on the wire (RFC 6455 7.4).
    #[error("close code {0}")]
    CloseCode(u16),
    /// A close frame's reason is not UTF-8 (RFC 6455 5.5.1).
    #[error("close reason is not UTF-8")]
    CloseReasonNotUtf8,
    /// A text message is not UTF-8 (RFC 6455 8.1).
    #[error("text is not UTF-8")]
    TextNotUtf8,
    /// A message is longer than the connection's limit.
    #[error("message longer than {limit_bytes} bytes")]
    TooBig {
        /// The limit.
        limit_bytes: usize,
    },
}

impl FrameError {
    /// The code to close the connection with (RFC 6455 7.4.1).
    pub const fn close_code(self) -> u16 {
        match self {
            Self::CloseReasonNotUtf8 | Self::TextNotUtf8 => NOT_UTF8,
            Self::TooBig { .. } => TOO_BIG,
            _ => PROTOCOL_ERROR,
        }
    }
}

/// True if `code` may stand in a close frame: those that RFC 6455 7.4.1 and IANA's registry
/// define for the wire, and the ranges for libraries (3000-3999) and applications (4000-4999).
pub const fn is_close_code(code: u16) -> bool {
    matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999)
}
