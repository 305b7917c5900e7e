//! Two endpoints that call each other over a bad network, under any sequence of commands.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| talkpath_fuzz::sip::core::fuzz::sip_endpoint(data));
