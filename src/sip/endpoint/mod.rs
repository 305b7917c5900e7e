//! The sockets of SIP (RFC 3261 18): UDP, TCP, TLS and WebSockets. What they carry is decided in
//! [`super::core`].

pub mod accept;
pub mod connection;
pub mod dial;
mod hurry;
pub mod resolver;
pub mod sockets;
pub mod streams;
pub mod udp;
pub mod websocket;
