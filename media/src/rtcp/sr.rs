//! SR, the sender report (RFC 3550 6.4.1).

use super::rr::{ReportBlock, Reports, put_blocks};
use super::{Ntp, PT_SR, PacketWriter, RtcpError, take_u32};

/// What a sender says of itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SenderInfo {
    /// Its source.
    pub ssrc: u32,
    /// The time of the report.
    pub ntp: Ntp,
    /// The same time on the stream's own clock.
    pub ts: u32,
    /// Packets sent, modulo 2^32.
    pub packets: u32,
    /// Payload bytes sent, modulo 2^32.
    pub payload_bytes: u32,
}

/// What somebody sent and heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SenderReport<'a> {
    /// What it sent.
    pub info: SenderInfo,
    /// What it heard.
    pub reports: Reports<'a>,
}

/// Writes a sender report to the start of `out`; returns its length.
///
/// # Errors
///
/// [`RtcpError::NoRoom`] or, beyond [`REPORT_BLOCKS_MAX`](super::REPORT_BLOCKS_MAX),
/// [`RtcpError::TooMany`].
pub fn write(
    out: &mut [u8],
    info: &SenderInfo,
    blocks: &[ReportBlock],
) -> Result<usize, RtcpError> {
    let mut writer = PacketWriter::new(out, PT_SR, blocks.len())?;
    let SenderInfo { ssrc, ntp, ts, packets, payload_bytes } = *info;
    for word in [ssrc, ntp.secs, ntp.frac, ts, packets, payload_bytes] {
        writer.put_u32(word)?;
    }
    put_blocks(&mut writer, blocks)?;
    writer.finish()
}

pub(super) fn parse(count: u8, mut body: &[u8]) -> Result<SenderReport<'_>, RtcpError> {
    let info = SenderInfo {
        ssrc: take_u32(&mut body)?,
        ntp: Ntp { secs: take_u32(&mut body)?, frac: take_u32(&mut body)? },
        ts: take_u32(&mut body)?,
        packets: take_u32(&mut body)?,
        payload_bytes: take_u32(&mut body)?,
    };
    Ok(SenderReport { info, reports: Reports::take(count, body)? })
}
