//! Session descriptions of strangers, answered, taken as answers, and offered anew.
#![no_main]

use talkpath_fuzz::sip::core::{fuzz, fuzz_calls};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    fuzz_calls::sdp(data);
    fuzz::sdp(data);
});
