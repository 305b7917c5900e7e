//! Binary messages of agents in the native protocol.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| talkpath_fuzz::agent::fuzz::agent_binary(data));
