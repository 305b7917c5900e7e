//! Digits of RFC 4733.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| media::fuzz::dtmf(data));
