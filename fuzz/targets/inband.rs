//! Digits sent as tones.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| media::fuzz::inband(data));
