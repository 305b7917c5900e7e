//! Cloudonix: a SIP platform whose customers bring their trunks. Its documents (CXML) and its media
//! stream are those of Twilio; its API, credentials, ids, statuses and webhooks are not.
//!
//! Facts are those of the carrier's developer pages, of its OpenAPI documents (2021 and 2025), of
//! libraries and applications by its makers, and of requests that users recorded. Where sources
//! disagree, what was recorded counts, then what is newer. `fixtures/vectors.json` holds requests
//! and answers in the recorded shapes.
//!
//! How a call goes. Everything is about a *session*, whose token is the id of the call here; the id
//! that documents call `CallSid` may be another. Inbound: the hook `voice` is asked and answers
//! with `<Connect><Stream>`, or refuses before the call is answered. Outbound: the same document
//! goes along with the request that places the call, and the hook `status` hears how it fares.
//! Whatever was missed, the record of the call (hook `cdr`) tells at the end.

mod answer;
mod calls;
#[cfg(feature = "emulate")]
mod emulate;
mod errors;
mod events;
mod fields;
mod hooks;
mod numbers;
mod provision;
mod request;
mod stream;
mod transfer;
mod trunks;
mod verify;

use media::codec::AudioFormat;

use crate::op::{ApiLimits, CallOps, Rate};
use crate::spec::{MediaPlan, MediaTransport, ProviderSpec, WireFormat};
use crate::ui::{Connectivity, UiMetadata};

/// The entry of the table.
pub(crate) static SPEC: ProviderSpec = ProviderSpec {
    name: "cloudonix",
    ui: UiMetadata {
        display_name: "Cloudonix",
        summary: "Calls of a Cloudonix domain, over trunks that you bring.",
        docs_url: Some("https://developers.cloudonix.com"),
        connectivity: Connectivity::Api,
        sections: fields::SECTIONS,
        fields: fields::FIELDS,
    },
    account_field: Some("domain"),
    requires_caller_id: true,
    media: &[MediaPlan {
        transport: MediaTransport::WebSocket,
        formats: &[WireFormat { audio: AudioFormat::PCMU, ptime_ms: 20 }],
        // What the carrier's own buffer holds is not documented: little is sent ahead.
        buffer_ms: 40,
    }],
    check: fields::check,
    checklist: fields::checklist,
    hooks: hooks::HOOKS,
    inbound: Some(hooks::INBOUND),
    calls: CallOps {
        originate: Some(calls::originate),
        hangup: Some(calls::hangup),
        transfer: Some(transfer::transfer),
        join: Some(transfer::join),
        take_back: Some(transfer::take_back),
        // Keys are tones in the audio: there is no documented way to press them during a call.
        dtmf: None,
        // A recording begins with the call or not at all: a field of the configuration.
        record: None,
        status: Some(calls::status),
        // The record of the call is the only place where it is told.
        cost: None,
        numbers: Some(numbers::numbers),
        bind: Some(numbers::bind),
        test: Some(numbers::test),
        provision: Some(provision::provision),
    },
    authorize: None,
    // Documents say ten in three seconds and ten in ten: calls keep to the latter.
    limits: ApiLimits {
        originate: Some(Rate { count: 8, window_ms: 8_000 }),
        requests: Some(Rate { count: 10, window_ms: 3_000 }),
    },
    trunks: Some(trunks::OPS),
    flow: None,
    events: None,
    stream: Some(stream::open),
    // The carrier has nothing to prove it with.
    verify_socket: None,
    sip: None,
    #[cfg(feature = "emulate")]
    emulator: Some(&emulate::EMULATOR),
};

#[cfg(test)]
mod tests;
