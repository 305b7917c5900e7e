//! SRTP and SRTCP, forged and genuine.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| media::fuzz::srtp(data));
