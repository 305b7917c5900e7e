//! One SIP message, read and written.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| talkpath_fuzz::sip::core::fuzz::sip_message(data));
