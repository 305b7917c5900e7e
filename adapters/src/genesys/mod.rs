//! Genesys Cloud by AudioHook, version 2: the Audio Connector of a call flow opens a WebSocket for
//! each call that it hands over. No request tells of the call before, and there is no API: the
//! socket is the offer, its first message says who calls, and what becomes of the call is said on
//! it. Audio is binary, everything else JSON whose numbers follow each other strictly.
//!
//! What is known comes from Genesys' protocol reference and its appendix on security, the open
//! reference implementation of both sides, and what other servers do. Where they differ, the
//! reference implementation counts.

#[cfg(feature = "emulate")]
mod emulate;
mod fields;
mod hooks;
mod message;
mod signature;
mod stream;
mod verify;

use media::codec::AudioFormat;

use crate::op::{ApiLimits, CallOps};
use crate::spec::{MediaPlan, MediaTransport, ProviderSpec, WireFormat};
use crate::ui::{Connectivity, UiMetadata};

/// Milliseconds of audio of a frame that is paced.
const PTIME_MS: u32 = 20;

const fn format(audio: AudioFormat) -> WireFormat {
    WireFormat { audio, ptime_ms: PTIME_MS }
}

/// The entry of the table.
pub(crate) static SPEC: ProviderSpec = ProviderSpec {
    name: "genesys",
    ui: UiMetadata {
        display_name: "Genesys Cloud",
        summary: "Calls that flows of Genesys Cloud hand over by an Audio Connector (AudioHook).",
        docs_url: Some("https://developer.genesys.cloud/devapps/audiohook/"),
        connectivity: Connectivity::Api,
        sections: fields::SECTIONS,
        fields: fields::FIELDS,
    },
    account_field: Some("organization_id"),
    // No call is placed.
    requires_caller_id: false,
    media: &[MediaPlan {
        transport: MediaTransport::WebSocket,
        formats: &[
            format(AudioFormat::PCMU),
            format(AudioFormat::l16le(8_000)),
            format(AudioFormat::l16le(16_000)),
        ],
        // Two messages: one is played while the next is on its way.
        buffer_ms: 400,
    }],
    check: fields::check,
    checklist: fields::checklist,
    hooks: hooks::HOOKS,
    inbound: Some(hooks::INBOUND),
    calls: CallOps::NONE,
    authorize: None,
    limits: ApiLimits::NONE,
    trunks: None,
    flow: None,
    events: None,
    stream: Some(stream::open),
    verify_socket: None,
    sip: None,
    #[cfg(feature = "emulate")]
    emulator: Some(&emulate::SPEC),
};

#[cfg(test)]
mod tests;
