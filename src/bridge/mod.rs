//! WebSocket legs, run by the workers.

pub mod framing;
pub mod handshake;
pub mod mask;
