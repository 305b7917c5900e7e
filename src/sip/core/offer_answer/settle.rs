//! What an offer and its answer settle.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use media::codec::{AudioFormat, Codec};
use media::srtp::SrtpKeys;

use super::opus;
use super::{LocalMedia, Negotiated, NegotiationError, PTIME_MAX_MS, PTIME_MIN_MS};
use crate::sip::core::sdp::{Address, Direction, Media, Sdp};

/// Packet times are multiples of this.
const PTIME_STEP_MS: u32 = 10;

/// Codec, payload types and keys that both sides have.
pub(super) struct Payloads {
    pub(super) format: AudioFormat,
    pub(super) pt: u8,
    pub(super) receive_pt: u8,
    pub(super) dtmf_pt: Option<u8>,
    pub(super) receive_dtmf_pt: Option<u8>,
    pub(super) cn_pt: Option<u8>,
    pub(super) srtp: Option<Arc<SrtpKeys>>,
}

/// Joins what `peer` wrote with what is possible here.
pub(super) fn settle(
    peer: &Sdp,
    media: &Media,
    local: &LocalMedia,
    payloads: Payloads,
) -> Result<Negotiated, NegotiationError> {
    let unspecified = match local.address {
        IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        IpAddr::V6(_) => IpAddr::V6(std::net::Ipv6Addr::UNSPECIFIED),
    };
    let ip = match peer.address_of(media) {
        Some(Address::Ip(ip)) if ip.is_unspecified() => unspecified,
        Some(Address::Ip(ip)) => *ip,
        Some(Address::Name(_)) | None => unspecified,
    };
    if ip.is_ipv4() != local.address.is_ipv4() {
        return Err(NegotiationError::AddressFamily);
    }
    let held = peer.address_of(media).and_then(Address::ip).is_some_and(|ip| ip.is_unspecified());
    let theirs = peer.direction_of(media);
    let theirs = if held { theirs.and(Direction::SendOnly) } else { theirs };
    let remote = SocketAddr::new(ip, media.port);
    let rtcp_mux = local.rtcp_mux && media.rtcp_mux;
    let remote_rtcp = match &media.rtcp {
        _ if rtcp_mux => remote,
        Some((port, address)) => {
            let ip = address.as_ref().and_then(Address::ip).filter(|a| a.is_ipv4() == ip.is_ipv4());
            SocketAddr::new(ip.unwrap_or_else(|| remote.ip()), *port)
        }
        None => SocketAddr::new(ip, media.port.saturating_add(1)),
    };
    Ok(Negotiated {
        remote,
        remote_rtcp,
        codec: payloads.format,
        pt: payloads.pt,
        receive_pt: payloads.receive_pt,
        dtmf_pt: payloads.dtmf_pt,
        receive_dtmf_pt: payloads.receive_dtmf_pt,
        cn_pt: payloads.cn_pt,
        ptime_ms: ptime_ms(media, local, payloads.format),
        opus: media.fmtp(payloads.pt).map(opus::settings).unwrap_or_default(),
        direction: local.direction.and(theirs.reversed()),
        rtcp_mux,
        xr: media.voip_metrics || local.xr,
        srtp: payloads.srtp,
    })
}

/// The packet time to send with: the peer's wish, within its maximum and what is supported here.
fn ptime_ms(media: &Media, local: &LocalMedia, format: AudioFormat) -> u32 {
    let wish = media.ptime_ms.unwrap_or(local.ptime_ms);
    let wish = wish.min(media.maxptime_ms.unwrap_or(PTIME_MAX_MS));
    let wish = (wish / PTIME_STEP_MS * PTIME_STEP_MS).clamp(PTIME_MIN_MS, PTIME_MAX_MS);
    match (format.codec, wish) {
        // Opus has no frames of 30 or 50 ms (RFC 6716 2.1.4).
        (Codec::Opus, 30) => 20,
        (Codec::Opus, 50) => 40,
        _ => wish,
    }
}
