//! RTCP (RFC 3550 6): reports, descriptions and goodbyes, read in place and written to a caller's
//! buffer.
//!
//! [`Compound`] reads a datagram, the `write` functions compose one, [`Session`] decides when to
//! send what, and measures the round trip.

mod bursts;
mod bye;
mod rr;
mod sdes;
mod session;
mod sr;
mod xr;

use std::time::Duration;

use thiserror::Error;

pub use bursts::{BurstFigures, Bursts, GMIN};
pub use bye::Bye;
pub use rr::{REPORT_BLOCKS_MAX, ReceiverReport, ReportBlock, Reports};
pub use sdes::{CNAME_BYTES_MAX, Chunk, Item, Sdes};
pub use session::{
    COMPOUND_BYTES_MAX, Handled, RemoteReport, Session, SessionCounters, SessionInput,
};
pub use sr::{SenderInfo, SenderReport};
pub use xr::{
    Dlrr, ExtendedReport, RX_CONFIG_ADAPTIVE, RX_CONFIG_BARE, UNKNOWN, VoipMetrics, XrBlock,
};

/// Writers of single packets; each returns how many bytes it wrote.
pub mod write {
    pub use super::bye::write as bye;
    pub use super::rr::write as receiver_report;
    pub use super::sdes::write as sdes;
    pub use super::sr::write as sender_report;
    pub use super::xr::write as extended_report;
}

/// Why bytes are not RTCP, or why RTCP could not be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum RtcpError {
    /// A packet is shorter than its header says, or than its type needs.
    #[error("packet runs past the end")]
    Truncated,
    /// The version field is not 2.
    #[error("RTCP version is not 2")]
    Version,
    /// The first packet is neither a sender nor a receiver report (RFC 3550 6.1).
    #[error("the first packet is no report")]
    FirstIsNoReport,
    /// The padding count is zero or larger than the packet.
    #[error("padding count is zero or too large")]
    Padding,
    /// The buffer is too small for what is to be written.
    #[error("the buffer is too small")]
    NoRoom,
    /// More blocks, sources or bytes of text than the format can count.
    #[error("more than the format can count")]
    TooMany,
}

/// NTP time: seconds since 1900 and their fraction in 2^-32 s (RFC 3550 4).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ntp {
    /// Seconds since 1900, modulo 2^32.
    pub secs: u32,
    /// Fraction of a second in 2^-32 s.
    pub frac: u32,
}

impl Ntp {
    /// From the time since the Unix epoch.
    pub const fn from_unix(since_epoch: Duration) -> Self {
        let secs = since_epoch.as_secs().wrapping_add(UNIX_EPOCH_S) as u32;
        let frac = ((since_epoch.subsec_nanos() as u64) << 32) / 1_000_000_000;
        Self { secs, frac: frac as u32 }
    }

    /// The middle 32 bits, in 2^-16 s, as report blocks carry them.
    pub const fn middle(self) -> u32 {
        (self.secs << 16) | (self.frac >> 16)
    }
}

