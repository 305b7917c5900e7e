//! What a living call can be told to do.

use std::sync::Arc;

use media::wav::Clip;
use uuid::Uuid;

/// What a living call is to do.
#[derive(Clone, Debug)]
pub enum Order {
    /// Hand the peer to somebody else.
    Transfer {
        /// The word for a kind of transfer, or "cancel".
        kind: String,
        /// Number, SIP URI or name of an agent; not needed if attended.
        destination: String,
        /// Further wishes by name.
        options: std::collections::BTreeMap<String, String>,
        /// Header fields to add to the request that asks for it.
        headers: std::collections::BTreeMap<String, String>,
        /// What is said to whoever answers, if it has been fetched.
        message: Option<Arc<Clip>>,
    },
    /// Send digits to the peer; they have been checked.
    Dtmf {
        /// `0-9`, `A-D`, `*`, `#`.
        digits: String,
        /// Length of each in milliseconds.
        duration_ms: u32,
        /// Pause between them in milliseconds.
        gap_ms: u32,
    },
    /// Whether the peer hears the agent.
    Mute(bool),
    /// Drop what the agent has queued.
    Clear,
    /// Whether the peer is on hold.
    Hold(bool),
    /// Bring a call that is put aside to somebody.
    Unpark(Unpark),
    /// Let the PBX that owns the call change these fields of its customer's record.
    Update(Vec<(String, String)>),
}

/// Whom a call that is put aside is brought to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unpark {
    /// The agent that had it.
    Back,
    /// Another agent, by its name.
    Agent(String),
    /// Somebody who is called, through this trunk if one is named.
    Destination {
        /// Number, user or SIP URI.
        to: String,
        /// Name of the trunk.
        trunk: Option<String>,
    },
    /// The peer of another call, which is asked to take our place.
    Call(Uuid),
}
