//! G.722: any bytes, there and back.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| media::fuzz::g722(data));
