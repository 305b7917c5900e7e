//! The classic capture format, with IP and UDP headers made up around payloads.

use std::net::{IpAddr, SocketAddr};

/// Packets begin with an IP header (LINKTYPE_RAW).
const LINKTYPE_RAW: u32 = 101;
/// The longest packet told in the file's header.
const SNAP_BYTES: u32 = 65_535;
const UDP_HEADER_BYTES: usize = 8;
const UDP: u8 = 17;
/// Hops left, as a packet that has just left its sender has.
const HOPS: u8 = 64;

/// A file in memory.
#[derive(Debug)]
pub(super) struct Pcap(Vec<u8>);

impl Pcap {
    /// An empty one.
    pub(super) fn new() -> Self {
        let mut out = Vec::new();
        // Microseconds, least significant byte first; version 2.4; no time zone, no accuracy.
        for word in [0xa1b2_c3d4_u32, 0x0004_0002, 0, 0, SNAP_BYTES, LINKTYPE_RAW] {
            out.extend(word.to_le_bytes());
        }
        Self(out)
    }

    /// A datagram of `length` bytes, of which `payload` was kept, at `unix_ns`.
    pub(super) fn datagram(
        &mut self,
        unix_ns: u64,
        from: SocketAddr,
        to: SocketAddr,
        payload: &[u8],
        length: usize,
    ) {
        let mut header = Vec::with_capacity(48);
        let udp_bytes = UDP_HEADER_BYTES + length;
        match (from.ip(), to.ip()) {
            (IpAddr::V4(from), IpAddr::V4(to)) => {
                let total = u16::try_from(20 + udp_bytes).unwrap_or(u16::MAX);
                header.extend([0x45, 0]);
                header.extend(total.to_be_bytes());
                header.extend([0, 0, 0x40, 0, HOPS, UDP, 0, 0]);
                header.extend(from.octets());
                header.extend(to.octets());
                let sum = checksum(&header);
                if let Some(place) = header.get_mut(10..12) {
                    place.copy_from_slice(&sum.to_be_bytes());
                }
            }
            (from, to) => {
                let v6 = |ip| match ip {
                    IpAddr::V4(v4) => std::net::Ipv4Addr::to_ipv6_mapped(&v4).octets(),
                    IpAddr::V6(v6) => v6.octets(),
                };
                header.extend([0x60, 0, 0, 0]);
                header.extend(u16::try_from(udp_bytes).unwrap_or(u16::MAX).to_be_bytes());
                header.extend([UDP, HOPS]);
                header.extend(v6(from));
                header.extend(v6(to));
            }
        }
        header.extend(from.port().to_be_bytes());
        header.extend(to.port().to_be_bytes());
        header.extend(u16::try_from(udp_bytes).unwrap_or(u16::MAX).to_be_bytes());
        // No checksum: of a packet that is cut it could not be told.
        header.extend([0, 0]);
        let whole = header.len() + length;
        let kept = header.len() + payload.len();
        let (seconds, micros) = (unix_ns / 1_000_000_000, unix_ns / 1_000 % 1_000_000);
        for word in [seconds, micros, kept as u64, whole as u64] {
            self.0.extend(u32::try_from(word).unwrap_or(u32::MAX).to_le_bytes());
        }
        self.0.extend(&header);
        self.0.extend(payload);
    }

    /// The file.
    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.0
    }
}

/// The Internet checksum (RFC 1071).
fn checksum(bytes: &[u8]) -> u16 {
    let words = bytes.as_chunks::<2>().0.iter().map(|pair| u32::from(u16::from_be_bytes(*pair)));
    let sum = words.fold(0_u32, u32::wrapping_add);
    let sum = (sum & 0xffff) + (sum >> 16);
    !((sum & 0xffff) + (sum >> 16)) as u16
}
