//! What a PBX says by its media connection.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| adapters::fuzz::pbx_media(data));
