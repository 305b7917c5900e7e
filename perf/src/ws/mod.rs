//! WebSockets (RFC 6455), as much as a load partner needs, written independently of the server's.

pub(crate) mod frame;
pub(crate) mod handshake;

/// Subprotocol of the agent stream.
pub(crate) const SUBPROTOCOL: &str = "talkpath.v1";

/// The same of many calls on one socket.
pub(crate) const MUX_SUBPROTOCOL: &str = "talkpath.v1.mux";
