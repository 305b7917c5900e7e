//! WAV files.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| media::wav::fuzz_read(data));
