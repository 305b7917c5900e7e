//! Trunks as calls know them.

use std::ops::Deref;

use uuid::Uuid;

use crate::config::TrunkConfig;
use crate::quota::Limits;

/// A trunk, from the file or from a stored configuration. A call keeps the one that it began with,
/// whatever becomes of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Trunk {
    /// Its id; that of the configuration if it is what that itself describes.
    pub id: Uuid,
    /// What its numbers and routes belong to: its configuration, or itself.
    pub line: Uuid,
    /// Whose it is.
    pub organisation: Uuid,
    /// What tells it apart in metrics: the name of one from the file, the id of one that is stored,
    /// as names of organisations may be alike.
    pub label: String,
    /// How many calls it has.
    pub limits: Limits,
    /// Whether the file names it; else it is stored.
    pub is_of_file: bool,
    /// What it is.
    pub config: TrunkConfig,
}

impl Trunk {
    /// Whether it is one of several that a configuration may have, beside that itself.
    pub fn is_within(&self) -> bool {
        self.line != self.id
    }
}

impl Deref for Trunk {
    type Target = TrunkConfig;

    fn deref(&self) -> &TrunkConfig {
        &self.config
    }
}
