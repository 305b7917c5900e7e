//! Opus: how long any packet lasts, and what is decoded of it in a build that can.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| media::codec::opus::fuzz::packets(data));
