//! A provider, as data: what the server, its API, its user interface and its documentation need to
//! know about it.

use media::codec::AudioFormat;

use crate::config::{ConfigErrors, RawConfig};
use crate::flow::{CallFlow, EventsSocket, FlowStart};
use crate::hook::{Hook, Inbound, VerifySocket};
use crate::op::{ApiLimits, Authorize, CallOps, TrunkOps};
use crate::setup::Checklist;
use crate::sip::SipProfile;
use crate::stream::{Stream, StreamStart};
use crate::ui::{UiField, UiMetadata};

/// An entry of the table of providers.
#[derive(Debug)]
pub struct ProviderSpec {
    /// Segment of addresses, and what is stored: small letters, digits, `_`.
    pub name: &'static str,
    /// Names, explanations, fields.
    pub ui: UiMetadata,
    /// The field that identifies the account at the carrier, if there are accounts.
    pub account_field: Option<&'static str>,
    /// False if calls can be placed without a number of one's own.
    pub requires_caller_id: bool,
    /// How audio travels, the preferred way first.
    pub media: &'static [MediaPlan],
    /// Examines what single fields cannot tell: how they go together.
    pub check: fn(&RawConfig) -> Result<(), ConfigErrors>,
    /// What is still to be done before calls flow.
    pub checklist: Checklist,
    /// Where the carrier's requests arrive.
    pub hooks: &'static [Hook],
    /// What to do with calls that the carrier offers over HTTP.
    pub inbound: Option<Inbound>,
    /// What can be done at the carrier over HTTP.
    pub calls: CallOps,
    /// Credentials of requests that age; `None` if requests carry theirs from the beginning.
    pub authorize: Option<Authorize>,
    /// How often the carrier lets itself be asked.
    pub limits: ApiLimits,
    /// SIP trunks within the carrier's account.
    pub trunks: Option<TrunkOps>,
    /// Control of calls that takes a conversation.
    pub flow: Option<OpenFlow>,
    /// A socket by which the carrier tells what happens; needs a flow.
    pub events: Option<EventsSocket>,
    /// The carrier's media dialect.
    pub stream: Option<OpenStream>,
    /// Proves, beside our token of one use, that it is the carrier that opens the socket of its
    /// media stream: over the upgrade request, with the address that the carrier was given. `None`
    /// if the carrier has nothing to prove it with.
    pub verify_socket: Option<VerifySocket>,
    /// The SIP peer that a configuration describes.
    pub sip: Option<ReadSip>,
    /// The carrier in miniature, for tests, measurements and newcomers.
    #[cfg(feature = "emulate")]
    pub emulator: Option<&'static crate::emulate::EmulatorSpec>,
}

/// Begins the control of one call.
pub type OpenFlow = fn(FlowStart) -> Box<dyn CallFlow>;

/// Begins the media stream of one call.
pub type OpenStream = fn(&StreamStart) -> Box<dyn Stream>;

/// Makes the SIP peer of a configuration.
pub type ReadSip = fn(&RawConfig) -> Result<SipProfile, ConfigErrors>;

/// A way that audio travels.
#[derive(Clone, Copy, Debug)]
pub struct MediaPlan {
    /// What carries it.
    pub transport: MediaTransport,
    /// Formats that it may have, the preferred one first.
    pub formats: &'static [WireFormat],
    /// Audio that the carrier's own buffer is kept filled with, in milliseconds; 0 if the carrier
    /// plays what it gets at once.
    pub buffer_ms: u32,
}

/// What carries audio.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MediaTransport {
    /// A WebSocket that the carrier opens to us, or we to it.
    WebSocket,
    /// RTP to an address, without SIP.
    Rtp,
    /// A TCP stream.
    Tcp,
    /// RTP that SIP negotiates.
    Sip,
}

impl MediaTransport {
    /// The stable word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::WebSocket => "websocket",
            Self::Rtp => "rtp",
            Self::Tcp => "tcp",
            Self::Sip => "sip",
        }
    }
}

/// A format on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WireFormat {
    /// Codec and rate.
    pub audio: AudioFormat,
    /// Milliseconds of audio a message or packet.
    pub ptime_ms: u32,
}

impl ProviderSpec {
    /// The hook with that name.
    pub fn hook(&self, name: &str) -> Option<&'static Hook> {
        self.hooks.iter().find(|hook| hook.name == name)
    }

    /// True if calls of a configuration are offered by their media sockets, of which nothing tells
    /// before: see [`Manners::offers`](crate::stream::Manners::offers).
    pub fn offers_by_socket(&self, config: &RawConfig) -> bool {
        let start = || StreamStart { config: config.clone(), call: None };
        let by_stream = self.stream.is_some_and(|open| open(&start()).manners().offers);
        by_stream && self.inbound.is_some()
    }

    /// The fields of a trunk within a configuration: those of the carrier's trunks, or, as a SIP
    /// peer is described alike wherever it stands, those of the configuration. `None` if it has
    /// none.
    pub fn trunk_fields(&self) -> Option<&'static [UiField]> {
        match (&self.trunks, self.sip) {
            (Some(ops), _) => Some(ops.fields),
            (None, Some(_)) => Some(self.ui.fields),
            (None, None) => None,
        }
    }

    /// What the provider can do: a stable word and what it means.
    pub fn capabilities(&self) -> impl Iterator<Item = (&'static str, &'static str)> + use<> {
        let Self { inbound, calls, trunks, flow, events, stream, sip, .. } = self;
        let all = [
            (sip.is_some(), "sip", "calls in and out over SIP"),
            (inbound.is_some(), "inbound", "calls offered over HTTP"),
            (calls.originate.is_some(), "originate", "places calls over HTTP"),
            (calls.hangup.is_some(), "hangup", "ends calls over HTTP"),
            (calls.transfer.is_some(), "transfer", "hands calls over by HTTP"),
            (calls.dtmf.is_some(), "dtmf", "presses keys over HTTP"),
            (calls.record.is_some(), "record", "records at the carrier"),
            (calls.status.is_some(), "status", "tells how a call stands"),
            (calls.cost.is_some(), "cost", "tells what a call cost"),
            (calls.numbers.is_some(), "numbers", "lists the account's numbers"),
            (calls.bind.is_some(), "bind", "points numbers at this server"),
            (calls.test.is_some(), "test", "tries the credentials"),
            (calls.provision.is_some(), "provision", "sets the account up"),
            (trunks.is_some(), "trunks", "has trunks of its own"),
            (flow.is_some(), "flow", "control by conversation"),
            (events.is_some(), "events", "tells what happens over a socket"),
            (stream.is_some(), "stream", "audio over a stream of messages"),
        ];
        all.into_iter().filter(|(has, ..)| *has).map(|(_, word, meaning)| (word, meaning))
    }
}
