//! Messages and decisions, played to an endpoint until nothing is left.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| talkpath_fuzz::sip::core::fuzz_calls::endpoint(data));
