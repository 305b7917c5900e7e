//! Messages of agents on a socket of many calls.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| talkpath_fuzz::agent::fuzz::agent_link(data));
