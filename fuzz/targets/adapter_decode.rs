//! Messages and requests of carriers.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| adapters::fuzz::adapter_decode(data));