/// One packet of a compound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RtcpPacket<'a> {
    /// SR: what was sent, and what was heard.
    SenderReport(SenderReport<'a>),
    /// RR: what was heard.
    ReceiverReport(ReceiverReport<'a>),
    /// SDES: who it is.
    Sdes(Sdes<'a>),
    /// BYE: who leaves.
    Bye(Bye<'a>),
    /// XR: how it sounds (RFC 3611).
    ExtendedReport(ExtendedReport<'a>),
    /// Any other type.
    Other {
        /// Packet type.
        pt: u8,
        /// The five bits behind the padding bit.
        count: u8,
        /// What follows the four bytes of the common header, without padding.
        body: &'a [u8],
    },
}

/// A datagram of RTCP packets that was checked whole (RFC 3550 A.2).
#[derive(Clone, Copy, Debug)]
pub struct Compound<'a> {
    bytes: &'a [u8],
}

impl<'a> Compound<'a> {
    /// Checks that `bytes` is a run of whole packets that starts with a report.
    ///
    /// # Errors
    ///
    /// An [`RtcpError`] that names what does not fit.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, RtcpError> {
        if bytes.len() < HEADER_BYTES {
            return Err(RtcpError::Truncated);
        }
        if !matches!(bytes.get(1), Some(&(PT_SR | PT_RR))) {
            return Err(RtcpError::FirstIsNoReport);
        }
        let mut rest = bytes;
        while !rest.is_empty() {
            (_, rest) = split(rest)?;
        }
        Ok(Self { bytes })
    }

    /// The packets in order.
    pub fn packets(&self) -> impl Iterator<Item = RtcpPacket<'a>> + use<'a> {
        let mut rest = self.bytes;
        std::iter::from_fn(move || {
            let (packet, after) = split(rest).ok()?;
            rest = after;
            Some(packet)
        })
    }
}

/// Splits the first packet off.
fn split(bytes: &[u8]) -> Result<(RtcpPacket<'_>, &[u8]), RtcpError> {
    let (&[first, pt, l0, l1], rest) = bytes.split_first_chunk().ok_or(RtcpError::Truncated)?;
    if first >> 6 != VERSION {
        return Err(RtcpError::Version);
    }
    let len = usize::from(u16::from_be_bytes([l0, l1])) * 4;
    let (mut body, after) = rest.split_at_checked(len).ok_or(RtcpError::Truncated)?;
    if first & PADDING != 0 {
        let count = usize::from(*body.last().ok_or(RtcpError::Padding)?);
        let kept = body.len().checked_sub(count).filter(|_| count > 0).ok_or(RtcpError::Padding)?;
        body = body.split_at_checked(kept).ok_or(RtcpError::Padding)?.0;
    }
    let count = first & COUNT_MASK;
    let packet = match pt {
        PT_SR => RtcpPacket::SenderReport(sr::parse(count, body)?),
        PT_RR => RtcpPacket::ReceiverReport(rr::parse(count, body)?),
        PT_SDES => RtcpPacket::Sdes(sdes::parse(count, body)),
        PT_BYE => RtcpPacket::Bye(bye::parse(count, body)?),
        // An extension that cannot be read spoils nothing else.
        PT_XR => match xr::parse(body) {
            Ok(report) => RtcpPacket::ExtendedReport(report),
            Err(_) => RtcpPacket::Other { pt, count, body },
        },
        _ => RtcpPacket::Other { pt, count, body },
    };
    Ok((packet, after))
}

/// Writes one packet from its start; knows its length when it is done.
struct PacketWriter<'a> {
    out: &'a mut [u8],
    len: usize,
}

impl<'a> PacketWriter<'a> {
    /// Begins a packet of type `pt` with `count` in the header's five bits.
    fn new(out: &'a mut [u8], pt: u8, count: usize) -> Result<Self, RtcpError> {
        let count = u8::try_from(count).ok().filter(|&c| c <= COUNT_MASK);
        let count = count.ok_or(RtcpError::TooMany)?;
        let mut writer = Self { out, len: 0 };
        writer.put(&[(VERSION << 6) | count, pt, 0, 0])?;
        Ok(writer)
    }

    fn put(&mut self, bytes: &[u8]) -> Result<(), RtcpError> {
        let end = self.len + bytes.len();
        self.out.get_mut(self.len..end).ok_or(RtcpError::NoRoom)?.copy_from_slice(bytes);
        self.len = end;
        Ok(())
    }

    fn put_u32(&mut self, word: u32) -> Result<(), RtcpError> {
        self.put(&word.to_be_bytes())
    }

    /// Zeros up to the next word.
    fn align(&mut self) -> Result<(), RtcpError> {
        let zeros = [0; 3];
        let missing = self.len.next_multiple_of(4) - self.len;
        self.put(zeros.get(..missing).unwrap_or(&[]))
    }

    /// Fills the length in and tells the packet's bytes.
    fn finish(self) -> Result<usize, RtcpError> {
        let words = u16::try_from(self.len / 4 - 1).map_err(|_| RtcpError::TooMany)?;
        let field = self.out.get_mut(2..4).ok_or(RtcpError::NoRoom)?;
        field.copy_from_slice(&words.to_be_bytes());
        Ok(self.len)
    }
}

/// The next word of `bytes`, which moves behind it.
fn take_u32(bytes: &mut &[u8]) -> Result<u32, RtcpError> {
    let (word, rest) = bytes.split_first_chunk::<4>().ok_or(RtcpError::Truncated)?;
    *bytes = rest;
    Ok(u32::from_be_bytes(*word))
}

const HEADER_BYTES: usize = 4;
const VERSION: u8 = 2;
const PADDING: u8 = 0x20;
const COUNT_MASK: u8 = 0x1f;
const PT_SR: u8 = 200;
const PT_RR: u8 = 201;
const PT_SDES: u8 = 202;
const PT_BYE: u8 = 203;
const PT_XR: u8 = 207;
/// Seconds from 1900 to 1970.
const UNIX_EPOCH_S: u64 = 2_208_988_800;

#[cfg(test)]
mod tests;
