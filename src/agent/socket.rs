//! An agent's WebSocket after its handshake, ready to be handed to a worker.

use std::net::TcpStream;

/// The connection beneath a WebSocket whose handshake is done: no task owns it any more.
pub struct AgentSocket {
    /// The connected socket, non-blocking.
    pub stream: TcpStream,
    /// TLS state, if the connection is encrypted.
    pub tls: Option<Box<rustls::Connection>>,
    /// Bytes that arrived behind the handshake, decrypted.
    pub unread: Vec<u8>,
    /// Which side of the WebSocket we are.
    pub role: Role,
}

/// Which side of a WebSocket we are (RFC 6455 1.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// We dialled: our frames are masked.
    Client,
    /// The agent attached: its frames are masked.
    Server,
}

impl std::fmt::Debug for AgentSocket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AgentSocket")
            .field("stream", &self.stream)
            .field("tls", &self.tls.is_some())
            .field("role", &self.role)
            .finish_non_exhaustive()
    }
}
