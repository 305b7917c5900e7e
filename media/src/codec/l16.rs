//! Linear 16-bit samples: byte order.
//!
//! RTP carries L16 in network order (RFC 3551 4.5.11), agents speak little-endian. All functions
//! work on whole samples, as many as both slices hold: an odd last byte is left alone. They are
//! plain loops that compile to vector code for the baseline of each target (16 bytes at a time).

/// Swaps the bytes of each sample of `input` into `out`. Returns the bytes written.
pub fn swap(input: &[u8], out: &mut [u8]) -> usize {
    let bytes = input.len().min(out.len()) & !1;
    let (out, input) = (&mut out[..bytes], &input[..bytes]);
    for (to, from) in out.chunks_exact_mut(2).zip(input.chunks_exact(2)) {
        to.copy_from_slice(&u16::from_ne_bytes([from[0], from[1]]).swap_bytes().to_ne_bytes());
    }
    bytes
}

/// Swaps the bytes of each sample in place.
pub fn swap_in_place(bytes: &mut [u8]) {
    for sample in bytes.chunks_exact_mut(2) {
        let swapped = u16::from_ne_bytes([sample[0], sample[1]]).swap_bytes();
        sample.copy_from_slice(&swapped.to_ne_bytes());
    }
}

/// Reads little-endian samples. Returns how many.
pub fn from_le(bytes: &[u8], samples: &mut [i16]) -> usize {
    for (sample, bytes) in samples.iter_mut().zip(bytes.chunks_exact(2)) {
        *sample = i16::from_le_bytes([bytes[0], bytes[1]]);
    }
    samples.len().min(bytes.len() / 2)
}

/// Reads samples in network order. Returns how many.
pub fn from_be(bytes: &[u8], samples: &mut [i16]) -> usize {
    for (sample, bytes) in samples.iter_mut().zip(bytes.chunks_exact(2)) {
        *sample = i16::from_be_bytes([bytes[0], bytes[1]]);
    }
    samples.len().min(bytes.len() / 2)
}

/// Writes little-endian samples. Returns how many.
pub fn to_le(samples: &[i16], bytes: &mut [u8]) -> usize {
    for (bytes, sample) in bytes.chunks_exact_mut(2).zip(samples) {
        bytes.copy_from_slice(&sample.to_le_bytes());
    }
    samples.len().min(bytes.len() / 2)
}

/// Writes samples in network order. Returns how many.
pub fn to_be(samples: &[i16], bytes: &mut [u8]) -> usize {
    for (bytes, sample) in bytes.chunks_exact_mut(2).zip(samples) {
        bytes.copy_from_slice(&sample.to_be_bytes());
    }
    samples.len().min(bytes.len() / 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every function agrees with the definition of its byte order at each length, stops at the
    /// shorter slice and leaves an odd byte and what lies behind alone.
    #[test]
    fn byte_orders_at_every_length() {
        for bytes_in in 0..130usize {
            for room in [0, 1, bytes_in / 2, bytes_in, bytes_in + 3] {
                let input: Vec<u8> = (0..bytes_in).map(|i| (i * 7 + 1) as u8).collect();
                let whole = bytes_in.min(room) / 2;

                let mut out = vec![0xee; room];
                assert_eq!(swap(&input, &mut out), 2 * whole);
                let mut again = input.clone();
                swap_in_place(&mut again);
                for i in 0..whole {
                    assert_eq!(out[2 * i..][..2], [input[2 * i + 1], input[2 * i]]);
                    assert_eq!(again[2 * i..][..2], out[2 * i..][..2]);
                }
                assert!(out[2 * whole..].iter().all(|b| *b == 0xee));
                assert_eq!(again[bytes_in & !1..], input[bytes_in & !1..]);

                let mut samples = vec![0x5555; room / 2];
                assert_eq!(from_le(&input, &mut samples), whole);
                for i in 0..whole {
                    let expected = i32::from(input[2 * i]) + 256 * i32::from(input[2 * i + 1]);
                    assert_eq!(samples[i], expected as u16 as i16);
                }
                let mut back = vec![0xee; room];
                assert_eq!(to_le(&samples[..whole], &mut back), whole);
                assert_eq!(back[..2 * whole], input[..2 * whole]);

                assert_eq!(from_be(&out, &mut samples), room / 2);
                assert_eq!(to_be(&samples[..whole], &mut back), whole);
                assert_eq!(back[..2 * whole], out[..2 * whole]);
            }
        }
        let mut sample = [0];
        assert_eq!(from_be(&[0x12, 0x34], &mut sample), 1);
        assert_eq!(sample, [0x1234]);
    }
}
