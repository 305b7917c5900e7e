//! The jitter buffer under any sequence of operations.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| media::jitter::fuzz::jitter_ops(data));
