//! Vobiz: calls controlled by XML documents and a REST API, media over WebSockets.
//!
//! Facts are those of the carrier's documentation (calls, XML reference, streams, validation of
//! callbacks, causes, numbers, records of calls), of its OpenAPI document, of its library for
//! Python, and of requests that users recorded. It resembles Plivo in its model of calls, and
//! differs in credentials, signatures, numbers, costs, conferences and media. Where documents and
//! library disagree, either's signature is believed, and the documents count for the rest.

mod answer;
mod calls;
mod causes;
#[cfg(feature = "emulate")]
mod emulate;
mod errors;
mod fields;
mod hooks;
mod numbers;
mod stream;
mod verify;

use media::codec::AudioFormat;

use crate::op::{ApiLimits, CallOps, Rate};
use crate::spec::{MediaPlan, MediaTransport, ProviderSpec, WireFormat};
use crate::ui::{Connectivity, UiMetadata};

const fn frames_of_20_ms(audio: AudioFormat) -> WireFormat {
    WireFormat { audio, ptime_ms: 20 }
}

/// The entry of the table.
pub(crate) static SPEC: ProviderSpec = ProviderSpec {
    name: "vobiz",
    ui: UiMetadata {
        display_name: "Vobiz",
        summary: "Calls of a Vobiz account in India, audio over a WebSocket.",
        docs_url: Some("https://docs.vobiz.ai"),
        connectivity: Connectivity::Api,
        sections: fields::SECTIONS,
        fields: fields::FIELDS,
    },
    account_field: Some("auth_id"),
    requires_caller_id: true,
    media: &[MediaPlan {
        transport: MediaTransport::WebSocket,
        formats: &[
            frames_of_20_ms(AudioFormat::PCMU),
            frames_of_20_ms(AudioFormat::l16le(8_000)),
            frames_of_20_ms(AudioFormat::l16be(8_000)),
            frames_of_20_ms(AudioFormat::l16le(16_000)),
            frames_of_20_ms(AudioFormat::l16be(16_000)),
            frames_of_20_ms(AudioFormat::l16le(24_000)),
            frames_of_20_ms(AudioFormat::l16be(24_000)),
        ],
        buffer_ms: 60,
    }],
    check: fields::check,
    checklist: fields::checklist,
    hooks: hooks::HOOKS,
    inbound: Some(hooks::INBOUND),
    calls: CallOps {
        originate: Some(calls::originate),
        hangup: Some(calls::hangup),
        transfer: Some(calls::transfer),
        join: Some(calls::join),
        take_back: Some(calls::take_back),
        dtmf: Some(calls::dtmf),
        record: Some(calls::record),
        status: Some(calls::status),
        cost: Some(calls::cost),
        numbers: Some(numbers::numbers),
        bind: Some(numbers::bind),
        test: Some(numbers::test),
        provision: Some(numbers::provision),
    },
    authorize: None,
    limits: ApiLimits { originate: Some(Rate { count: 1, window_ms: 1_000 }), requests: None },
    trunks: None,
    flow: None,
    events: None,
    stream: Some(stream::open),
    // Nothing is documented that would prove who opens it.
    verify_socket: None,
    sip: None,
    #[cfg(feature = "emulate")]
    emulator: Some(&emulate::EMULATOR),
};

#[cfg(test)]
mod tests;
