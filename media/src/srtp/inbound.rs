//! What the peer sends: its sources and their reports.

use arrayvec::ArrayVec;

use super::SrtpError;
use super::cipher::{Cipher, Trailer, Use};
use super::key::{MKI_BYTES_MAX, MasterKey, Mki};
use super::layout::{
    RTCP_CLEAR_BYTES, RTCP_ENCRYPTED, RTCP_INDEX_BYTES, RtpHeader, rtcp_ssrc, rtp_header,
};
use super::window::{Window, guess};
use crate::rtp::PACKET_BYTES_MAX;

/// Sources of a peer that are remembered under one key; the one that came first gives way.
pub const SOURCES_MAX: usize = 16;

const _: () = assert!(MKI_BYTES_MAX < PACKET_BYTES_MAX, "an MKI fits into a packet");

/// What is known of the peer's packets before the first one comes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InboundStart {
    /// The identifier that each packet carries.
    pub mki: Option<Mki>,
    /// The rollover counter under the key before this one. Some peers go on counting from it
    /// (RFC 3711 3.3.1), others begin at zero; the first authentic packet tells.
    pub rollover: u32,
}

/// Opens what comes from a peer under one key.
#[derive(Debug)]
pub struct Inbound {
    rtp: Cipher,
    rtcp: Cipher,
    start: InboundStart,
    sources: Sources,
    rtcp_sources: Sources,
}

/// The sources whose packets proved authentic.
#[derive(Debug, Default)]
struct Sources {
    known: ArrayVec<Source, SOURCES_MAX>,
    /// Where the next one goes when there is no room.
    next: usize,
}

/// One of them.
#[derive(Clone, Copy, Debug)]
struct Source {
    ssrc: u32,
    window: Window,
}

impl Inbound {
    /// A context for what comes under `master`.
    ///
    /// # Errors
    ///
    /// [`SrtpError::UnknownKey`] if the library takes no such key.
    pub fn new(master: &MasterKey, start: InboundStart) -> Result<Self, SrtpError> {
        Ok(Self {
            rtp: Cipher::new(master, Use::Rtp).ok_or(SrtpError::UnknownKey)?,
            rtcp: Cipher::new(master, Use::Rtcp).ok_or(SrtpError::UnknownKey)?,
            start,
            sources: Sources::default(),
            rtcp_sources: Sources::default(),
        })
    }

    /// Opens the RTP packet that fills `datagram`, in place, and tells its length.
    ///
    /// What is not authentic changes nothing here.
    ///
    /// # Errors
    ///
    /// An [`SrtpError`]; the bytes may be destroyed then.
    #[inline]
    pub fn unprotect(&mut self, datagram: &mut [u8]) -> Result<usize, SrtpError> {
        let length = self.without_mki(datagram, &self.rtp)?;
        let (packet, tag) = split_tag(datagram, length, &self.rtp)?;
        let header = rtp_header(packet)?;
        let index = match self.sources.find(header.ssrc) {
            Some(source) => {
                let index = guess(source.window.newest(), header.seq).ok_or(SrtpError::Replayed)?;
                if !source.window.admits(index) {
                    return Err(SrtpError::Replayed);
                }
                self.rtp.open_rtp(packet, header, index, tag)?;
                source.window.note(index);
                return self.opened(length, header);
            }
            None => self.open_first(datagram, length, header)?,
        };
        self.sources.remember(header.ssrc, index);
        self.opened(length, header)
    }

    /// Opens the reports that fill `datagram`, in place, and tells their length.
    ///
    /// # Errors
    ///
    /// An [`SrtpError`]; the bytes may be destroyed then.
    pub fn unprotect_rtcp(&mut self, datagram: &mut [u8]) -> Result<usize, SrtpError> {
        let tag_bytes = self.rtcp.tag_bytes();
        let least = RTCP_CLEAR_BYTES + RTCP_INDEX_BYTES + tag_bytes;
        let ssrc = rtcp_ssrc(datagram)?;
        let mut length = self.without_mki(datagram, &self.rtcp)?;
        if length < least {
            return Err(SrtpError::Truncated);
        }
        // With HMAC: packet, index, MKI, tag. With GCM: packet, tag, index, MKI.
        let mut tag = [0; 16];
        let tag = tag.get_mut(..tag_bytes).unwrap_or_default();
        if !self.rtcp.is_gcm() {
            let end = datagram.len() - tag_bytes;
            tag.copy_from_slice(datagram.get(end..).ok_or(SrtpError::Truncated)?);
            length -= tag_bytes;
        }
        let packet = datagram.get_mut(..length).ok_or(SrtpError::Truncated)?;
        let (packet, word) =
            packet.split_last_chunk_mut::<RTCP_INDEX_BYTES>().ok_or(SrtpError::Truncated)?;
        let word = u32::from_be_bytes(*word);
        if word & RTCP_ENCRYPTED == 0 {
            return Err(SrtpError::Unencrypted);
        }
        let index = u64::from(word & !RTCP_ENCRYPTED);
        let known = self.rtcp_sources.find(ssrc);
        if known.as_ref().is_some_and(|source| !source.window.admits(index)) {
            return Err(SrtpError::Replayed);
        }
        let trailer = Trailer::RtcpIndex(word);
        self.rtcp.open(packet, RTCP_CLEAR_BYTES, ssrc, index, trailer, tag)?;
        let opened = packet.len() - if self.rtcp.is_gcm() { tag_bytes } else { 0 };
        match known {
            Some(source) => source.window.note(index),
            None => self.rtcp_sources.remember(ssrc, index),
        }
        Ok(opened)
    }

