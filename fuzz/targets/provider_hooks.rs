//! Requests of carriers to our hooks.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| adapters::fuzz::provider_hooks(data));
