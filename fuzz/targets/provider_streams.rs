//! Messages of carriers' media streams.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| adapters::fuzz::provider_streams(data));
