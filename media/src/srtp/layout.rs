//! What stays readable of a packet.

use super::SrtpError;

/// Bytes of a report that stay readable: header and SSRC of the first packet (RFC 3711 3.4).
pub(super) const RTCP_CLEAR_BYTES: usize = 8;
/// Bytes of the word that holds the E flag and the SRTCP index.
pub(super) const RTCP_INDEX_BYTES: usize = 4;
/// The flag that tells that a report is encrypted.
pub(super) const RTCP_ENCRYPTED: u32 = 1 << 31;

/// What an RTP header says that protection rests on.
#[derive(Clone, Copy, Debug)]
pub(super) struct RtpHeader {
    /// Bytes that stay readable: fixed header, sources, extension (RFC 3711 3.1).
    pub(super) bytes: usize,
    pub(super) seq: u16,
    pub(super) ssrc: u32,
}

/// Reads the header; padding is not looked at, as it is encrypted.
#[inline]
pub(super) fn rtp_header(packet: &[u8]) -> Result<RtpHeader, SrtpError> {
    let &[first, _, s0, s1, _, _, _, _, c0, c1, c2, c3] =
        packet.first_chunk::<12>().ok_or(SrtpError::Truncated)?;
    let mut bytes = 12 + usize::from(first & 0x0f) * 4;
    if first & 0x10 != 0 {
        let extension = packet.get(bytes..).and_then(<[u8]>::first_chunk::<4>);
        let &[_, _, l0, l1] = extension.ok_or(SrtpError::Truncated)?;
        bytes += 4 + usize::from(u16::from_be_bytes([l0, l1])) * 4;
    }
    if bytes > packet.len() {
        return Err(SrtpError::Truncated);
    }
    let (seq, ssrc) = (u16::from_be_bytes([s0, s1]), u32::from_be_bytes([c0, c1, c2, c3]));
    Ok(RtpHeader { bytes, seq, ssrc })
}

/// The SSRC of a report's sender.
pub(super) fn rtcp_ssrc(packet: &[u8]) -> Result<u32, SrtpError> {
    let &[_, _, _, _, c0, c1, c2, c3] =
        packet.first_chunk::<RTCP_CLEAR_BYTES>().ok_or(SrtpError::Truncated)?;
    Ok(u32::from_be_bytes([c0, c1, c2, c3]))
}
