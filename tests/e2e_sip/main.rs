//! Calls by SIP, end to end: codecs, transports, encryption, registrations, trunks, identities.

#[path = "../support/mod.rs"]
mod support;

mod agent;
mod codecs;
mod forking;
mod identity;
mod refer;
mod registering;
mod srtp;
mod transports;
mod trunks;
mod websocket_out;
