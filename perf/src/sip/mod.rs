//! A caller's side of SIP (RFC 3261), as much as a load generator needs, written independently
//! of the server's.

pub(crate) mod access;
pub(crate) mod digest;
pub(crate) mod link;
pub(crate) mod signalling;
pub(crate) mod text;
pub(crate) mod tls;
pub(crate) mod uac;
