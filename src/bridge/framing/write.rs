//! Making frames.

use arrayvec::ArrayVec;

use super::header::{self, Opcode};
use super::{MAX_CONTROL_BYTES, MAX_HEADER_BYTES};
use crate::bridge::mask::mask_in_place;

/// Longest control frame: two bytes, a masking key and the payload.
const CONTROL_FRAME_BYTES: usize = 2 + 4 + MAX_CONTROL_BYTES;
/// Longest reason of a close frame: what the code leaves.
const CLOSE_REASON_BYTES: usize = MAX_CONTROL_BYTES - 2;

/// Writes the header of one whole message directly in front of its payload: into the *last* bytes
/// of `headroom`. Tells the header's length; the frame starts that many bytes before the payload.
///
/// With `mask` the payload must also be masked, by [`mask_in_place`]; [`seal`] does both.
/// Clients mask every frame with a fresh key from
/// [`MaskKeys`](crate::bridge::mask::MaskKeys), servers none (RFC 6455 5.1).
#[inline]
pub fn write_header_before(
    headroom: &mut [u8; MAX_HEADER_BYTES],
    payload_len: usize,
    opcode: Opcode,
    mask: Option<[u8; 4]>,
) -> usize {
    header::write(headroom, opcode, payload_len, mask)
}

/// Makes a frame of a buffer that holds [`MAX_HEADER_BYTES`] of headroom and a payload: writes the
/// header, masks the payload if asked, and returns the frame, which is the end of the buffer.
///
/// A buffer shorter than the headroom has no room for a frame: the result is empty.
#[inline]
pub fn seal(buffer: &mut [u8], opcode: Opcode, mask: Option<[u8; 4]>) -> &[u8] {
    let Some((headroom, payload)) = buffer.split_first_chunk_mut::<MAX_HEADER_BYTES>() else {
        return &[];
    };
    let header_len = header::write(headroom, opcode, payload.len(), mask);
    if let Some(key) = mask {
        mask_in_place(payload, key, 0);
    }
    buffer.get(MAX_HEADER_BYTES - header_len..).unwrap_or(&[])
}

/// Appends a whole frame to `out`, copying `payload`: for messages that are not audio, and for
/// batches of several frames in one buffer.
pub fn append_frame(out: &mut Vec<u8>, opcode: Opcode, payload: &[u8], mask: Option<[u8; 4]>) {
    let mut headroom = [0; MAX_HEADER_BYTES];
    let header_len = header::write(&mut headroom, opcode, payload.len(), mask);
    out.extend_from_slice(headroom.get(MAX_HEADER_BYTES - header_len..).unwrap_or(&[]));
    let start = out.len();
    out.extend_from_slice(payload);
    if let (Some(key), Some(payload)) = (mask, out.get_mut(start..)) {
        mask_in_place(payload, key, 0);
    }
}

/// A ping, pong or close, ready to be written; never allocates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ControlFrame(ArrayVec<u8, CONTROL_FRAME_BYTES>);

impl ControlFrame {
    /// A ping. Bytes of `payload` beyond [`MAX_CONTROL_BYTES`] are left out (RFC 6455 5.5.2).
    pub fn ping(payload: &[u8], mask: Option<[u8; 4]>) -> Self {
        Self::new(Opcode::Ping, payload, mask)
    }

    /// The pong that answers a ping with `payload` (RFC 6455 5.5.3).
    pub fn pong(payload: &[u8], mask: Option<[u8; 4]>) -> Self {
        Self::new(Opcode::Pong, payload, mask)
    }

    /// A close with `code` and `reason`, which is cut to whole characters if it does not fit.
    /// A code that may not be on the wire (such as 1005, "none") makes a close without a body
    /// (RFC 6455 5.5.1, 7.4.1).
    pub fn close(code: u16, reason: &str, mask: Option<[u8; 4]>) -> Self {
        let mut body = ArrayVec::<u8, MAX_CONTROL_BYTES>::new();
        if super::is_close_code(code) {
            let reason = reason.get(..reason.floor_char_boundary(CLOSE_REASON_BYTES));
            body.extend(code.to_be_bytes());
            body.extend(reason.unwrap_or("").bytes());
        }
        Self::new(Opcode::Close, &body, mask)
    }

