//! What we send: one stream and its reports.

use super::SrtpError;
use super::cipher::{Cipher, Trailer, Use};
use super::key::MasterKey;
use super::layout::{RTCP_CLEAR_BYTES, RTCP_ENCRYPTED, RTCP_INDEX_BYTES, rtcp_ssrc, rtp_header};
use super::window::{INDEX_MAX, RTCP_INDEX_MAX, Window, guess};

/// Protects one stream, whose packets may be a little out of order, but none twice. A new key
/// starts a new context, whose rollover counter is zero.
#[derive(Debug)]
pub struct Outbound {
    rtp: Cipher,
    rtcp: Cipher,
    /// SSRC of the stream, and which indices were used.
    stream: Option<(u32, Window)>,
    /// Index of the next report.
    rtcp_index: u32,
    /// Packets that the key may still protect.
    left: u64,
}

impl Outbound {
    /// A context for the stream that is sent under `master`.
    ///
    /// # Errors
    ///
    /// [`SrtpError::UnknownKey`] if the library takes no such key.
    pub fn new(master: &MasterKey) -> Result<Self, SrtpError> {
        Ok(Self {
            rtp: Cipher::new(master, Use::Rtp).ok_or(SrtpError::UnknownKey)?,
            rtcp: Cipher::new(master, Use::Rtcp).ok_or(SrtpError::UnknownKey)?,
            stream: None,
            rtcp_index: 1,
            left: INDEX_MAX + 1,
        })
    }

    /// Lets the key protect at most `packets` packets in all (RFC 4568 6.1).
    #[must_use]
    pub fn with_lifetime(self, packets: u64) -> Self {
        Self { left: packets.min(INDEX_MAX + 1), ..self }
    }

    /// Protects the RTP packet in the first `length` bytes of `buffer`, in place, and tells its new
    /// length.
    ///
    /// # Errors
    ///
    /// An [`SrtpError`]; the packet must not be sent then.
    #[inline]
    pub fn protect(&mut self, buffer: &mut [u8], length: usize) -> Result<usize, SrtpError> {
        let total = length.checked_add(self.rtp.tag_bytes()).ok_or(SrtpError::NoRoom)?;
        let whole = buffer.get_mut(..total).ok_or(SrtpError::NoRoom)?;
        let (packet, tag) = whole.split_at_mut_checked(length).ok_or(SrtpError::NoRoom)?;
        let header = rtp_header(packet)?;
        let (ssrc, window) = self.stream.get_or_insert((header.ssrc, Window::default()));
        if *ssrc != header.ssrc {
            return Err(SrtpError::Reuse);
        }
        let newest = window.newest();
        let index = match guess(newest, header.seq) {
            _ if window.is_empty() => u64::from(header.seq),
            Some(index) if window.admits(index) => index,
            None if newest > INDEX_MAX / 2 => return Err(SrtpError::KeyExpired),
            _ => return Err(SrtpError::Reuse),
        };
        self.left = self.left.checked_sub(1).ok_or(SrtpError::KeyExpired)?;
        window.note(index);
        let trailer = Trailer::RollOver((index >> 16) as u32);
        self.rtp.seal(packet, header.bytes, header.ssrc, index, trailer, tag)?;
        Ok(total)
    }

    /// Protects the compound of reports in the first `length` bytes of `buffer`, in place, and
    /// tells its new length.
    ///
    /// # Errors
    ///
    /// An [`SrtpError`]; the compound must not be sent then.
    pub fn protect_rtcp(&mut self, buffer: &mut [u8], length: usize) -> Result<usize, SrtpError> {
        let added = self.rtcp.tag_bytes() + RTCP_INDEX_BYTES;
        let total = length.checked_add(added).ok_or(SrtpError::NoRoom)?;
        let whole = buffer.get_mut(..total).ok_or(SrtpError::NoRoom)?;
        let (packet, behind) = whole.split_at_mut_checked(length).ok_or(SrtpError::NoRoom)?;
        let ssrc = rtcp_ssrc(packet)?;
        let index = self.rtcp_index;
        if index > RTCP_INDEX_MAX {
            return Err(SrtpError::KeyExpired);
        }
        self.rtcp_index += 1;
        let word = index | RTCP_ENCRYPTED;
        // GCM's tag is the end of the ciphertext, HMAC's the end of all.
        let (tag, field) = if self.rtcp.is_gcm() {
            behind.split_at_mut(self.rtcp.tag_bytes())
        } else {
            let (field, tag) = behind.split_at_mut(RTCP_INDEX_BYTES);
            (tag, field)
        };
        field.copy_from_slice(&word.to_be_bytes());
        let trailer = Trailer::RtcpIndex(word);
        self.rtcp.seal(packet, RTCP_CLEAR_BYTES, ssrc, index.into(), trailer, tag)?;
        Ok(total)
    }

    /// The rollover counter of the last packet.
    pub const fn rollover(&self) -> u32 {
        match &self.stream {
            Some((_, window)) => (window.newest() >> 16) as u32,
            None => 0,
        }
    }
}
