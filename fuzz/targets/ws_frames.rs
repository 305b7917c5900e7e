//! WebSocket frames, whole and cut.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| talkpath_fuzz::bridge::framing::ws_frames(data));
