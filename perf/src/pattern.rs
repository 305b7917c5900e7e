//! Audio whose every byte says whose it is: the payload of packet `index` of call `call`.
//!
//! The codes 0x7F and 0xFF (µ-law minus and plus zero) never occur, so the pattern survives not
//! only a pass-through but also µ-law → linear → µ-law (G.711 decodes both zeros to 0 and encodes
//! 0 to 0xFF), and silence that a server fills in cannot be mistaken for it.

/// Bytes that carry the call, the index and a check, one nibble each.
const HEAD_BYTES: usize = 26;

/// Shortest payload that can be told from chance, in bytes.
pub(crate) const MIN_BYTES: usize = 40;

/// High nibble of every byte of the head.
const HEAD_CODE: u8 = 0xA0;

/// What a payload turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Content {
    /// Bit-exact audio of a call's packet.
    Exact {
        /// The call it was made for.
        call: u32,
        /// The packet's number in its call.
        index: u32,
    },
    /// Nothing but µ-law silence: fill from the server.
    Fill,
    /// Anything else.
    Altered,
}

/// One step of splitmix64: a full-period generator whose output passes as noise.
fn mix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

fn seed(call: u32, index: u32) -> u64 {
    u64::from(call) << 32 | u64::from(index)
}

/// Call, index and the upper 40 bits of their hash, in nibbles.
fn head(call: u32, index: u32) -> [u8; HEAD_BYTES] {
    let mut state = seed(call, index);
    let number = u128::from(seed(call, index)) << 40 | u128::from(mix(&mut state) >> 24);
    std::array::from_fn(|at| {
        let shift = 4 * (HEAD_BYTES - 1 - at);
        HEAD_CODE | (number >> shift & 15) as u8
    })
}

/// Calls `visit` with the bytes of the tail in order, until it returns false.
fn tail(call: u32, index: u32, length: usize, mut visit: impl FnMut(usize, u8) -> bool) {
    let mut state = !seed(call, index);
    let mut at = 0;
    while at < length {
        for byte in mix(&mut state).to_le_bytes() {
            let audible = if byte & 0x7F == 0x7F { byte ^ 1 } else { byte };
            if at == length || !visit(at, audible) {
                return;
            }
            at += 1;
        }
    }
}

/// Writes the audio of packet `index` of `call` over `payload`.
pub(crate) fn fill(payload: &mut [u8], call: u32, index: u32) {
    for (to, from) in payload.iter_mut().zip(head(call, index)) {
        *to = from;
    }
    if let Some(rest) = payload.get_mut(HEAD_BYTES..) {
        let length = rest.len();
        let mut bytes = rest.iter_mut();
        tail(call, index, length, |_, byte| {
            if let Some(to) = bytes.next() {
                *to = byte;
            }
            true
        });
    }
}

/// Says what a payload is, every byte of it compared.
pub(crate) fn read(payload: &[u8]) -> Content {
    let other = || {
        let silent = payload.iter().all(|byte| byte & 0x7F == 0x7F);
        if silent { Content::Fill } else { Content::Altered }
    };
    let Some((start, rest)) = payload.split_first_chunk::<HEAD_BYTES>() else { return other() };
    if payload.len() < MIN_BYTES {
        return other();
    }
    let number = start.iter().fold(0u128, |sum, byte| sum << 4 | u128::from(byte & 15)) >> 40;
    let (call, index) = ((number >> 32) as u32, number as u32);
    if *start != head(call, index) {
        return other();
    }
    let mut same = true;
    tail(call, index, rest.len(), |at, byte| {
        same = rest.get(at) == Some(&byte);
        same
    });
    if same { Content::Exact { call, index } } else { Content::Altered }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Any packet of any call comes back as itself, at every length used.
    #[test]
    fn every_packet_names_itself() {
        for length in [MIN_BYTES, 80, 160, 161, 240, 320, 480] {
            for call in [0, 1, 77, 499, 65_535, u32::MAX] {
                for index in [0, 1, 49, 3_000, u32::MAX] {
                    let mut payload = vec![0; length];
                    fill(&mut payload, call, index);
                    assert_eq!(read(&payload), Content::Exact { call, index });
                    assert!(payload.iter().all(|byte| byte & 0x7F != 0x7F));
                }
            }
        }
    }

    /// A change of any one bit of any byte is seen.
    #[test]
    fn every_flipped_bit_is_seen() {
        let mut payload = [0; 160];
        fill(&mut payload, 12, 34);
        for at in 0..payload.len() {
            for bit in 0..8 {
                let mut wrong = payload;
                wrong[at] ^= 1 << bit;
                assert_eq!(read(&wrong), Content::Altered, "byte {at}, bit {bit}");
            }
        }
    }

    /// A payload cut short, shifted or made of two packets is altered; silence is fill.
    #[test]
    fn cuts_shifts_and_silence() {
        let mut first = [0; 160];
        let mut second = [0; 160];
        fill(&mut first, 1, 1);
        fill(&mut second, 1, 2);
        for cut in 1..160 {
            let mixed = [&first[cut..], &second[..cut]].concat();
            assert_eq!(read(&mixed), Content::Altered, "shifted by {cut}");
        }
        assert_eq!(read(&first[..20]), Content::Altered);
        assert_eq!(read(&[0xFF; 160]), Content::Fill);
        assert_eq!(read(&[0x7F; 10]), Content::Fill);
        assert_eq!(read(&[0; 160]), Content::Altered);
    }
}
