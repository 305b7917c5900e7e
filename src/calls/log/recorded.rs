//! A recording that this server makes, as the facts of its call tell of it.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// A recording. Each fact about it has all of this, so that any one of them is enough to know it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recorded {
    /// Names it.
    pub id: Uuid,
    /// Channels of the file: 1 is the peer alone, 2 are the peer and what it hears.
    pub channels: u16,
    /// Samples a second, of each channel.
    pub rate_hz: u32,
    /// Bytes of the file, once it is complete.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub size_bytes: Option<u64>,
    /// How long it is, in milliseconds, once it is complete.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub duration_ms: Option<u64>,
    /// The file. Nobody outside is told where it lies: it is kept with the recording, and not with
    /// the fact.
    #[serde(skip)]
    pub path: PathBuf,
}
