//! The playout queue against its model.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| media::playout::fuzz::playout_ops(data));
