//! A call that is handed to somebody else, without I/O: what is asked for ([`Wish`]), and how far
//! it is ([`Transfer`]).
//!
//! There is one state machine for all kinds. Whatever carries a transfer out (a peer that was asked
//! by REFER, a leg that we call, another agent that we dial) tells it facts, and time passes; what
//! is to be told and done comes out. The call goes on until the transfer has succeeded; if it fails
//! or is given up, caller and agent talk on. See decision 36.

mod carried;
mod kind;
mod machine;
mod state;
mod stay;
mod wish;

pub use carried::{CARRIER_NEWS_LIMIT, CONNECT_LIMIT, JOIN_LIMIT};
pub use kind::{CANCEL, Kind, LEAVE, NO_KIND};
pub use machine::{
    Effect, Input, MESSAGE_MAX_MS, NEWS_LIMIT, Plan, RELEASE_LIMIT, Transfer, UNTOLD_LIMIT,
    WHISPER_LIMIT,
};
pub use state::State;
pub use stay::Stay;
pub use wish::{
    ACCEPT_LIMIT, Accept, Aim, BRIDGE_LIMIT, Destination, LegWish, OUTCOME_LIMIT,
    OUTCOME_LIMIT_MAX, TransferError, Whisper, Wish, whispered_url,
};

#[cfg(test)]
mod tests;
