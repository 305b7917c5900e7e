//! Agents as calls know them.

use std::ops::Deref;

use uuid::Uuid;

use crate::config::AgentConfig;
use crate::quota::Limits;

/// An agent. A call keeps the one that it began with, whatever becomes of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Agent {
    /// Its id.
    pub id: Uuid,
    /// Whose it is.
    pub organisation: Uuid,
    /// Whether the file names it; else it is stored.
    pub is_of_file: bool,
    /// How many calls it takes.
    pub limits: Limits,
    /// What it is.
    pub config: AgentConfig,
}

impl Deref for Agent {
    type Target = AgentConfig;

    fn deref(&self) -> &AgentConfig {
        &self.config
    }
}
