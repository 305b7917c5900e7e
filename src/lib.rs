//! The Talkpath server: everything that does I/O.

pub mod acme;
pub mod agent;
pub mod app;
pub mod bridge;
pub mod callers;
pub mod calls;
pub mod capture;
pub mod carrier;
pub mod check;
pub mod cli;
pub mod commands;
pub mod config;
pub mod directory;
#[cfg(feature = "emulate")]
pub mod emulate;
pub mod fetch;
pub mod http;
pub mod keys;
pub mod listen;
pub mod node;
pub mod orders;
pub mod outbox;
pub mod outward;
pub mod quota;
pub mod recording;
pub mod retention;
pub mod routing;
pub mod seal;
pub mod shares;
pub mod sip;
pub mod spending;
pub mod store;
pub mod telemetry;
mod ui;
pub mod workers;
