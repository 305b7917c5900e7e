//! The carrier in miniature, from its documents: a REST API, signed forms, XML documents, media
//! over a WebSocket. It shares no code with the adapter.

mod rest;
mod webhooks;

use media::codec::AudioFormat;
use serde_json::json;

use crate::emulate::EmulatorSpec;
use crate::emulate::asking::{Carrier, Dialect, Variant};

/// What the table names.
pub(super) static EMULATOR: EmulatorSpec = EmulatorSpec {
    config: |api_base| {
        json!({
            "auth_id": "MAEMULATED0000000001",
            "auth_token": "emulated-auth-token",
            "api_base": api_base,
            "socket_signature": "require",
        })
    },
    audio: AudioFormat::PCMU,
    open: |start| Box::new(Carrier::new(start, &VARIANT)),
};

static VARIANT: Variant = Variant {
    name: "Plivo",
    rest: rest::handle,
    post: webhooks::post,
    upgrade: webhooks::upgrade,
    called: str::to_owned,
    constants: &[("ForwardedFrom", ""), ("BillRate", "0.0055")],
    ended: |status, answered| {
        let cost = if answered { "0.00550" } else { "0.00000" };
        vec![("CallStatus", status.to_owned()), ("TotalCost", cost.to_owned())]
    },
    attributes: &[],
    puts_out: false,
    dialect: Dialect {
        account: "9624482",
        first: 1,
        names_stream: false,
        presses_keys: true,
        tells_failures: true,
        bare_checkpoints: false,
    },
};

#[cfg(test)]
mod tests;
