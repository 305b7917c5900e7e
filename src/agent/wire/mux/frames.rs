//! Frames of several streams in one message: each behind its length in two bytes, most significant
//! first (RFC 4571 2), and with the header of RFC 3550 5.1, whose SSRC is its stream.

use super::super::HEADER_BYTES;

/// Bytes of the length in front of a frame.
pub const LENGTH_BYTES: usize = 2;

/// Why a message is no sequence of frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FramesError {
    /// It ends within a length or before the end of a frame.
    #[error("ends within a frame")]
    Cut,
    /// A frame has no room for the header that says whose it is.
    #[error("has a frame without a header")]
    NoHeader,
}

/// The frames of one message, in order, with their streams. Frames of length zero mean nothing.
#[derive(Debug)]
pub struct Frames<'m> {
    rest: &'m mut [u8],
}

impl<'m> Frames<'m> {
    /// Takes a message, if all of it is frames.
    ///
    /// # Errors
    ///
    /// A [`FramesError`]; nothing of the message is to be taken for audio then.
    pub fn new(message: &'m mut [u8]) -> Result<Self, FramesError> {
        let mut rest: &[u8] = message;
        while !rest.is_empty() {
            let (length, behind) = split_length(rest).ok_or(FramesError::Cut)?;
            if (1..HEADER_BYTES).contains(&length) {
                return Err(FramesError::NoHeader);
            }
            rest = behind.get(length..).ok_or(FramesError::Cut)?;
        }
        Ok(Self { rest: message })
    }
}

impl<'m> Iterator for Frames<'m> {
    type Item = (u32, &'m mut [u8]);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let (length, _) = split_length(self.rest)?;
            let rest = std::mem::take(&mut self.rest);
            let (_, behind) = rest.split_at_mut_checked(LENGTH_BYTES)?;
            let (frame, rest) = behind.split_at_mut_checked(length)?;
            self.rest = rest;
            if let Some(stream) = stream(frame) {
                return Some((stream, frame));
            }
        }
    }
}

/// Appends a frame behind its length. False if it is too long for one: nothing was appended.
#[inline]
pub fn append(out: &mut Vec<u8>, frame: &[u8]) -> bool {
    let Ok(length) = u16::try_from(frame.len()) else { return false };
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(frame);
    true
}

#[inline]
fn split_length(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let (length, behind) = bytes.split_first_chunk::<LENGTH_BYTES>()?;
    Some((usize::from(u16::from_be_bytes(*length)), behind))
}

/// The stream of a frame: the last four bytes of its header.
#[inline]
fn stream(frame: &[u8]) -> Option<u32> {
    let header = frame.first_chunk::<HEADER_BYTES>()?;
    let [.., a, b, c, d] = *header;
    Some(u32::from_be_bytes([a, b, c, d]))
}
