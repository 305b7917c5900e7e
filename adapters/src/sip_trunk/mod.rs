//! A SIP trunk: a carrier or a PBX that calls come from and go to over SIP.
//!
//! Its calls are the SIP side's business, so that it has neither hooks nor operations over HTTP.

mod fields;
mod profile;

use media::codec::AudioFormat;

use crate::op::{ApiLimits, CallOps};
use crate::spec::{MediaPlan, MediaTransport, ProviderSpec, WireFormat};
use crate::ui::{Connectivity, UiMetadata};

/// The entry of the table.
pub(crate) static SPEC: ProviderSpec = ProviderSpec {
    name: "sip_trunk",
    ui: UiMetadata {
        display_name: "SIP trunk",
        summary: "Any carrier or PBX that speaks SIP and RTP, known by its addresses.",
        docs_url: None,
        connectivity: Connectivity::Sip,
        sections: fields::SECTIONS,
        fields: fields::FIELDS,
    },
    account_field: None,
    requires_caller_id: false,
    media: &[MediaPlan {
        transport: MediaTransport::Sip,
        formats: &[
            WireFormat { audio: AudioFormat::PCMU, ptime_ms: 20 },
            WireFormat { audio: AudioFormat::PCMA, ptime_ms: 20 },
        ],
        buffer_ms: 0,
    }],
    check: profile::check,
    checklist: profile::checklist,
    hooks: &[],
    inbound: None,
    calls: CallOps::NONE,
    authorize: None,
    limits: ApiLimits::NONE,
    trunks: None,
    flow: None,
    events: None,
    stream: None,
    verify_socket: None,
    sip: Some(profile::profile),
    #[cfg(feature = "emulate")]
    emulator: None,
};

#[cfg(test)]
mod tests;
