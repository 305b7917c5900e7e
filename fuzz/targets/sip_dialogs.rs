//! Both sides of a dialog under any sequence of requests, lost, repeated and reordered.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| talkpath_fuzz::sip::core::dialog::fuzz::sip_dialogs(
    data
));
