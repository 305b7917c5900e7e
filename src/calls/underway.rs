//! A transfer that a call has under way.

use std::sync::Arc;

use adapters::agent::DialectSpec;
use uuid::Uuid;

use super::sounds::Wanted;
use super::transfer::{Transfer, Whisper};
use crate::directory::Agent;
use crate::quota::Permit;

/// A transfer that a call has under way.
pub(super) struct Underway {
    /// Names it.
    pub(super) id: Uuid,
    /// How far it is.
    pub(super) transfer: Transfer,
    /// What is said to whoever answers.
    pub(super) whisper: Whisper,
    /// That, while it is loaded.
    pub(super) awaits: Option<Wanted>,
    /// The agent that the call is handed to, if it is one.
    pub(super) next: Option<Next>,
}

/// An agent that is to take the place of another.
pub(super) struct Next {
    /// Which.
    pub(super) agent: Arc<Agent>,
    /// What it is told besides.
    pub(super) variables: Vec<(String, String)>,
    /// Its place.
    pub(super) slot: Permit,
    /// Number of the attempt to dial it.
    pub(super) attempt: u64,
    /// The dialect in which it is awaited.
    pub(super) awaits: Option<&'static DialectSpec>,
    /// Its socket, once it is there.
    pub(super) socket: Option<crate::agent::socket::AgentSocket>,
}
