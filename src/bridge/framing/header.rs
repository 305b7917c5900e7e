//! The header of a frame (RFC 6455 5.2).

use super::{FrameError, MAX_CONTROL_BYTES, Role};

const FIN: u8 = 0x80;
const RESERVED: u8 = 0x70;
const OPCODE: u8 = 0x0f;
const MASK: u8 = 0x80;
const LENGTH: u8 = 0x7f;
const LENGTH_16: u8 = 126;
const LENGTH_64: u8 = 127;

/// What a frame carries (RFC 6455 5.2, 11.8).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Opcode {
    /// More of a fragmented message.
    Continuation = 0,
    /// UTF-8 text.
    Text = 1,
    /// Bytes.
    Binary = 2,
    /// The end of the connection.
    Close = 8,
    /// A question whether the peer is there.
    Ping = 9,
    /// The answer to a ping.
    Pong = 10,
}

impl Opcode {
    const fn from_bits(bits: u8) -> Result<Self, FrameError> {
        Ok(match bits {
            0 => Self::Continuation,
            1 => Self::Text,
            2 => Self::Binary,
            8 => Self::Close,
            9 => Self::Ping,
            10 => Self::Pong,
            other => return Err(FrameError::ReservedOpcode(other)),
        })
    }

    /// True for close, ping and pong (RFC 6455 5.5).
    pub const fn is_control(self) -> bool {
        matches!(self, Self::Close | Self::Ping | Self::Pong)
    }
}

/// A frame's header, checked.
#[derive(Clone, Copy, Debug)]
pub(super) struct Header {
    pub(super) fin: bool,
    pub(super) opcode: Opcode,
    pub(super) mask: Option<[u8; 4]>,
    /// Bytes of the header itself.
    pub(super) header_len: usize,
    /// Bytes of the payload.
    pub(super) payload_len: usize,
}

impl Header {
    /// Reads the header at the front of `bytes`, received by `role`. `None` if more bytes are
    /// needed; what is wrong with the first two bytes shows before the rest arrives.
    ///
    /// `limit_bytes` bounds the payload of a data frame.
    #[inline]
    pub(super) fn parse(
        bytes: &[u8],
        role: Role,
        limit_bytes: usize,
    ) -> Result<Option<Self>, FrameError> {
        let [first, second, rest @ ..] = bytes else {
            return Ok(None);
        };
        let (fin, short) = (first & FIN != 0, second & LENGTH);
        if first & RESERVED != 0 {
            return Err(FrameError::ReservedBits);
        }
        let opcode = Opcode::from_bits(first & OPCODE)?;
        let masked = second & MASK != 0;
        match (role, masked) {
            (Role::Server, false) => return Err(FrameError::NotMasked),
            (Role::Client, true) => return Err(FrameError::Masked),
            _ => {}
        }
        if opcode.is_control() {
            if !fin {
                return Err(FrameError::ControlFragmented);
            }
            if usize::from(short) > MAX_CONTROL_BYTES {
                return Err(FrameError::ControlTooLong);
            }
        }
        let Some((payload_len, length_bytes)) = length(short, rest)? else {
            return Ok(None);
        };
        let payload_len = usize::try_from(payload_len)
            .ok()
            .filter(|len| opcode.is_control() || *len <= limit_bytes)
            .ok_or(FrameError::TooBig { limit_bytes })?;
        if !masked {
            let header_len = 2 + length_bytes;
            return Ok(Some(Self { fin, opcode, mask: None, header_len, payload_len }));
        }
        let key = rest.get(length_bytes..).and_then(<[u8]>::first_chunk);
        let Some(mask) = key.copied() else {
            return Ok(None);
        };
        let header_len = 2 + length_bytes + 4;
        Ok(Some(Self { fin, opcode, mask: Some(mask), header_len, payload_len }))
    }

    /// Bytes of the whole frame.
    pub(super) const fn frame_len(&self) -> usize {
        self.header_len + self.payload_len
    }
}

/// Payload length, and how many bytes it took beyond the first two.
#[inline]
fn length(short: u8, rest: &[u8]) -> Result<Option<(u64, usize)>, FrameError> {
    let (len, taken, least) = match short {
        LENGTH_16 => match rest.first_chunk() {
            Some(len) => (u64::from(u16::from_be_bytes(*len)), 2, u64::from(LENGTH_16)),
            None => return Ok(None),
        },
        LENGTH_64 => match rest.first_chunk() {
            Some(len) => (u64::from_be_bytes(*len), 8, 1 << 16),
            None => return Ok(None),
        },
        short => (u64::from(short), 0, 0),
    };
    // The shortest form is the only one allowed, and the highest bit is always zero.
    if len < least || len >> 63 != 0 {
        return Err(FrameError::LengthForm);
    }
    Ok(Some((len, taken)))
}

/// Writes the header of a single, final frame into the last bytes of `headroom` and tells its
/// length.
#[inline]
pub(super) fn write(
    headroom: &mut [u8; super::MAX_HEADER_BYTES],
    opcode: Opcode,
    payload_len: usize,
    mask: Option<[u8; 4]>,
) -> usize {
    let masked = if mask.is_some() { MASK } else { 0 };
    let first = FIN | opcode as u8;
    // Each form is laid out from the right: [first, length form, length.., key..].
    match (payload_len, mask) {
        (0..126, None) => put(headroom, [first, payload_len as u8]),
        (0..126, Some([a, b, c, d])) => {
            put(headroom, [first, masked | payload_len as u8, a, b, c, d])
        }
        (126..=0xffff, None) => {
            let [h, l] = (payload_len as u16).to_be_bytes();
            put(headroom, [first, LENGTH_16, h, l])
        }
        (126..=0xffff, Some([a, b, c, d])) => {
            let [h, l] = (payload_len as u16).to_be_bytes();
            put(headroom, [first, masked | LENGTH_16, h, l, a, b, c, d])
        }
        (_, mask) => {
            let [a, b, c, d, e, f, g, h] = (payload_len as u64).to_be_bytes();
            match mask {
                None => put(headroom, [first, LENGTH_64, a, b, c, d, e, f, g, h]),
                Some([w, x, y, z]) => {
                    put(headroom, [first, masked | LENGTH_64, a, b, c, d, e, f, g, h, w, x, y, z])
                }
            }
        }
    }
}

#[inline]
fn put<const N: usize>(headroom: &mut [u8; super::MAX_HEADER_BYTES], header: [u8; N]) -> usize {
    if let Some(place) = headroom.last_chunk_mut::<N>() {
        *place = header;
    }
    N
}
