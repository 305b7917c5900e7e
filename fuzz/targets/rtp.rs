//! RTP packets, placed and put in order.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| media::fuzz::rtp(data));
