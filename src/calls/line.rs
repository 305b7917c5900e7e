//! The control's part of a line: which socket is let in, and how to speak on it.

use adapters::config::RawConfig;
use adapters::event::CarrierCallId;
use adapters::spec::ProviderSpec;
use adapters::stream::StreamStart;

use super::media_token::MediaToken;
use crate::agent::socket::AgentSocket;
use crate::workers::line::LineLink;

/// The line that a call's peer is on.
pub(super) struct Line {
    /// The carrier.
    pub(super) spec: &'static ProviderSpec,
    /// The configuration that the call came or went by.
    pub(super) config: RawConfig,
    /// The carrier's id of the call, once it is known.
    pub(super) carrier_call: Option<CarrierCallId>,
    /// Lets the media socket in.
    pub(super) token: MediaToken,
}

impl Line {
    /// What a worker is given of a socket that was let in.
    pub(super) fn link(&self, socket: AgentSocket) -> Option<LineLink> {
        let call = self.carrier_call.clone();
        let start = StreamStart { config: self.config.clone(), call: call.clone() };
        let stream = self.spec.stream?(&start);
        Some(LineLink { socket, stream, call: call.map(|call| call.0) })
    }
}
