//! Offers and answers of one audio stream (RFC 3264).
//!
//! One codec is answered, so that a call has one format until the next offer: the first of the
//! *offerer's* list that is supported here, because what the offerer prefers is what it does not
//! have to convert. Every other `m=` line of an offer is answered in its place with port 0.

mod answer;
#[doc(hidden)]
pub mod fuzz;
mod offer;
mod opus;
mod payloads;
mod security;
mod settle;

pub use answer::{accept_answer, accept_answer_to, answer};
pub use offer::{build_offer, build_reoffer};
pub use payloads::offered_codecs;
pub use security::{LocalSrtp, SrtpPolicy};

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use media::codec::AudioFormat;
use media::srtp::SrtpKeys;

use super::sdp::Direction;

/// Payload type under which offers carry telephone-event (RFC 4733) at 8 kHz.
pub const TELEPHONE_EVENT_PT: u8 = 101;
/// Shortest packet that is sent.
pub const PTIME_MIN_MS: u32 = 10;
/// Longest packet that is sent.
pub const PTIME_MAX_MS: u32 = 60;

/// What one side can do.
#[derive(Clone, Debug, PartialEq)]
pub struct LocalMedia {
    /// Where RTP is received.
    pub address: IpAddr,
    /// RTP port. RTCP is on the next one unless multiplexed.
    pub port: u16,
    /// Codecs in order of preference. What RTP cannot carry (little-endian L16) is skipped.
    pub codecs: Vec<AudioFormat>,
    /// Whether digits are sent and received as telephone-event.
    pub telephone_event: bool,
    /// Whether offers have comfort noise (RFC 3389): so that what the other side of a call may send
    /// can be passed on.
    pub comfort_noise: bool,
    /// Packet time in milliseconds, asked for and used if the peer names none.
    pub ptime_ms: u32,
    /// What this side wants; `SendRecv` but for holding.
    pub direction: Direction,
    /// Whether RTP and RTCP may share a port (RFC 5761).
    pub rtcp_mux: bool,
    /// Whether VoIP metrics (RFC 3611) are asked for; who asks is sent them in any case.
    pub xr: bool,
    /// What is done about SRTP.
    pub srtp: LocalSrtp,
    /// `o=` identifier, the same for the whole call.
    pub session_id: u64,
    /// `o=` version, one higher with every changed description of the call (RFC 3264 8).
    pub session_version: u64,
}

impl LocalMedia {
    /// Of a side that has no RTP at all.
    pub fn none() -> Self {
        Self {
            address: IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED),
            port: 0,
            codecs: Vec::new(),
            telephone_event: false,
            comfort_noise: false,
            ptime_ms: PTIME_MIN_MS,
            direction: Direction::Inactive,
            rtcp_mux: false,
            xr: false,
            srtp: LocalSrtp::default(),
            session_id: 0,
            session_version: 0,
        }
    }
}

/// What both sides agreed on, from the local view.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Negotiated {
    /// Where RTP goes. The address is unspecified (`0.0.0.0`, `::`) if the peer is on hold in the
    /// manner of RFC 2543 or named a host: then the source of its packets tells.
    pub remote: SocketAddr,
    /// Where RTCP goes; equals `remote` if multiplexed.
    pub remote_rtcp: SocketAddr,
    /// The codec in both directions.
    pub codec: AudioFormat,
    /// Payload type to send with.
    pub pt: u8,
    /// Payload type that arrives; differs from `pt` only if the peer's answer renumbered it.
    pub receive_pt: u8,
    /// Payload type to send digits with.
    pub dtmf_pt: Option<u8>,
    /// Payload type under which digits arrive.
    pub receive_dtmf_pt: Option<u8>,
    /// Payload type of comfort noise (RFC 3389), if the peer offered it: it is answered, for a peer
    /// that falls silent is better understood than guessed at, and offered only where it is passed
    /// on, for sound without gaps is better than either.
    pub cn_pt: Option<u8>,
    /// Packet time to send with, in milliseconds.
    pub ptime_ms: u32,
    /// What the peer wants of Opus (RFC 7587), if that is the codec.
    pub opus: media::codec::opus::Settings,
    /// What this side may do.
    pub direction: Direction,
    /// RTP and RTCP share a port.
    pub rtcp_mux: bool,
    /// The peer is sent VoIP metrics (RFC 3611).
    pub xr: bool,
    /// The keys of both sides; plain RTP without.
    pub srtp: Option<Arc<SrtpKeys>>,
}

/// An answer and what it settled.
#[derive(Clone, PartialEq)]
pub struct Answer {
    /// The description to send.
    pub sdp: Vec<u8>,
    /// What holds once it is sent.
    pub selected: Negotiated,
}

/// Shows nothing of the description, as it may hold keys (RFC 4568).
impl std::fmt::Debug for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut shown = f.debug_struct("Answer");
        shown.field("sdp_bytes", &self.sdp.len()).field("selected", &self.selected).finish()
    }
}

/// Why an offer or an answer cannot be used. All map to 488 Not Acceptable Here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NegotiationError {
    /// No RTP audio stream, or all are refused.
    #[error("no audio stream over RTP")]
    NoAudio,
    /// SRTP is required here and not offered, or the other way round, or no key can be used.
    #[error("no common ground about encryption")]
    Encryption,
    /// No codec that both sides have.
    #[error("no common codec")]
    NoCommonCodec,
    /// The peer's address is of another family than ours.
    #[error("media address of another family")]
    AddressFamily,
}

impl NegotiationError {
    /// The `Warning` by which the peer is told (RFC 3261 20.43).
    #[must_use]
    pub const fn warning(self) -> &'static str {
        match self {
            Self::NoAudio => "304 talkpath \"Media type not available\"",
            Self::Encryption => "399 talkpath \"No common ground about SRTP\"",
            Self::NoCommonCodec => "305 talkpath \"Incompatible media format\"",
            Self::AddressFamily => "301 talkpath \"Incompatible network address formats\"",
        }
    }
}

#[cfg(test)]
mod tests;
