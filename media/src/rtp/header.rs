//! The RTP packet as a view of its bytes, and the header writer (RFC 3550 5.1, 5.3.1).

use thiserror::Error;

/// Bytes of the fixed header.
pub const HEADER_BYTES: usize = 12;

/// Longest datagram worth receiving: an Ethernet frame. Longer ones are not telephony.
pub const PACKET_BYTES_MAX: usize = 1500;

/// Why bytes are not an RTP packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum RtpError {
    /// Shorter than the fixed header.
    #[error("shorter than an RTP header")]
    Truncated,
    /// The version field is not 2.
    #[error("RTP version is not 2")]
    Version,
    /// The list of contributing sources runs past the end.
    #[error("list of contributing sources runs past the end")]
    Csrc,
    /// The header extension runs past the end.
    #[error("header extension runs past the end")]
    Extension,
    /// The padding count is zero or larger than what it may cover.
    #[error("padding count is zero or too large")]
    Padding,
}

/// The fields of the fixed header that differ from packet to packet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Header {
    /// First packet of a talkspurt (RFC 3551 4.1).
    pub marker: bool,
    /// Payload type, 0 to 127.
    pub pt: u8,
    /// Sequence number.
    pub seq: u16,
    /// Timestamp in the codec's clock.
    pub ts: u32,
    /// Synchronisation source.
    pub ssrc: u32,
}

/// A header extension (RFC 3550 5.3.1); what it means is its profile's affair (RFC 8285).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extension<'a> {
    /// The 16 bits "defined by profile".
    pub profile: u16,
    /// The words after the extension's own header; a multiple of four bytes.
    pub data: &'a [u8],
}

/// An RTP packet, borrowed from the datagram that held it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet<'a> {
    /// The fixed header.
    pub header: Header,
    /// Contributing sources, four bytes each in network order; see [`Packet::csrcs`].
    pub csrc_bytes: &'a [u8],
    /// The header extension, if there is one.
    pub extension: Option<Extension<'a>>,
    /// The payload without padding.
    pub payload: &'a [u8],
}

impl<'a> Packet<'a> {
    /// Reads the packet that fills `bytes`.
    ///
    /// # Errors
    ///
    /// An [`RtpError`] that names the part that does not fit (RFC 3550 A.1).
    #[inline]
    pub fn parse(bytes: &'a [u8]) -> Result<Self, RtpError> {
        let (fixed, rest) = bytes.split_first_chunk::<HEADER_BYTES>().ok_or(RtpError::Truncated)?;
        let &[first, second, s0, s1, t0, t1, t2, t3, c0, c1, c2, c3] = fixed;
        if first >> 6 != VERSION {
            return Err(RtpError::Version);
        }
        let header = Header {
            marker: second & MARKER != 0,
            pt: second & PT_MASK,
            seq: u16::from_be_bytes([s0, s1]),
            ts: u32::from_be_bytes([t0, t1, t2, t3]),
            ssrc: u32::from_be_bytes([c0, c1, c2, c3]),
        };
        if first == PLAIN_FIRST {
            return Ok(Self { header, csrc_bytes: &[], extension: None, payload: rest });
        }
        Self::parse_rest(first, header, rest)
    }

    /// What hardly any telephony packet has: contributing sources, an extension, padding.
    #[cold]
    fn parse_rest(first: u8, header: Header, rest: &'a [u8]) -> Result<Self, RtpError> {
        let csrc_len = usize::from(first & CSRC_COUNT_MASK) * 4;
        let (csrc_bytes, mut payload) = rest.split_at_checked(csrc_len).ok_or(RtpError::Csrc)?;
        let mut extension = None;
        if first & EXTENSION != 0 {
            let (&[p0, p1, l0, l1], after) =
                payload.split_first_chunk::<4>().ok_or(RtpError::Extension)?;
            let words = usize::from(u16::from_be_bytes([l0, l1]));
            let (data, after) = after.split_at_checked(words * 4).ok_or(RtpError::Extension)?;
            extension = Some(Extension { profile: u16::from_be_bytes([p0, p1]), data });
            payload = after;
        }
        if first & PADDING != 0 {
            let count = usize::from(*payload.last().ok_or(RtpError::Padding)?);
            if count == 0 {
                return Err(RtpError::Padding);
            }
            let kept = payload.len().checked_sub(count).ok_or(RtpError::Padding)?;
            payload = payload.split_at_checked(kept).ok_or(RtpError::Padding)?.0;
        }
        Ok(Self { header, csrc_bytes, extension, payload })
    }

    /// The contributing sources, in order.
    pub fn csrcs(&self) -> impl Iterator<Item = u32> + 'a {
        self.csrc_bytes.as_chunks::<4>().0.iter().map(|&word| u32::from_be_bytes(word))
    }
}

/// Writes a fixed header without contributing sources, extension or padding to `out`.
///
/// Bit 7 of `header.pt` does not exist and is left out.
#[inline]
pub const fn write_header(out: &mut [u8; HEADER_BYTES], header: &Header) {
    let [s0, s1] = header.seq.to_be_bytes();
    let [t0, t1, t2, t3] = header.ts.to_be_bytes();
    let [c0, c1, c2, c3] = header.ssrc.to_be_bytes();
    let second = (header.pt & PT_MASK) | if header.marker { MARKER } else { 0 };
    *out = [PLAIN_FIRST, second, s0, s1, t0, t1, t2, t3, c0, c1, c2, c3];
}

