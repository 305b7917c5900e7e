//! What listeners of every protocol share: certificates, and how many connections one source has.

pub mod alpn;
pub mod audiosocket;
pub mod bound;
pub mod sources;
pub mod tls;
