//! Session descriptions, as offers and as answers.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| talkpath_fuzz::sip::core::fuzz_calls::sdp(data));
