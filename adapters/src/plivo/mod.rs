//! Plivo: calls controlled by XML documents and a REST API, media over WebSockets.
//!
//! Facts are those of the carrier's documentation (voice API, XML reference, audio streaming,
//! signature validation), of what its official libraries for Python and Node sign, send and refuse,
//! and of its client for audio streams. Where these disagree, the libraries count.

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
    name: "plivo",
    ui: UiMetadata {
        display_name: "Plivo",
        summary: "Calls of a Plivo account or subaccount, audio over a WebSocket.",
        docs_url: Some("https://www.plivo.com/docs/voice"),
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
            frames_of_20_ms(AudioFormat::l16le(16_000)),
            frames_of_20_ms(AudioFormat::l16be(16_000)),
            frames_of_20_ms(AudioFormat::l16le(8000)),
            frames_of_20_ms(AudioFormat::l16be(8000)),
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
    limits: ApiLimits {
        originate: Some(Rate { count: 2, window_ms: 1_000 }),
        requests: Some(Rate { count: 300, window_ms: 5_000 }),
    },
    trunks: None,
    flow: None,
    events: None,
    stream: Some(stream::open),
    verify_socket: Some(verify::verify_socket),
    sip: None,
    #[cfg(feature = "emulate")]
    emulator: Some(&emulate::EMULATOR),
};

#[cfg(test)]
mod tests;
