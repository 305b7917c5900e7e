//! Conversion allocates nothing once a converter exists: counted by the allocator.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test")]

#[path = "support/counting.rs"]
mod counting;

use counting::{allocations, releases};
use media::codec::AudioFormat;
use media::convert::{Converter, MAX_CONVERT_INPUT_BYTES};

/// Every pair of formats, 44.1 kHz among them, with frames of 1 ms to the largest message, after a
/// reset as well.
#[test]
fn conversion_does_not_allocate() {
    let mut formats = vec![AudioFormat::PCMU, AudioFormat::PCMA, AudioFormat::G722];
    formats.push(AudioFormat::l16le(44100));
    for rate_hz in [8000, 16000, 24000, 48000] {
        formats.extend([AudioFormat::l16le(rate_hz), AudioFormat::l16be(rate_hz)]);
    }
    let input = vec![0x5a; MAX_CONVERT_INPUT_BYTES];
    for from in &formats {
        for to in &formats {
            let mut converter = Converter::new(*from, *to);
            let mut out = vec![0; converter.max_output(input.len())];
            let before = (allocations(), releases());
            let mut written = 0;
            for bytes in [from.bytes(20), from.bytes(20), from.bytes(1), 2, input.len()] {
                written += converter.convert(&input[..bytes], &mut out);
            }
            converter.reset();
            written += converter.convert(&input[..from.bytes(20)], &mut out);
            assert_eq!((allocations(), releases()), before, "{from:?} {to:?}");
            assert!(written > 0);
        }
    }
    let before = (allocations(), releases());
    drop(std::hint::black_box(Box::new(1)));
    assert_eq!((allocations(), releases()), (before.0 + 1, before.1 + 1), "the counter counts");
}
