//! Silence explained, whatever happens in a call.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| media::fuzz::silence(data));
