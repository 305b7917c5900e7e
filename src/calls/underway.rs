//! A transfer that a call has under way.

use std::sync::Arc;

use adapters::agent::DialectSpec;
use adapters::event::CarrierCallId;
use media::wav::Clip;
use uuid::Uuid;

use super::call::Input;
use super::far::Dial;
use super::fetching::Fetching;
use super::sounds::Wanted;
use super::transfer::{Transfer, Whisper};
use crate::directory::Agent;
use crate::quota::Permit;
use crate::sip::core::endpoint::DialogId;
use crate::workers::command::AgentLine;

/// A transfer that a call has under way.
pub(super) struct Underway {
    /// Names it.
    pub(super) id: Uuid,
    /// How far it is.
    pub(super) transfer: Transfer,
    /// What is said to whoever answered, while it is loaded.
    pub(super) awaits: Option<Wanted>,
    /// What it is carried out with.
    pub(super) with: With,
}

/// What a transfer is carried out with.
#[derive(Default)]
pub(super) struct With {
    /// What is said to whoever answers.
    pub(super) whisper: Whisper,
    /// That, if it is a file that is fetched, once it has come.
    pub(super) message: Option<Arc<Clip>>,
    /// While that is fetched.
    pub(super) fetching: Option<Fetching>,
    /// Who is called once it has.
    pub(super) then: Option<Dial>,
    /// Three talk afterwards, and the agent among them is not heard.
    pub(super) listens: bool,
    /// The agent that the call is handed to, if it is one.
    pub(super) next: Option<Next>,
    /// The dialog of the telephone at the agent's end that asked for it by REFER, and is told how
    /// it goes.
    pub(super) referrer: Option<DialogId>,
    /// The places of the leg that it makes, while nothing else holds them: the leg is yet to be
    /// called, or a carrier calls it.
    pub(super) place: Option<Permit>,
    /// What the carrier was asked for, if it is the carrier that carries it out.
    pub(super) at_carrier: Option<Box<AtCarrier>>,
}

/// A transfer that a carrier carries out.
pub(super) struct AtCarrier {
    /// What is wanted of it.
    pub(super) wanted: adapters::op::Transfer,
    /// The leg that it calls apart, once it has told.
    pub(super) leg: Option<CarrierCallId>,
    /// It has been asked to join the caller with that leg.
    pub(super) joins: bool,
    /// What the agent did while the caller was away: it counts once the caller is back.
    pub(super) held_back: Option<Input>,
}

/// An agent that is to take the place of another.
pub(super) struct Next {
    /// Which.
    pub(super) agent: Arc<Agent>,
    /// What it is told besides.
    pub(super) variables: Vec<(String, String)>,
    /// Its place.
    pub(super) slot: Permit,
    /// Number of the attempt to dial it.
    pub(super) attempt: u64,
    /// The dialect in which it is awaited.
    pub(super) awaits: Option<&'static DialectSpec>,
    /// What it speaks on, once that is there.
    pub(super) line: Option<AgentLine>,
}
