//! The worker's end of a capture.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use media::ring::{Consumer, FrameMeta, Producer, frame_ring};
use media::time::MonoTime;

use super::{PACKET_BYTES_MAX, PACKETS_MAX};

/// Bytes of an address in front of a packet.
const ADDRESS_BYTES: usize = 18;

/// What a packet is, and which way it went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// RTP of the peer.
    RtpIn = 0,
    /// RTP for the peer.
    RtpOut = 1,
    /// RTCP of the peer.
    RtcpIn = 2,
    /// RTCP for the peer.
    RtcpOut = 3,
}

impl Kind {
    /// True for what came.
    pub const fn is_incoming(self) -> bool {
        matches!(self, Self::RtpIn | Self::RtcpIn)
    }

    /// True for RTCP.
    pub const fn is_rtcp(self) -> bool {
        matches!(self, Self::RtcpIn | Self::RtcpOut)
    }
}

/// Takes packets; never allocates, never waits, keeps the latest.
#[derive(Debug)]
pub struct Head(Producer);

/// A packet that was taken.
#[derive(Clone, Debug)]
pub(super) struct Packet {
    pub(super) at: MonoTime,
    pub(super) kind: Kind,
    pub(super) peer: SocketAddr,
    /// As much of it as is kept; shared with files that are written.
    pub(super) bytes: Arc<[u8]>,
    /// How long it was.
    pub(super) length: usize,
}

/// Makes both ends of a capture.
pub fn head() -> (Head, Consumer) {
    let (producer, consumer) = frame_ring(PACKETS_MAX, ADDRESS_BYTES + PACKET_BYTES_MAX);
    (Head(producer), consumer)
}

impl Head {
    /// Takes a packet from or for `peer`.
    pub fn take(&mut self, now: MonoTime, kind: Kind, peer: SocketAddr, packet: &[u8]) {
        let Some(mut slot) = self.0.reserve() else { return };
        let ip = match peer.ip() {
            IpAddr::V4(v4) => v4.to_ipv6_mapped(),
            IpAddr::V6(v6) => v6,
        };
        let kept = packet.get(..PACKET_BYTES_MAX.min(packet.len())).unwrap_or_default();
        let room = slot.payload_mut();
        let parts = ip.octets().into_iter().chain(peer.port().to_be_bytes());
        for (place, byte) in room.iter_mut().zip(parts) {
            *place = byte;
        }
        if let Some(place) = room.get_mut(ADDRESS_BYTES..ADDRESS_BYTES + kept.len()) {
            place.copy_from_slice(kept);
        }
        let meta = FrameMeta { seq: kind as u64, ts: packet.len() as u64, at: now, marker: false };
        slot.publish(meta, ADDRESS_BYTES + kept.len());
    }
}

/// The oldest packet that waits.
pub(super) fn next(ring: &mut Consumer) -> Option<Packet> {
    let frame = ring.peek()?;
    let meta = frame.meta();
    let kind = match meta.seq {
        0 => Kind::RtpIn,
        1 => Kind::RtpOut,
        2 => Kind::RtcpIn,
        _ => Kind::RtcpOut,
    };
    let packet = frame.payload().split_first_chunk::<16>().and_then(|(ip, rest)| {
        let (port, bytes) = rest.split_first_chunk::<2>()?;
        let ip = IpAddr::from(*ip).to_canonical();
        let peer = SocketAddr::new(ip, u16::from_be_bytes(*port));
        Some(Packet { at: meta.at, kind, peer, bytes: bytes.into(), length: meta.ts as usize })
    });
    frame.consume();
    packet
}