    fn new(opcode: Opcode, payload: &[u8], mask: Option<[u8; 4]>) -> Self {
        let payload = payload.get(..MAX_CONTROL_BYTES).unwrap_or(payload);
        let mut headroom = [0; MAX_HEADER_BYTES];
        let header_len = header::write(&mut headroom, opcode, payload.len(), mask);
        let mut frame = ArrayVec::new();
        frame.extend(headroom.into_iter().skip(MAX_HEADER_BYTES - header_len));
        frame.extend(payload.iter().copied());
        if let (Some(key), Some(payload)) = (mask, frame.get_mut(header_len..)) {
            mask_in_place(payload, key, 0);
        }
        Self(frame)
    }

    /// The frame's bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::super::{MAX_HEADER_BYTES, Opcode};
    use super::{ControlFrame, append_frame, seal, write_header_before};

    /// The examples of RFC 6455 5.7, as frames that we write.
    #[test]
    fn rfc_examples() {
        let hello = b"Hello";
        let key = Some([0x37, 0xfa, 0x21, 0x3d]);
        let mut out = Vec::new();
        append_frame(&mut out, Opcode::Text, hello, None);
        assert_eq!(out, [0x81, 0x05, 0x48, 0x65, 0x6c, 0x6c, 0x6f]);
        out.clear();
        append_frame(&mut out, Opcode::Text, hello, key);
        let masked = [0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58];
        assert_eq!(out, masked);
        assert_eq!(
            ControlFrame::ping(hello, None).as_bytes(),
            [0x89, 0x05, 0x48, 0x65, 0x6c, 0x6c, 0x6f]
        );
        assert_eq!(
            ControlFrame::pong(hello, key).as_bytes(),
            [0x8a, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58]
        );
        let mut headroom = [0; MAX_HEADER_BYTES];
        assert_eq!(write_header_before(&mut headroom, 256, Opcode::Binary, None), 4);
        assert_eq!(headroom[10..], [0x82, 0x7e, 0x01, 0x00]);
        assert_eq!(write_header_before(&mut headroom, 65536, Opcode::Binary, None), 10);
        assert_eq!(headroom[4..], [0x82, 0x7f, 0, 0, 0, 0, 0, 1, 0, 0]);
    }

    /// `seal` in place and `append_frame` by copy make the same bytes, around each change of the
    /// length's form, masked or not; a buffer without headroom yields nothing.
    #[test]
    fn in_place_equals_copied() {
        for len in [0, 1, 2, 125, 126, 127, 160, 65535, 65536, 70000] {
            for mask in [None, Some([9, 8, 7, 6])] {
                let payload: Vec<u8> = (0..len).map(|i| (i * 7) as u8).collect();
                let mut copied = Vec::new();
                append_frame(&mut copied, Opcode::Binary, &payload, mask);
                let mut buffer = vec![0xee; MAX_HEADER_BYTES];
                buffer.extend_from_slice(&payload);
                assert_eq!(seal(&mut buffer, Opcode::Binary, mask), copied, "{len} {mask:?}");
            }
        }
        assert_eq!(seal(&mut [0; 13], Opcode::Text, None), b"");
        assert_eq!(seal(&mut [0; 14], Opcode::Text, None), [0x81, 0]);
    }

    /// A reason is cut between characters, and a code that only exists off the wire leaves the
    /// body out.
    #[test]
    fn close_frames() {
        let reason = "é".repeat(100);
        let frame = ControlFrame::close(1001, &reason, None);
        assert_eq!(frame.as_bytes()[..4], [0x88, 124, 0x03, 0xe9]);
        assert_eq!(frame.as_bytes().len(), 2 + 2 + 122);
        assert!(std::str::from_utf8(&frame.as_bytes()[4..]).is_ok());
        for code in [0, 999, 1004, 1005, 1006, 1015, 2999, 5000] {
            assert_eq!(ControlFrame::close(code, "x", None).as_bytes(), [0x88, 0], "{code}");
        }
        let ping = ControlFrame::ping(&[1; 300], None);
        assert_eq!(ping.as_bytes().len(), 2 + 125);
    }
}
