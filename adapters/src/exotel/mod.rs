//! Exotel AgentStream: calls that a flow of the carrier's or a request leads to a WebSocket, linear
//! audio over it in long messages.
//!
//! Facts are those of the carrier's documentation (AgentStream, the Voicebot applet, placing and
//! asking about calls, status callbacks, ExoPhones), of its support articles, and of servers that
//! users showed. Where spellings of the API differ from page to page, each is understood.
//!
//! How a call goes. Inbound: a flow of the carrier's answers it, comes to its Voicebot applet, and
//! asks the hook `voice` where the audio goes; the answer is an address of one use. Outbound: that
//! address goes along with the request that places the call, and the hook `status` hears how it
//! fares. There is no request that ends a call: the socket is closed, and the flow goes on behind
//! the applet, where it should end.

mod answer;
mod calls;
mod causes;
#[cfg(feature = "emulate")]
mod emulate;
mod errors;
mod fields;
mod hooks;
mod numbers;
mod request;
mod stream;
mod verify;

use media::codec::AudioFormat;

use crate::op::{ApiLimits, CallOps, Rate};
use crate::spec::{MediaPlan, MediaTransport, ProviderSpec, WireFormat};
use crate::ui::{Connectivity, UiMetadata};

const fn linear(rate_hz: u32) -> WireFormat {
    // Collected into the messages that the carrier wants by whoever sends them.
    WireFormat { audio: AudioFormat::l16le(rate_hz), ptime_ms: 20 }
}

/// The entry of the table.
pub(crate) static SPEC: ProviderSpec = ProviderSpec {
    name: "exotel",
    ui: UiMetadata {
        display_name: "Exotel",
        summary: "Calls of an Exotel account, audio over its AgentStream.",
        docs_url: Some("https://developer.exotel.com/docs/agentstream/overview"),
        connectivity: Connectivity::Api,
        sections: fields::SECTIONS,
        fields: fields::FIELDS,
    },
    account_field: Some("account_sid"),
    requires_caller_id: true,
    media: &[MediaPlan {
        transport: MediaTransport::WebSocket,
        formats: &[linear(8_000), linear(16_000), linear(24_000)],
        // When less than this is left of what it has, the carrier gets another message.
        buffer_ms: 200,
    }],
    check: fields::check,
    checklist: fields::checklist,
    hooks: hooks::HOOKS,
    inbound: Some(hooks::INBOUND),
    calls: CallOps {
        originate: Some(calls::originate),
        // The socket is closed.
        hangup: None,
        transfer: None,
        join: None,
        take_back: None,
        // Keys are tones in the audio.
        dtmf: None,
        // A recording begins with the call or not at all: a field of the configuration.
        record: None,
        status: Some(calls::status),
        cost: Some(calls::cost),
        numbers: Some(numbers::numbers),
        bind: Some(numbers::bind),
        test: Some(numbers::test),
        // Flows are made by hand.
        provision: None,
    },
    authorize: None,
    // 200 a minute.
    limits: ApiLimits { originate: None, requests: Some(Rate { count: 200, window_ms: 60_000 }) },
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
