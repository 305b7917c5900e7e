//! SIP messages on a byte stream.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| talkpath_fuzz::sip::core::fuzz::sip_stream(data));
