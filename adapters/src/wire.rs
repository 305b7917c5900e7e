//! What can be wrong with a media or control message.

use thiserror::Error;

/// Why a message of an agent or a carrier was refused.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum WireError {
    /// A text message is not a JSON object.
    #[error("not a JSON object: {0}")]
    BadJson(String),
    /// A field is missing or of the wrong type or value.
    #[error("field {field}: {problem}")]
    BadField {
        /// Path of the field.
        field: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// A binary message is not a frame.
    #[error("not an audio frame: {0}")]
    BadFrame(&'static str),
    /// A codec or rate that does not exist here.
    #[error("unknown codec or rate: {0}")]
    UnknownCodec(String),
}

impl WireError {
    /// The stable word told to the peer.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::BadJson(_) => "bad_json",
            Self::BadField { .. } => "bad_field",
            Self::BadFrame(_) => "bad_frame",
            Self::UnknownCodec(_) => "unknown_codec",
        }
    }
}
