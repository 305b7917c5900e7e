//! Vonage Voice: calls controlled by NCCO documents and a REST API, webhooks signed with HS256,
//! audio as plain samples in binary WebSocket messages.
//!
//! What is known comes from Vonage's developer documents and API specifications, its Python SDK
//! (`vonage` 4.9, whose output some vectors are), and reports of users. Where no source says
//! anything (claims of the token on a GET, lifetimes, retries), the code is tolerant and says so.

mod answer;
mod application;
mod calls;
#[cfg(feature = "emulate")]
mod emulate;
mod errors;
mod events;
mod fields;
mod hooks;
mod numbers;
mod stream;
mod transfer;
mod verify;

use media::codec::AudioFormat;

use crate::op::{ApiLimits, CallOps, Rate};
use crate::spec::{MediaPlan, MediaTransport, ProviderSpec, WireFormat};
use crate::ui::{Connectivity, UiMetadata};

/// Milliseconds of audio a message, both ways: another length makes Vonage drop the socket.
const PTIME_MS: u32 = 20;

const fn l16(rate_hz: u32) -> WireFormat {
    WireFormat { audio: AudioFormat::l16le(rate_hz), ptime_ms: PTIME_MS }
}

/// The entry of the table.
pub(crate) static SPEC: ProviderSpec = ProviderSpec {
    name: "vonage",
    ui: UiMetadata {
        display_name: "Vonage",
        summary: "Numbers and calls of a Vonage (formerly Nexmo) account with a Voice application.",
        docs_url: Some("https://developer.vonage.com/en/voice/voice-api/overview"),
        connectivity: Connectivity::Api,
        sections: fields::SECTIONS,
        fields: fields::FIELDS,
    },
    account_field: Some("api_key"),
    requires_caller_id: true,
    media: &[MediaPlan {
        transport: MediaTransport::WebSocket,
        formats: &[l16(16_000), l16(8000), l16(24_000)],
        // Vonage buffers a minute, and plays unevenly if it is kept empty.
        buffer_ms: 80,
    }],
    check: fields::check,
    checklist: fields::checklist,
    hooks: hooks::HOOKS,
    inbound: Some(hooks::INBOUND),
    calls: CallOps {
        originate: Some(calls::originate),
        hangup: Some(calls::hangup),
        transfer: Some(transfer::begin),
        join: Some(transfer::join),
        take_back: Some(transfer::take_back),
        dtmf: Some(calls::dtmf),
        record: None,
        status: Some(calls::status),
        cost: Some(calls::cost),
        numbers: Some(numbers::list),
        bind: Some(numbers::bind),
        test: Some(application::test),
        provision: Some(application::provision),
    },
    authorize: Some(calls::authorize),
    // Per account: three calls placed a second, fifteen requests of other kinds.
    limits: ApiLimits {
        originate: Some(Rate { count: 3, window_ms: 1000 }),
        requests: Some(Rate { count: 15, window_ms: 1000 }),
    },
    trunks: None,
    flow: None,
    events: None,
    stream: Some(stream::open),
    verify_socket: Some(verify::verify_socket),
    sip: None,
    #[cfg(feature = "emulate")]
    emulator: Some(&emulate::SPEC),
};

#[cfg(test)]
mod tests;
