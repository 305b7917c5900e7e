//! Twilio Programmable Voice with Media Streams, and carriers that speak the same from another
//! host.
//!
//! Where facts come from: Twilio's documentation of the Voice API, TwiML, Media Streams and webhook
//! security; its OpenAPI document `twilio_api_v2010`; the sources of its SDKs for Python and
//! Node.js (signatures of requests with ports, JSON bodies, shared keys); reports of users where
//! these are silent. `fixtures/vectors.json` holds what the SDKs compute.
//!
//! How a call goes. Inbound: the hook `voice` is asked and answers with `<Connect><Stream>`, or
//! refuses with `<Reject>`, which leaves the call unanswered and unpaid. Outbound: the same
//! document goes along with the request that places the call, so that nothing is asked at the
//! answer. While a `<Connect>` is the last word of a document, closing the stream ends the call,
//! unless its `action` (hook `stream-ended`) says otherwise: there the audio of a call that is
//! still wanted gets a new stream.

mod answer;
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
use crate::setup::numbers_only;
use crate::spec::{MediaPlan, MediaTransport, ProviderSpec, WireFormat};
use crate::ui::{Connectivity, UiMetadata};

/// The entry of the table.
pub(crate) static SPEC: ProviderSpec = ProviderSpec {
    name: "twilio",
    ui: UiMetadata {
        display_name: "Twilio",
        summary: "Calls of a Twilio account, or of a carrier that speaks its dialect.",
        docs_url: Some("https://www.twilio.com/docs/voice"),
        connectivity: Connectivity::Api,
        sections: fields::SECTIONS,
        fields: fields::FIELDS,
    },
    account_field: Some("account_sid"),
    requires_caller_id: true,
    media: &[MediaPlan {
        transport: MediaTransport::WebSocket,
        formats: &[WireFormat { audio: AudioFormat::PCMU, ptime_ms: 20 }],
        buffer_ms: 80,
    }],
    check: fields::check,
    checklist: numbers_only,
    hooks: hooks::HOOKS,
    inbound: Some(hooks::INBOUND),
    calls: CallOps {
        originate: Some(calls::originate),
        hangup: Some(calls::hangup),
        transfer: Some(transfer::transfer),
        join: Some(transfer::join),
        take_back: Some(transfer::take_back),
        // Keys are tones in the audio: the carrier's own way to press them would end the stream.
        dtmf: None,
        record: Some(calls::record),
        status: Some(calls::status),
        cost: Some(calls::cost),
        numbers: Some(numbers::numbers),
        bind: Some(numbers::bind),
        test: Some(numbers::test),
        provision: Some(numbers::provision),
    },
    authorize: None,
    // What is beyond it waits in the carrier's queue, where it cannot be seen.
    limits: ApiLimits { originate: Some(Rate { count: 1, window_ms: 1_000 }), requests: None },
    trunks: None,
    flow: None,
    events: None,
    stream: Some(stream::open),
    verify_socket: Some(verify::socket),
    sip: None,
    #[cfg(feature = "emulate")]
    emulator: Some(&emulate::EMULATOR),
};

#[cfg(test)]
mod tests;
