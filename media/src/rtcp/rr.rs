//! RR, the receiver report, and the blocks it shares with SR (RFC 3550 6.4.1, 6.4.2).

use super::{PT_RR, PacketWriter, RtcpError, take_u32};

/// Most blocks of one report.
pub const REPORT_BLOCKS_MAX: usize = 31;
const BLOCK_BYTES: usize = 24;

/// What was heard of one source.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReportBlock {
    /// The source.
    pub ssrc: u32,
    /// Loss since the last report, in 256ths.
    pub fraction_lost: u8,
    /// Packets lost since the start, 24 bits with sign; more are clamped.
    pub lost: i32,
    /// Cycles and highest sequence number.
    pub highest_seq: u32,
    /// Interarrival jitter in clock units.
    pub jitter: u32,
    /// Middle bits of the NTP time of the source's last SR, zero if none came.
    pub lsr: u32,
    /// Time since that SR came, in 2^-16 s.
    pub dlsr: u32,
}

/// What somebody heard who sends nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReceiverReport<'a> {
    /// Who reports.
    pub ssrc: u32,
    /// On whom.
    pub reports: Reports<'a>,
}

/// The blocks of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reports<'a> {
    bytes: &'a [u8],
}

impl<'a> Reports<'a> {
    /// Takes `count` blocks off `body`; what follows is the profile's extension and left out.
    pub(super) fn take(count: u8, body: &'a [u8]) -> Result<Self, RtcpError> {
        let len = usize::from(count) * BLOCK_BYTES;
        let (bytes, _) = body.split_at_checked(len).ok_or(RtcpError::Truncated)?;
        Ok(Self { bytes })
    }

    /// The blocks in order.
    pub fn iter(&self) -> impl Iterator<Item = ReportBlock> + use<'a> {
        self.bytes.as_chunks::<BLOCK_BYTES>().0.iter().filter_map(|block| read(block).ok())
    }
}

/// Writes a receiver report to the start of `out`; returns its length.
///
/// # Errors
///
/// [`RtcpError::NoRoom`] or, beyond [`REPORT_BLOCKS_MAX`], [`RtcpError::TooMany`].
pub fn write(out: &mut [u8], ssrc: u32, blocks: &[ReportBlock]) -> Result<usize, RtcpError> {
    let mut writer = PacketWriter::new(out, PT_RR, blocks.len())?;
    writer.put_u32(ssrc)?;
    put_blocks(&mut writer, blocks)?;
    writer.finish()
}

pub(super) fn parse(count: u8, mut body: &[u8]) -> Result<ReceiverReport<'_>, RtcpError> {
    let ssrc = take_u32(&mut body)?;
    Ok(ReceiverReport { ssrc, reports: Reports::take(count, body)? })
}

pub(super) fn put_blocks(
    writer: &mut PacketWriter<'_>,
    blocks: &[ReportBlock],
) -> Result<(), RtcpError> {
    for block in blocks {
        let [_, l0, l1, l2] = block.lost.clamp(-(1 << 23), (1 << 23) - 1).to_be_bytes();
        writer.put_u32(block.ssrc)?;
        writer.put(&[block.fraction_lost, l0, l1, l2])?;
        for word in [block.highest_seq, block.jitter, block.lsr, block.dlsr] {
            writer.put_u32(word)?;
        }
    }
    Ok(())
}

fn read(mut block: &[u8]) -> Result<ReportBlock, RtcpError> {
    let block = &mut block;
    let ssrc = take_u32(block)?;
    let loss = take_u32(block)?;
    Ok(ReportBlock {
        ssrc,
        fraction_lost: (loss >> 24) as u8,
        // Shifted up and down again, so that the sign of the 24 bits spreads.
        lost: (loss << 8).cast_signed() >> 8,
        highest_seq: take_u32(block)?,
        jitter: take_u32(block)?,
        lsr: take_u32(block)?,
        dlsr: take_u32(block)?,
    })
}