    /// The highest rollover counter of any source.
    pub fn rollover(&self) -> u32 {
        let newest = self.sources.known.iter().map(|source| source.window.newest()).max();
        newest.map_or(0, |index| (index >> 16) as u32)
    }

    /// The length of the packet without its MKI, which must be the one that was settled. With GCM
    /// the MKI is the end of the datagram, with HMAC the tag follows it.
    #[inline]
    fn without_mki(&self, datagram: &[u8], cipher: &Cipher) -> Result<usize, SrtpError> {
        let Some(mki) = self.start.mki else { return Ok(datagram.len()) };
        let behind = if cipher.is_gcm() { 0 } else { cipher.tag_bytes() };
        let end = datagram.len().checked_sub(behind).ok_or(SrtpError::Truncated)?;
        let start = end.checked_sub(mki.bytes.into()).ok_or(SrtpError::Truncated)?;
        let field = datagram.get(start..end).ok_or(SrtpError::Truncated)?;
        if mki.is(field) { Ok(start + behind) } else { Err(SrtpError::UnknownKey) }
    }

    /// The first packet of a source. Its rollover counter is zero, or goes on from the key before.
    #[cold]
    fn open_first(
        &self,
        datagram: &mut [u8],
        length: usize,
        header: RtpHeader,
    ) -> Result<u64, SrtpError> {
        let before = self.start.rollover;
        if before > 0 {
            // A failed attempt destroys what it is made on, so it is made on a copy.
            let mut copy = [0; PACKET_BYTES_MAX];
            let copy = copy.get_mut(..datagram.len()).ok_or(SrtpError::Truncated)?;
            copy.copy_from_slice(datagram);
            // The counter may have moved on between the keys.
            for rollover in [before, before.saturating_add(1)] {
                let index = u64::from(rollover) << 16 | u64::from(header.seq);
                let (packet, tag) = split_tag(copy, length, &self.rtp)?;
                if self.rtp.open_rtp(packet, header, index, tag).is_ok() {
                    datagram.copy_from_slice(copy);
                    return Ok(index);
                }
                copy.copy_from_slice(datagram);
            }
        }
        let index = u64::from(header.seq);
        let (packet, tag) = split_tag(datagram, length, &self.rtp)?;
        self.rtp.open_rtp(packet, header, index, tag)?;
        Ok(index)
    }

    /// The length of an opened packet, whose header and tag are whole.
    #[inline]
    fn opened(&self, length: usize, header: RtpHeader) -> Result<usize, SrtpError> {
        let opened = length.checked_sub(self.rtp.tag_bytes()).ok_or(SrtpError::Truncated)?;
        if opened < header.bytes { Err(SrtpError::Truncated) } else { Ok(opened) }
    }
}

/// What a cipher opens, and the tag if that lies behind it. `length` counts packet and tag; an MKI
/// may lie between them, or at the end.
#[inline]
fn split_tag<'a>(
    datagram: &'a mut [u8],
    length: usize,
    cipher: &Cipher,
) -> Result<(&'a mut [u8], &'a [u8]), SrtpError> {
    let bare = length.checked_sub(cipher.tag_bytes()).ok_or(SrtpError::Truncated)?;
    if cipher.is_gcm() {
        return Ok((datagram.get_mut(..length).ok_or(SrtpError::Truncated)?, &[]));
    }
    let tag_at = datagram.len().checked_sub(cipher.tag_bytes()).ok_or(SrtpError::Truncated)?;
    let (front, tag) = datagram.split_at_mut_checked(tag_at).ok_or(SrtpError::Truncated)?;
    Ok((front.get_mut(..bare).ok_or(SrtpError::Truncated)?, tag))
}

impl Sources {
    #[inline]
    fn find(&mut self, ssrc: u32) -> Option<&mut Source> {
        self.known.iter_mut().find(|source| source.ssrc == ssrc)
    }

    #[cold]
    fn remember(&mut self, ssrc: u32, index: u64) {
        let mut window = Window::default();
        window.note(index);
        let source = Source { ssrc, window };
        if let Err(full) = self.known.try_push(source)
            && let Some(oldest) = self.known.get_mut(self.next % SOURCES_MAX)
        {
            *oldest = full.element();
            self.next += 1;
        }
    }
}

impl Cipher {
    /// Opens an RTP packet under an index.
    #[inline]
    fn open_rtp(
        &self,
        packet: &mut [u8],
        header: RtpHeader,
        index: u64,
        tag: &[u8],
    ) -> Result<(), SrtpError> {
        let trailer = Trailer::RollOver((index >> 16) as u32);
        self.open(packet, header.bytes, header.ssrc, index, trailer, tag)
    }
}
