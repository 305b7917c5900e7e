//! The carrier in miniature, from its documents: a REST API, signed forms, XML documents, media
//! over a WebSocket. It shares no code with the adapter.

mod rest;
mod webhooks;

use media::codec::AudioFormat;
use serde_json::json;

use crate::emulate::EmulatorSpec;
use crate::emulate::asking::{Carrier, Dialect, Variant};
use crate::exchange::HttpRequest;

/// What the table names.
pub(super) static EMULATOR: EmulatorSpec = EmulatorSpec {
    config: |api_base| {
        json!({
            "auth_id": "MA_EMULATED",
            "auth_token": "emulated-auth-token",
            "api_base": api_base,
        })
    },
    audio: AudioFormat::PCMU,
    open: |start| Box::new(Carrier::new(start, &VARIANT)),
};

static VARIANT: Variant = Variant {
    name: "Vobiz",
    rest: rest::handle,
    post: webhooks::post,
    // Nothing of it is signed.
    upgrade: |_, _, url| HttpRequest::get(url.to_owned()),
    // As it is dialled in the country, if that is where it is.
    called: |number| match number.strip_prefix("91") {
        Some(national) => format!("0{national}"),
        None => number.to_owned(),
    },
    constants: &[("BillRate", "0.00000"), ("STIRAttestation", "Not Applicable")],
    ended: |_, answered| {
        // One page of the documents has it so for every end.
        let mut said = vec![("CallStatus", "completed"), ("TotalCost", "0.00000")];
        said.extend(answered.then_some(("AnswerTime", "2026-03-04 10:36:12")));
        said.into_iter().map(|(name, value)| (name, value.to_owned())).collect()
    },
    attributes: ATTRIBUTES,
    puts_out: true,
    dialect: Dialect {
        account: "500123",
        first: 0,
        names_stream: true,
        presses_keys: false,
        tells_failures: false,
        bare_checkpoints: true,
    },
};

/// Attributes that the carrier documents, by element; any other ends the call.
const ATTRIBUTES: &[(&str, &[&str])] = &[
    (
        "Stream",
        &[
            "bidirectional",
            "contentType",
            "keepCallAlive",
            "streamTimeout",
            "maxRetries",
            "statusCallbackUrl",
            "statusCallbackMethod",
            "extraHeaders",
        ],
    ),
    ("Hangup", &["reason", "schedule"]),
    ("Speak", &["voice", "language"]),
    ("Conference", &["stayAlone", "endConferenceOnExit", "callbackUrl", "callbackMethod"]),
    (
        "Dial",
        &["callerId", "timeout", "action", "method", "callbackUrl", "callbackMethod", "confirmKey"],
    ),
    ("Redirect", &[]),
];

#[cfg(test)]
mod tests;
