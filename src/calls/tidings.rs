//! What carriers tell the call control: by webhooks, by sockets of events, and as answers to what
//! they were asked for.

use std::sync::Arc;

use adapters::event::{CarrierCallId, InboundCall, Meaning};
use adapters::flow::{Alive, Routed};
use adapters::op::Managed;
use bytes::Bytes;
use tokio::sync::oneshot;
use uuid::Uuid;

use crate::carrier::{self, Failure};
use crate::workers::command::CallKey;

/// A request of a carrier that was proven and understood.
#[derive(Debug)]
pub struct Hooked {
    /// The configuration that it came to.
    pub account: Arc<carrier::Account>,
    /// The call of ours that its address names.
    pub call: Option<Uuid>,
    /// What it is about.
    pub meaning: Meaning,
    /// The call that it offers, if it does, is one that the log knows already.
    pub is_known: bool,
}

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
    /// It is up: calls can be placed.
    Up {
        /// It was lost before: something may not have been heard.
        again: bool,
        /// Values of managed fields that were found out.
        found: Managed,
    },
    /// It is down.
    Down,
    /// A call is offered; whether the log knows it.
    Offered(Box<InboundCall>, bool),
    /// A message about a call.
    Message(Routed, Bytes),
    /// Which calls live here is asked for.
    Alive(oneshot::Sender<Alive>),
}

/// What a carrier hears of its request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// It was acted upon.
    Noted,
    /// It is about no call that lives.
    Late,
    /// The call is taken.
    Take {
        /// Our id of it.
        call: Uuid,
        /// Where its audio goes.
        stream_url: String,
    },
    /// The offered call is not taken.
    Refuse(adapters::op::Refusal),
}

/// A carrier was asked to hand a call over.
#[derive(Debug)]
pub struct HandedOver {
    /// The call.
    pub call: CallKey,
    /// The transfer; nil for what is of none.
    pub transfer: Uuid,
    /// The configuration.
    pub account: Arc<carrier::Account>,
    /// What was asked for, and what came of it.
    pub step: HandingStep,
}

/// What a carrier is asked for to hand a call over.
#[derive(Debug)]
pub enum HandingStep {
    /// To begin: the leg that it calls apart, if it does.
    Begin(Result<Option<CarrierCallId>, Failure>),
    /// To join caller and destination.
    Join(Result<(), Failure>),
    /// To send a caller to us again who was joined with nobody.
    Back(Result<(), Failure>),
}
