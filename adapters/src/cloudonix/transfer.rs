//! Calls handed to somebody else.

use super::calls::{RING_S_MAX, one, place, placed, placing, switch};
use super::{answer, errors, hooks};
use crate::config::RawConfig;
use crate::event::CarrierCallId;
use crate::exchange::CarrierError;
use crate::op::{OpResult, TakeBack, Transfer, TransferKind};

/// Gives the call another document, which ends its stream with us; or, attended, calls the
/// destination and lets it wait in a conference. (The carrier's *fork* is for calls that it bridges
/// itself, not for one that has only us.)
pub(super) fn transfer(config: &RawConfig, transfer: &Transfer) -> OpResult<Option<CarrierCallId>> {
    match transfer.kind {
        TransferKind::Blind => {
            let ring = transfer.ring_timeout_s.clamp(1, RING_S_MAX).to_string();
            let document = answer::dial(transfer, &ring);
            one(switch(config, &transfer.call, &document)?, |answer| {
                errors::of_call(answer).map(|()| None)
            })
        }
        TransferKind::Refer => {
            Err(CarrierError::Config("this carrier does not tell callers to call somebody else"))
        }
        TransferKind::Attended => {
            let document = answer::conference(transfer, hooks::CONFERENCE);
            let hook = transfer.hooks.of_transfer(hooks::TRANSFER_LEG, &transfer.id);
            let callback = (transfer.ring_timeout_s, hook);
            let parties = (&transfer.to, transfer.from.as_ref());
            let body = placing(config, parties, &document, callback)?;
            one(place(config, &body)?, |answer| placed(answer).map(|leg| Some(leg.call)))
        }
    }
}

/// Takes the caller into the conference where the destination waits.
pub(super) fn join(config: &RawConfig, transfer: &Transfer) -> OpResult<()> {
    let document = answer::conference(transfer, hooks::JOINED);
    one(switch(config, &transfer.call, &document)?, errors::of_call)
}

/// Sends the caller to us again, from wherever it was sent.
pub(super) fn take_back(config: &RawConfig, back: &TakeBack) -> OpResult<()> {
    one(switch(config, &back.call, &answer::connect(&back.take))?, errors::of_call)
}
