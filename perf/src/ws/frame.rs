//! Frames (RFC 6455 5.2): written into a buffer, read in place from what has arrived.

use std::ops::Range;

/// A message's continuation.
pub(crate) const CONTINUATION: u8 = 0;
/// A text message.
pub(crate) const TEXT: u8 = 1;
/// A binary message.
pub(crate) const BINARY: u8 = 2;
/// The end of the connection.
pub(crate) const CLOSE: u8 = 8;
/// Answered by a pong with the same payload.
pub(crate) const PING: u8 = 9;
/// Answer to a ping.
pub(crate) const PONG: u8 = 10;

/// The code of a connection that ends in order (RFC 6455 7.4.1).
pub(crate) const NORMAL: u16 = 1000;

/// Largest frame taken, in bytes.
pub(crate) const MAX_FRAME_BYTES: usize = 1 << 20;

/// Unused bytes at the front of the read buffer before it is moved up.
const SLACK_BYTES: usize = 16 << 10;

/// Why what arrived is not a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FrameError {
    /// A reserved bit is set though no extension was agreed on.
    #[error("reserved bits set")]
    Reserved,
    /// The length is beyond [`MAX_FRAME_BYTES`].
    #[error("frame too long")]
    TooLong,
    /// A control frame is fragmented or longer than 125 bytes.
    #[error("bad control frame")]
    Control,
}

/// A frame's head and where its payload lies in the reader's buffer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    /// Last of its message.
    pub(crate) fin: bool,
    /// What it is.
    pub(crate) opcode: u8,
    /// It came masked, as a client's must.
    pub(crate) masked: bool,
    /// Its payload, unmasked; see [`Reader::payload`].
    pub(crate) at: Range<usize>,
}

/// XORs a payload with a mask (RFC 6455 5.3), eight bytes at a time.
pub(crate) fn mask(payload: &mut [u8], key: [u8; 4]) {
    let [a, b, c, d] = key;
    let wide = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
    let (chunks, rest) = payload.as_chunks_mut::<8>();
    for chunk in chunks {
        *chunk = (u64::from_ne_bytes(*chunk) ^ wide).to_ne_bytes();
    }
    for (byte, key) in rest.iter_mut().zip(key) {
        *byte ^= key;
    }
    // A rest of five to seven bytes goes on with the key's start.
    if let Some(tail) = rest.get_mut(4..) {
        for (byte, key) in tail.iter_mut().zip(key) {
            *byte ^= key;
        }
    }
}

