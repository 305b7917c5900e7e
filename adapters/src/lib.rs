//! The carriers Talkpath speaks to, as data and pure functions: bytes in, bytes and events out.

pub mod address;
pub mod agent;
pub mod audiosocket;
pub mod chain;
pub mod config;
pub mod dialect;
#[cfg(feature = "emulate")]
pub mod emulate;
pub mod event;
pub mod exchange;
pub mod explain;
pub mod flow;
pub(crate) mod form_hooks;
#[doc(hidden)]
pub mod fuzz;
pub mod hook;
pub(crate) mod json;
pub mod jwt;
pub mod markup;
pub mod media_socket;
pub(crate) mod media_streams;
pub mod network;
pub mod op;
pub mod pairs;
pub mod phone;
pub(crate) mod play_audio;
pub mod reverse;
pub mod secret;
pub mod setup;
pub(crate) mod signed_form;
pub mod sip;
pub mod spec;
pub(crate) mod stash;
pub(crate) mod steps;
pub mod stream;
pub mod table;
pub mod timestamp;
pub mod ui;
mod veil;
pub mod wire;
