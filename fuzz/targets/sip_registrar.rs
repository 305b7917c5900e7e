//! Sequences of registrations.
#![no_main]

use talkpath_fuzz::sip::core::registrar::fuzz::sip_registrar;

libfuzzer_sys::fuzz_target!(|data: &[u8]| sip_registrar(data));
