//! RTCP reports, and a session that takes them.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| media::fuzz::rtcp(data));