/// True if a datagram on a port that carries both is RTCP rather than RTP (RFC 5761 4).
///
/// RTCP packet types 192 to 223 would be RTP payload types 64 to 95, which nobody may use then.
#[inline]
pub fn is_rtcp(bytes: &[u8]) -> bool {
    matches!(bytes.get(1), Some(192..=223))
}

/// True if the version is that of RTP and RTCP; encryption leaves it in the clear (RFC 3711 3).
#[inline]
#[must_use]
pub fn has_version(bytes: &[u8]) -> bool {
    bytes.first().is_some_and(|first| first >> 6 == VERSION)
}

const VERSION: u8 = 2;
const PADDING: u8 = 0x20;
const EXTENSION: u8 = 0x10;
const CSRC_COUNT_MASK: u8 = 0x0f;
const MARKER: u8 = 0x80;
const PT_MASK: u8 = 0x7f;
/// The first byte of a packet with nothing but the fixed header and payload.
const PLAIN_FIRST: u8 = VERSION << 6;

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: Header =
        Header { marker: true, pt: 101, seq: 0x1234, ts: 0x0102_0304, ssrc: 0xdead_beef };

    /// A packet with everything the format allows: two sources, an extension, three bytes padding.
    fn full() -> Vec<u8> {
        let mut bytes = vec![0xb2, 0xe5, 0x12, 0x34, 1, 2, 3, 4, 0xde, 0xad, 0xbe, 0xef];
        bytes.extend([0, 0, 0, 7, 0, 0, 0, 9]);
        bytes.extend([0xbe, 0xde, 0, 1, 0x10, 0xaa, 0, 0]);
        bytes.extend([1, 2, 3, 4, 5, 0, 0, 3]);
        bytes
    }

    /// Every part lands where RFC 3550 5.1 puts it.
    #[test]
    fn reads_every_part() {
        let bytes = full();
        let packet = Packet::parse(&bytes).unwrap();
        assert_eq!(packet.header, HEADER);
        assert_eq!(packet.csrcs().collect::<Vec<_>>(), [7, 9]);
        let extension = packet.extension.unwrap();
        assert_eq!((extension.profile, extension.data), (0xbede, &[0x10, 0xaa, 0, 0][..]));
        assert_eq!(packet.payload, [1, 2, 3, 4, 5]);
    }

    /// A cut at each length names the part that was cut, and never reads past the end. Without
    /// padding every cut after the headers is merely a shorter payload.
    #[test]
    fn names_what_was_cut() {
        let mut bytes = full();
        for len in 0..bytes.len() {
            let want = match len {
                0..12 => RtpError::Truncated,
                12..20 => RtpError::Csrc,
                20..28 => RtpError::Extension,
                28 => RtpError::Padding,
                // The last byte left is then taken as the padding count: 1..=5 fit, 0 does not.
                29..=33 => continue,
                _ => RtpError::Padding,
            };
            assert_eq!(Packet::parse(&bytes[..len]), Err(want), "cut at {len}");
        }
        bytes[0] &= !0x20;
        for len in 28..=bytes.len() {
            assert_eq!(Packet::parse(&bytes[..len]).unwrap().payload.len(), len - 28);
        }
    }

    /// Padding may cover the payload whole, but not the headers.
    #[test]
    fn bounds_padding() {
        let mut bytes = full();
        *bytes.last_mut().unwrap() = 8;
        assert_eq!(Packet::parse(&bytes).unwrap().payload, []);
        *bytes.last_mut().unwrap() = 9;
        assert_eq!(Packet::parse(&bytes), Err(RtpError::Padding));
        *bytes.last_mut().unwrap() = 0;
        assert_eq!(Packet::parse(&bytes), Err(RtpError::Padding));
    }

    /// Versions 0, 1 and 3 are refused (STUN, for one, has version 0).
    #[test]
    fn refuses_other_versions() {
        for version in [0, 1, 3] {
            let mut bytes = full();
            bytes[0] = (bytes[0] & 0x3f) | (version << 6);
            assert_eq!(Packet::parse(&bytes), Err(RtpError::Version));
        }
    }

    /// What the writer writes, the reader reads.
    #[test]
    fn writes_what_it_reads() {
        let mut out = [0xff; HEADER_BYTES];
        write_header(&mut out, &HEADER);
        let packet = Packet::parse(&out).unwrap();
        assert_eq!((packet.header, packet.payload), (HEADER, &[][..]));
        assert!(!is_rtcp(&out));
    }

    /// The packet types of RFC 3550 12.1 are told from RTP by the second byte.
    #[test]
    fn tells_rtcp_from_rtp() {
        for second in 0..=255 {
            assert_eq!(is_rtcp(&[0x80, second]), (192..=223).contains(&second));
        }
        assert!(!is_rtcp(&[0x80]));
    }
}
