//! Calls handed to somebody else.
//!
//! Blind: the caller's leg is moved to a document that calls the destination; the media stream
//! loses its peer and closes. Attended: the destination is called into a room, and the caller moved
//! there once it answered.

use serde_json::{Value, json};

use super::calls::{call_url, changed, one, originated, place, put};
use super::errors::success;
use super::{answer, hooks};
use crate::chain::mapped;
use crate::config::RawConfig;
use crate::event::CarrierCallId;
use crate::exchange::{CarrierError, escape};
use crate::op::{OpResult, Originated, TakeBack, Transfer, TransferKind};

pub(super) fn begin(config: &RawConfig, transfer: &Transfer) -> OpResult<Option<CarrierCallId>> {
    match transfer.kind {
        TransferKind::Attended => mapped(consult(config, transfer), |leg| Some(leg.call)),
        // Vonage has no REFER towards the caller; what it leads to is the same.
        TransferKind::Blind | TransferKind::Refer => mapped(connect(config, transfer), |()| None),
    }
}

/// The address of a hook about somebody whom the call is handed to.
fn event_url(transfer: &Transfer, hook: &str) -> String {
    let url = transfer.hooks.of_transfer(hook, &transfer.id);
    format!("{url}&{}={}", hooks::CALL_PARAMETER, escape(&transfer.call.0))
}

fn connect(config: &RawConfig, transfer: &Transfer) -> OpResult<()> {
    let url = event_url(transfer, "transfer");
    let from = transfer.from.as_ref();
    let actions = answer::connect(&transfer.to, from, transfer.ring_timeout_s, &url)?;
    moved(config, &transfer.call, &actions)
}

fn consult(config: &RawConfig, transfer: &Transfer) -> OpResult<Originated> {
    let from = transfer.from.as_ref().ok_or(CarrierError::Config("no caller id"))?;
    let body_of_call = json!({
        "to": [answer::party(&transfer.to)?],
        "from": answer::caller(from)?,
        "ncco": answer::room(&room_name(transfer)),
        "event_url": [event_url(transfer, "consult")],
        "event_method": "POST",
        "ringing_timer": answer::ring_s(transfer.ring_timeout_s),
    });
    one(place(config, &body_of_call)?, originated)
}

/// The caller joins the destination.
pub(super) fn join(config: &RawConfig, transfer: &Transfer) -> OpResult<()> {
    let actions = answer::room(&room_name(transfer));
    moved(config, &transfer.call, &actions)
}

/// Sends the caller to us again, from wherever it was sent.
pub(super) fn take_back(config: &RawConfig, back: &TakeBack) -> OpResult<()> {
    let actions = answer::stream(config, &back.take.stream_url, &back.take.hooks);
    moved(config, &back.call, &actions)
}

/// A name that only this transfer has.
fn room_name(transfer: &Transfer) -> String {
    format!("transfer-{}", transfer.id)
}

/// Gives a call other actions than those it is in.
fn moved(config: &RawConfig, call: &CarrierCallId, actions: &Value) -> OpResult<()> {
    let destination = json!({"type": "ncco", "ncco": actions});
    let body = json!({"action": "transfer", "destination": destination});
    let mut request = put(call_url(config, call, ""), &body);
    // Sent twice, it calls the destination twice.
    request.repeatable = false;
    changed(request, |answer| match success(answer) {
        Err(CarrierError::NotFound) => Err(CarrierError::CallOver),
        other => other,
    })
}
