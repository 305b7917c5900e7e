//! Base64 of coded audio, with the widest vectors the processor has, in buffers that exist.

use std::sync::LazyLock;

use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::GeneralPurposeConfig;
use base64::{DecodeSliceError, Engine};

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
type Standard = base64::engine::GeneralPurpose;
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
type Standard = base64::engine::Simd;

/// The standard alphabet (RFC 4648 4): padded when written, padding optional when read.
static STANDARD: LazyLock<Standard> = LazyLock::new(|| {
    let config =
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
    return Standard::standard(config);
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    return Standard::new(&base64::alphabet::STANDARD, config);
});

/// Text that is decoded at a time; a multiple of four.
const STEP_CHARS: usize = 512;
/// What one step decodes to.
const STEP_BYTES: usize = STEP_CHARS / 4 * 3;

/// Appends `audio` to `out` as base64. Allocates only if `out` has to grow.
pub(crate) fn append(out: &mut Vec<u8>, audio: &[u8]) {
    // Twice as fast as the other crate at the length of a frame, which ends with more than vectors
    // hold. That one reads as fast, and takes what this one does not: text without padding.
    base64_simd::STANDARD.encode_append(audio, out);
}

/// Decodes `text` into its own beginning and tells how many bytes that are. `None` if it is not
/// base64; `text` is spoilt then.
pub(crate) fn decode_in_place(text: &mut [u8]) -> Option<usize> {
    let mut step = [0; STEP_BYTES];
    let (mut from, mut to) = (0, 0);
    while from < text.len() {
        let end = (from + STEP_CHARS).min(text.len());
        let count = STANDARD.decode_slice(text.get(from..end)?, &mut step).ok()?;
        // Padding ends the text, so only the last step may come out short.
        if count != STEP_BYTES && end != text.len() {
            return None;
        }
        // Never overtakes what is still to be read: three bytes for four.
        text.get_mut(to..to + count)?.copy_from_slice(step.get(..count)?);
        (from, to) = (end, to + count);
    }
    Some(to)
}

/// Decodes `text` into `room` and tells how many bytes that are.
///
/// # Errors
///
/// What is wrong: the text, or the room, which must hold what as many characters may come to.
pub(crate) fn decode_into(text: &[u8], room: &mut [u8]) -> Result<usize, &'static str> {
    STANDARD.decode_slice(text, room).map_err(|error| match error {
        DecodeSliceError::OutputSliceTooSmall => "is longer than a frame may be",
        DecodeSliceError::DecodeError(_) => "is not base64",
    })
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};

    use super::{append, decode_in_place, decode_into};

    /// Any length of audio comes out as the plain engine writes it and back as it was, with
    /// padding and without.
    #[test]
    fn round_trip_at_every_length() {
        for len in (0..1000).chain([48_000, 49_151, 49_152]) {
            let audio: Vec<u8> = (0..len).map(|i| (i * 37 + i / 256) as u8).collect();
            let mut text = b"before".to_vec();
            append(&mut text, &audio);
            assert_eq!(text[6..], *STANDARD.encode(&audio).as_bytes(), "{len}");
            for text in [STANDARD.encode(&audio), STANDARD_NO_PAD.encode(&audio)] {
                let mut text = text.into_bytes();
                assert_eq!(decode_in_place(&mut text), Some(len), "{len}");
                assert_eq!(text[..len], audio);
                let text = STANDARD.encode(&audio);
                let mut room = vec![0; len.next_multiple_of(3)];
                assert_eq!(decode_into(text.as_bytes(), &mut room), Ok(len), "{len}");
                assert_eq!(room[..len], audio);
                if len > 0 {
                    assert!(decode_into(text.as_bytes(), &mut room[..len - 1]).is_err(), "{len}");
                }
            }
        }
    }

    /// Whatever the plain engine refuses is refused, wherever the fault lies: foreign characters,
    /// padding in the middle (also at the end of a step), a lonely last character, bits to spare.
    #[test]
    fn faults_are_found_everywhere() {
        let audio = [0x5a; 900];
        let good = STANDARD.encode(audio).into_bytes();
        for at in 0..good.len() {
            for fault in [b'@', b'=', b'-', b'_', b' ', b'\n', 0, 0xff] {
                let mut text = good.clone();
                text[at] = fault;
                assert!(STANDARD.decode(&text).is_err());
                assert_eq!(decode_in_place(&mut text), None, "{fault} at {at}");
            }
        }
        for text in ["A", "AA===", "AB==", "AAB=", "AAAAA", "====", "="] {
            assert_eq!(decode_in_place(&mut text.as_bytes().to_vec()), None, "{text}");
        }
    }
}
