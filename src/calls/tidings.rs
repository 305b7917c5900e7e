//! What carriers tell by sockets of events, on its way to the call control.

use std::sync::Arc;

use adapters::event::InboundCall;
use adapters::flow::{Alive, Routed};
use bytes::Bytes;
use tokio::sync::oneshot;

use crate::carrier;

/// What the socket of a carrier's events tells of a configuration.
#[derive(Debug)]
pub struct Tidings {
    /// The configuration.
    pub account: Arc<carrier::Account>,
    /// What it tells.
    pub what: TidingsKind,
}

/// What a socket of events may tell.
#[derive(Debug)]
pub enum TidingsKind {
    /// It is up: calls can be placed. True if it was lost before: something may not have been
    /// heard.
    Up(bool),
    /// It is down.
    Down,
    /// A call is offered; whether the log knows it.
    Offered(Box<InboundCall>, bool),
    /// A message about a call.
    Message(Routed, Bytes),
    /// Which calls live here is asked for.
    Alive(oneshot::Sender<Alive>),
}
