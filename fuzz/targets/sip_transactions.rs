//! A transaction of each kind under any sequence of what can happen to it.
#![no_main]

use talkpath_fuzz::sip::core::transaction::fuzz::sip_transactions;

libfuzzer_sys::fuzz_target!(|data: &[u8]| sip_transactions(data));
