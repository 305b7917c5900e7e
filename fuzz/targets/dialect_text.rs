//! Text messages of agents in the other dialect.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| adapters::dialect::dialect_text(data));
