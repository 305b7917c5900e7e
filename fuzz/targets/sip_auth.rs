//! Challenges and credentials of digest authentication.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| talkpath_fuzz::sip::core::auth::fuzz::sip_auth(data));
