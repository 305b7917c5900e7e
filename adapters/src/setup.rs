//! What is still to be done before calls flow.

use serde::Serialize;

use crate::config::RawConfig;

/// What is known about a configuration besides its fields.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SetupState {
    /// Active numbers of the configuration.
    pub numbers: u32,
    /// Active numbers whose calls go to an agent.
    pub routed_numbers: u32,
    /// Trunks in service.
    pub trunks: u32,
}

/// One step of setting a configuration up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct SetupStep {
    /// Stable word for it.
    pub key: &'static str,
    /// What is to be done.
    pub title: &'static str,
    /// How, and what for.
    pub help: &'static str,
    /// True if it is done.
    pub done: bool,
    /// True if no call can be placed until it is done.
    pub blocks_outbound: bool,
}

impl SetupStep {
    /// A number to call from is there.
    pub const fn caller_id(state: &SetupState) -> Self {
        Self {
            key: "caller_id",
            title: "Add a phone number",
            help: "Calls are placed from an active number of this configuration.",
            done: state.numbers > 0,
            blocks_outbound: true,
        }
    }

    /// A trunk is in service.
    pub const fn trunk(state: &SetupState) -> Self {
        Self {
            key: "trunk",
            title: "Add a trunk",
            help: "Calls go in and out through trunks of this configuration.",
            done: state.trunks > 0,
            blocks_outbound: true,
        }
    }

    /// A number leads to an agent.
    pub const fn inbound_routing(state: &SetupState) -> Self {
        Self {
            key: "inbound_routing",
            title: "Choose an agent for a number",
            help: "Incoming calls go to the agent of the called number.",
            done: state.routed_numbers > 0,
            blocks_outbound: false,
        }
    }
}

/// Makes the list of steps of a provider.
pub type Checklist = fn(&RawConfig, &SetupState) -> Vec<SetupStep>;

/// The list of a provider whose calls need a number of the account.
pub fn numbers_only(_: &RawConfig, state: &SetupState) -> Vec<SetupStep> {
    vec![SetupStep::caller_id(state), SetupStep::inbound_routing(state)]
}
