//! Conversion allocates nothing once a converter exists: counted by the allocator.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test")]

use media::codec::AudioFormat;
use media::convert::{Converter, MAX_CONVERT_INPUT_BYTES};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

thread_local! {
    /// Allocations and releases of this thread; the test harness has threads of its own.
    static CALLS: Cell<usize> = const { Cell::new(0) };
}

struct Counting;

// SAFETY: passes everything on to the system's allocator; the counter does not allocate.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        CALLS.set(CALLS.get() + 1);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        CALLS.set(CALLS.get() + 1);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

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
            let before = CALLS.get();
            let mut written = 0;
            for bytes in [from.bytes(20), from.bytes(20), from.bytes(1), 2, input.len()] {
                written += converter.convert(&input[..bytes], &mut out);
            }
            converter.reset();
            written += converter.convert(&input[..from.bytes(20)], &mut out);
            assert_eq!(CALLS.get(), before, "{from:?} {to:?}");
            assert!(written > 0);
        }
    }
    let before = CALLS.get();
    drop(std::hint::black_box(Box::new(1)));
    assert_eq!(CALLS.get(), before + 2, "the counter counts");
}
