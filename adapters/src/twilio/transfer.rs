//! Calls handed to somebody else.

use super::calls::{RING_S_MAX, one, placed, post, retried, update, url};
use super::{answer, errors, hooks};
use crate::address::AddressKind;
use crate::chain::mapped;
use crate::config::RawConfig;
use crate::event::CarrierCallId;
use crate::exchange::{CarrierError, HttpRequest, escape};
use crate::op::{OpResult, TakeBack, Transfer, TransferKind};

/// Gives the call another document, which ends its stream with us; or, attended, calls the
/// destination and lets it wait in a conference.
pub(super) fn transfer(config: &RawConfig, transfer: &Transfer) -> OpResult<Option<CarrierCallId>> {
    let ring = transfer.ring_timeout_s.clamp(1, RING_S_MAX).to_string();
    match transfer.kind {
        TransferKind::Blind => {
            let document = answer::dial(transfer, &ring);
            sent(config, update(config, &transfer.call, &[("Twiml", &document)])?)
        }
        TransferKind::Refer if transfer.to.kind() != AddressKind::SipUri => {
            Err(CarrierError::Destination(None))
        }
        TransferKind::Refer => {
            let document = answer::refer(transfer);
            sent(config, update(config, &transfer.call, &[("Twiml", &document)])?)
        }
        TransferKind::Attended => {
            let from = transfer.from.as_ref().ok_or(CarrierError::Config("no caller id"))?;
            let document = answer::conference(transfer);
            let leg = transfer.hooks.of_transfer(hooks::TRANSFER_LEG, &transfer.id);
            let leg = format!("{leg}&{}={}", hooks::TRANSFERRED, escape(&transfer.call.0));
            let leg = retried(config, leg);
            let fields = [
                ("To", transfer.to.expose()),
                ("From", from.expose()),
                ("Twiml", document.as_str()),
                ("Timeout", &ring),
                ("StatusCallback", &leg),
                ("StatusCallbackMethod", "POST"),
                ("StatusCallbackEvent", "initiated"),
                ("StatusCallbackEvent", "answered"),
                ("StatusCallbackEvent", "completed"),
            ];
            let leg = one(config, post(url(config, "/Calls.json")?, &fields), placed);
            mapped(leg, |leg| Some(leg.call))
        }
    }
}

/// The call gets another document; nobody is called apart.
fn sent(config: &RawConfig, request: HttpRequest) -> OpResult<Option<CarrierCallId>> {
    mapped(one(config, request, errors::of_call), |()| None)
}

/// Takes the caller into the conference where the destination waits.
pub(super) fn join(config: &RawConfig, transfer: &Transfer) -> OpResult<()> {
    let document = answer::conference(transfer);
    one(config, update(config, &transfer.call, &[("Twiml", &document)])?, errors::of_call)
}

/// Sends the caller to us again, from wherever it was sent.
pub(super) fn take_back(config: &RawConfig, back: &TakeBack) -> OpResult<()> {
    let document = answer::connect(&back.take);
    one(config, update(config, &back.call, &[("Twiml", &document)])?, errors::of_call)
}
