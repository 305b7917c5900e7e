//! Carriers that control calls by webhooks, or on media sockets alone, and send their audio over
//! WebSockets, as much of them as a load partner needs: written from what they document,
//! independently of the server.

#[cfg(feature = "carriers")]
mod account;
#[cfg(feature = "carriers")]
mod api;
#[cfg(feature = "carriers")]
mod aside;
pub(crate) mod carrier;
#[cfg(feature = "carriers")]
pub(crate) mod emulated;
#[cfg(not(feature = "carriers"))]
#[path = "absent.rs"]
pub(crate) mod emulated;
pub(crate) mod http;
pub(crate) mod key;
pub(crate) mod rest;
pub(crate) mod sign;
pub(crate) mod talk;
