//! Asterisk, controlled over its REST interface (ARI): calls that enter a Stasis application, or
//! that it places for us; their audio travels by external media.
//!
//! Facts are those of Asterisk's documentation and sources, and what a real one (22.10) does. Its
//! word comes by a WebSocket of events, which the server keeps open. Names of what we make there
//! (channels, bridges) hold our id of the call, so that each event finds its call, and so that
//! what was left behind is known for ours ([`names`]).

mod calls;
mod causes;
#[cfg(feature = "emulate")]
mod emulate;
mod errors;
mod events;
mod external;
mod fields;
mod flow;
mod names;
mod pieces;
mod probe;
mod records;
mod request;
mod reverse;
mod socket;
mod stream;
mod tidy;

use media::codec::AudioFormat;

use crate::op::{ApiLimits, CallOps, Rate};
use crate::spec::{MediaPlan, MediaTransport, ProviderSpec, WireFormat};
use crate::ui::{Connectivity, UiMetadata};

const fn frames_of_20_ms(audio: AudioFormat) -> WireFormat {
    WireFormat { audio, ptime_ms: 20 }
}

/// The entry of the table.
pub(crate) static SPEC: ProviderSpec = ProviderSpec {
    name: "ari",
    ui: UiMetadata {
        display_name: "Asterisk (ARI)",
        summary: "Calls of an Asterisk, controlled over its REST interface.",
        docs_url: Some(
            "https://docs.asterisk.org/Configuration/Interfaces/Asterisk-REST-Interface-ARI/",
        ),
        connectivity: Connectivity::Api,
        sections: fields::SECTIONS,
        fields: fields::FIELDS,
    },
    account_field: None,
    requires_caller_id: false,
    media: &[
        MediaPlan {
            // What we send is understood with a static payload type alone.
            transport: MediaTransport::Rtp,
            formats: &[
                frames_of_20_ms(AudioFormat::PCMU),
                frames_of_20_ms(AudioFormat::PCMA),
                frames_of_20_ms(AudioFormat::G722),
            ],
            buffer_ms: 0,
        },
        MediaPlan {
            transport: MediaTransport::WebSocket,
            formats: &[
                frames_of_20_ms(AudioFormat::PCMU),
                frames_of_20_ms(AudioFormat::PCMA),
                frames_of_20_ms(AudioFormat::G722),
                frames_of_20_ms(AudioFormat::l16le(8_000)),
                frames_of_20_ms(AudioFormat::l16le(16_000)),
                frames_of_20_ms(AudioFormat::l16le(24_000)),
                frames_of_20_ms(AudioFormat::l16le(48_000)),
            ],
            buffer_ms: crate::media_socket::BUFFER_MS,
        },
        MediaPlan {
            transport: MediaTransport::Tcp,
            formats: &[
                frames_of_20_ms(AudioFormat::l16le(8_000)),
                frames_of_20_ms(AudioFormat::l16le(16_000)),
                frames_of_20_ms(AudioFormat::l16le(24_000)),
                frames_of_20_ms(AudioFormat::l16le(48_000)),
            ],
            buffer_ms: 0,
        },
    ],
    check: fields::check,
    checklist: fields::checklist,
    hooks: &[],
    inbound: None,
    calls: CallOps {
        originate: Some(calls::originate),
        hangup: Some(calls::hangup),
        transfer: Some(calls::transfer),
        join: Some(calls::join),
        // A transfer that is given up leaves the caller in the bridge, where the agent is.
        take_back: None,
        dtmf: Some(calls::dtmf),
        record: Some(records::record),
        status: Some(calls::status),
        cost: None,
        numbers: None,
        bind: None,
        test: Some(calls::test),
        provision: Some(calls::provision),
    },
    authorize: None,
    // A call takes ten requests or so; those of a burst of calls shall not wait for each other.
    limits: ApiLimits { originate: None, requests: Some(Rate { count: 1_000, window_ms: 1_000 }) },
    trunks: None,
    flow: Some(flow::open),
    events: Some(socket::EVENTS),
    stream: Some(stream::open),
    verify_socket: None,
    sip: None,
    #[cfg(feature = "emulate")]
    emulator: Some(&emulate::EMULATOR),
};

#[cfg(test)]
mod tests;
