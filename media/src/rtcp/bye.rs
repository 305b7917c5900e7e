//! BYE, the goodbye (RFC 3550 6.6).

use super::{PT_BYE, PacketWriter, RtcpError};

/// Sources that leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bye<'a> {
    sources: &'a [u8],
    /// Why, as text, if they say.
    pub reason: Option<&'a [u8]>,
}

impl<'a> Bye<'a> {
    /// The sources in order.
    pub fn sources(&self) -> impl Iterator<Item = u32> + use<'a> {
        self.sources.as_chunks::<4>().0.iter().map(|&word| u32::from_be_bytes(word))
    }
}

/// Writes a goodbye of `sources` to the start of `out`; returns its length. An empty reason is left
/// out.
///
/// # Errors
///
/// [`RtcpError::NoRoom`] or, beyond 31 sources or 255 bytes of text, [`RtcpError::TooMany`].
pub fn write(out: &mut [u8], sources: &[u32], reason: &str) -> Result<usize, RtcpError> {
    let len = u8::try_from(reason.len()).map_err(|_| RtcpError::TooMany)?;
    let mut writer = PacketWriter::new(out, PT_BYE, sources.len())?;
    for &source in sources {
        writer.put_u32(source)?;
    }
    if len > 0 {
        writer.put(&[len])?;
        writer.put(reason.as_bytes())?;
        writer.align()?;
    }
    writer.finish()
}

pub(super) fn parse(count: u8, body: &[u8]) -> Result<Bye<'_>, RtcpError> {
    let len = usize::from(count) * 4;
    let (sources, rest) = body.split_at_checked(len).ok_or(RtcpError::Truncated)?;
    let reason = match rest.split_first() {
        None => None,
        Some((&len, text)) => Some(text.get(..usize::from(len)).ok_or(RtcpError::Truncated)?),
    };
    Ok(Bye { sources, reason: reason.filter(|text| !text.is_empty()) })
}
