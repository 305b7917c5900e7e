//! The sockets of SIP: UDP and TCP (RFC 3261 18). What they carry is decided in [`super::core`].

pub mod tcp;
pub mod udp;
