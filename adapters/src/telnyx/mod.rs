//! Telnyx: the Voice API (Call Control v2), media over WebSockets.
//!
//! Facts are those of the carrier's developer documentation (webhook fundamentals, media streaming
//! over WebSockets, command retries, API errors), its OpenAPI and AsyncAPI documents, and what its
//! official Python library sends, accepts and refuses. The carrier ignores what a webhook is
//! answered with: control is by requests of ours ([`flow`]), each of which is confirmed by a
//! webhook.

mod calls;
mod causes;
#[cfg(feature = "emulate")]
mod emulate;
mod errors;
mod fields;
mod flow;
mod hooks;
mod numbers;
mod order;
mod stream;
mod verify;

use media::codec::AudioFormat;

use crate::op::{ApiLimits, CallOps, Rate};
use crate::spec::{MediaPlan, MediaTransport, ProviderSpec, WireFormat};
use crate::ui::{Connectivity, UiMetadata};

/// Dials of an account that has not asked for more: 150 within any 5 seconds (the page "Dials per
/// second limit"). A second's worth may come at once, and 25 a second behind it: no more than that.
const DIALS: Rate = Rate { count: 25, window_ms: 1_000 };
/// Commands. The carrier tells how many it takes with each refusal (429, `x-ratelimit-reset`), and
/// then all wait for as long as it asks; calls that come in must not wait for less than that to be
/// answered.
const COMMANDS: Rate = Rate { count: 200, window_ms: 1_000 };

const fn frames_of_20_ms(audio: AudioFormat) -> WireFormat {
    WireFormat { audio, ptime_ms: 20 }
}

/// The entry of the table.
pub(crate) static SPEC: ProviderSpec = ProviderSpec {
    name: "telnyx",
    ui: UiMetadata {
        display_name: "Telnyx",
        summary: "Calls of a Voice API application, audio over a WebSocket.",
        docs_url: Some("https://developers.telnyx.com/docs/voice/programmable-voice"),
        connectivity: Connectivity::Api,
        sections: fields::SECTIONS,
        fields: fields::FIELDS,
    },
    account_field: Some("connection_id"),
    requires_caller_id: true,
    media: &[MediaPlan {
        transport: MediaTransport::WebSocket,
        formats: &[
            frames_of_20_ms(AudioFormat::PCMU),
            frames_of_20_ms(AudioFormat::PCMA),
            frames_of_20_ms(AudioFormat::G722),
            frames_of_20_ms(AudioFormat::l16be(16_000)),
            frames_of_20_ms(AudioFormat::l16le(16_000)),
            frames_of_20_ms(AudioFormat::l16be(8000)),
            frames_of_20_ms(AudioFormat::l16le(8000)),
            frames_of_20_ms(AudioFormat::l16be(24_000)),
            frames_of_20_ms(AudioFormat::l16le(24_000)),
            frames_of_20_ms(AudioFormat::l16be(48_000)),
            frames_of_20_ms(AudioFormat::l16le(48_000)),
        ],
        buffer_ms: 80,
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
        // Prices come in webhooks.
        cost: None,
        numbers: Some(numbers::numbers),
        bind: Some(numbers::bind),
        test: Some(numbers::test),
        provision: Some(numbers::provision),
    },
    authorize: None,
    limits: ApiLimits { originate: Some(DIALS), requests: Some(COMMANDS) },
    trunks: None,
    flow: Some(flow::open),
    events: None,
    stream: Some(stream::open),
    verify_socket: None,
    sip: None,
    #[cfg(feature = "emulate")]
    emulator: Some(&emulate::EMULATOR),
};

#[cfg(test)]
mod tests;
