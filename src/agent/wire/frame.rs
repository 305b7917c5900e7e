//! The 12-byte header in front of audio (RFC 3550 5.1, fixed part only).

use adapters::agent::AgentFrame;
use adapters::wire::WireError;

use super::HEADER_BYTES;

/// First byte of every header: version 2, no padding, no extension, no CSRC.
const VERSION_2: u8 = 0x80;

/// The header of `frame`.
pub(super) fn header(frame: &AgentFrame<'_>, pt: u8, ssrc: u32) -> [u8; HEADER_BYTES] {
    let [s0, s1] = frame.seq.to_be_bytes();
    let [t0, t1, t2, t3] = frame.ts.to_be_bytes();
    let [r0, r1, r2, r3] = ssrc.to_be_bytes();
    let second = u8::from(frame.marker) << 7 | pt & 0x7f;
    [VERSION_2, second, s0, s1, t0, t1, t2, t3, r0, r1, r2, r3]
}

/// The audio behind the header of `message`. Marker, sequence and timestamp are not looked at:
/// audio is appended in order of arrival.
pub(super) fn payload(message: &[u8], pt: u8, ssrc: u32) -> Result<&[u8], WireError> {
    let Some((header, payload)) = message.split_first_chunk::<HEADER_BYTES>() else {
        return Err(WireError::BadFrame("shorter than its header"));
    };
    let [first, second, _, _, _, _, _, _, ssrc_bytes @ ..] = header;
    if first >> 6 != 2 {
        return Err(WireError::BadFrame("version is not 2"));
    }
    if *first != VERSION_2 {
        return Err(WireError::BadFrame("padding, extension or CSRC"));
    }
    if second & 0x7f != pt {
        return Err(WireError::BadFrame("payload type is not that of `out`"));
    }
    if u32::from_be_bytes(*ssrc_bytes) != ssrc {
        return Err(WireError::BadFrame("SSRC is not the stream"));
    }
    Ok(payload)
}