/// Appends an unfragmented frame; with a key it is masked, as a client's must be.
pub(crate) fn write(out: &mut Vec<u8>, opcode: u8, payload: &[u8], key: Option<[u8; 4]>) {
    let masked = if key.is_some() { 0x80 } else { 0 };
    out.push(0x80 | opcode);
    match payload.len() {
        length @ 0..=125 => out.push(masked | length as u8),
        length @ 126..=0xFFFF => {
            out.push(masked | 126);
            out.extend_from_slice(&(length as u16).to_be_bytes());
        }
        length => {
            out.push(masked | 127);
            out.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    if let Some(key) = key {
        out.extend_from_slice(&key);
    }
    let start = out.len();
    out.extend_from_slice(payload);
    if let (Some(key), Some(body)) = (key, out.get_mut(start..)) {
        mask(body, key);
    }
}

#[cfg(test)]
/// Appends a close frame with a code (RFC 6455 7.4).
pub(crate) fn write_close(out: &mut Vec<u8>, code: u16, key: Option<[u8; 4]>) {
    write(out, CLOSE, &code.to_be_bytes(), key);
}

/// Cuts a stream of bytes into frames.
#[derive(Debug, Default)]
pub(crate) struct Reader {
    buffer: Vec<u8>,
    taken: usize,
}

impl Reader {
    /// Appends what arrived.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        if self.taken == self.buffer.len() {
            self.buffer.clear();
            self.taken = 0;
        } else if self.taken > SLACK_BYTES {
            self.buffer.drain(..self.taken);
            self.taken = 0;
        }
        self.buffer.extend_from_slice(bytes);
    }

    /// The payload of a frame that [`Self::next`] returned last.
    pub(crate) fn payload(&self, frame: &Frame) -> &[u8] {
        self.buffer.get(frame.at.clone()).unwrap_or_default()
    }

    /// What has arrived behind the frame that [`Self::next`] returned last.
    #[cfg(feature = "carriers")]
    pub(crate) fn rest(&self) -> &[u8] {
        self.buffer.get(self.taken..).unwrap_or_default()
    }

    /// The next whole frame, unmasked in place.
    pub(crate) fn next(&mut self) -> Result<Option<Frame>, FrameError> {
        let pending = self.buffer.get_mut(self.taken..).unwrap_or_default();
        let Some(([first, second], rest)) = pending.split_first_chunk_mut::<2>() else {
            return Ok(None);
        };
        if *first & 0x70 != 0 {
            return Err(FrameError::Reserved);
        }
        let (fin, opcode) = (*first & 0x80 != 0, *first & 0x0F);
        let (masked, short) = (*second & 0x80 != 0, *second & 0x7F);
        if opcode >= CLOSE && (!fin || short > 125) {
            return Err(FrameError::Control);
        }
        let extra = match short {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        let Some((long, rest)) = rest.split_at_mut_checked(extra) else { return Ok(None) };
        let length = match short {
            126 | 127 => long.iter().fold(0u64, |sum, byte| sum << 8 | u64::from(*byte)),
            short => u64::from(short),
        };
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        if length > MAX_FRAME_BYTES {
            return Err(FrameError::TooLong);
        }
        let keys = if masked { 4 } else { 0 };
        let Some((key, rest)) = rest.split_at_mut_checked(keys) else { return Ok(None) };
        let Some(body) = rest.get_mut(..length) else { return Ok(None) };
        if let Ok(key) = <[u8; 4]>::try_from(&*key) {
            mask(body, key);
        }
        let start = self.taken + 2 + extra + keys;
        self.taken = start + length;
        Ok(Some(Frame { fin, opcode, masked, at: start..self.taken }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every length form comes back, masked and not, however the bytes are cut on the way.
    #[test]
    fn frames_round_trip_in_any_pieces() {
        for length in [0, 1, 3, 5, 7, 8, 13, 125, 126, 127, 172, 65_535, 65_536, 70_001] {
            let payload: Vec<u8> = (0..length).map(|at| at as u8 ^ 0x5A).collect();
            for key in [None, Some([1, 2, 3, 250])] {
                for piece in [1, 2, 7, 100_000] {
                    if piece < 7 && length > 1_000 {
                        continue;
                    }
                    let mut bytes = Vec::new();
                    write(&mut bytes, BINARY, &payload, key);
                    write(&mut bytes, PING, b"hi", key);
                    let mut reader = Reader::default();
                    let mut frames = Vec::new();
                    for part in bytes.chunks(piece) {
                        reader.push(part);
                        while let Some(frame) = reader.next().expect("frame") {
                            assert_eq!(frame.masked, key.is_some());
                            frames.push((frame.opcode, reader.payload(&frame).to_vec()));
                        }
                    }
                    assert_eq!(frames, [(BINARY, payload.clone()), (PING, b"hi".to_vec())]);
                }
            }
        }
    }

    /// The example of RFC 6455 5.7: "Hello", masked.
    #[test]
    fn reads_the_rfc_example() {
        let bytes = [0x81, 0x85, 0x37, 0xFA, 0x21, 0x3D, 0x7F, 0x9F, 0x4D, 0x51, 0x58];
        let mut reader = Reader::default();
        reader.push(&bytes);
        let frame = reader.next().expect("valid").expect("whole");
        assert_eq!((frame.opcode, reader.payload(&frame)), (TEXT, &b"Hello"[..]));
        let mut written = Vec::new();
        write(&mut written, TEXT, b"Hello", Some([0x37, 0xFA, 0x21, 0x3D]));
        assert_eq!(written, bytes);
    }

    /// What no peer may send is refused.
    #[test]
    fn refuses_nonsense() {
        for (bytes, error) in [
            (&[0xC2u8, 0][..], FrameError::Reserved),
            (&[0x09, 0], FrameError::Control),
            (&[0x89, 126], FrameError::Control),
            (&[0x82, 127, 0xFF, 0, 0, 0, 0, 0, 0, 0], FrameError::TooLong),
        ] {
            let mut reader = Reader::default();
            reader.push(bytes);
            assert_eq!(reader.next(), Err(error));
        }
    }

    /// A long stream of frames does not make the buffer grow.
    #[test]
    fn buffer_stays_small() {
        let mut reader = Reader::default();
        let mut bytes = Vec::new();
        write(&mut bytes, BINARY, &[7; 172], Some([1, 2, 3, 4]));
        bytes.extend_from_slice(&bytes.clone()[..90]);
        reader.push(&bytes[..90]);
        for _ in 0..10_000 {
            reader.push(&bytes[90..]);
            assert!(reader.next().expect("valid").is_some());
        }
        assert!(reader.buffer.capacity() < 100_000);
    }
}
