//! How an agent is reached, as the control plane hands it over.

use super::mux::LinkId;
use crate::agent::socket::AgentSocket;

/// What an agent speaks on.
#[derive(Debug)]
pub enum AgentLine {
    /// A socket of its own, its handshake done.
    Own(AgentSocket),
    /// A stream, of the number that its `start` tells, on a link.
    Shared(LinkId),
}
