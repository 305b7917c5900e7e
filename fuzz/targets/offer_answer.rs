//! Offers and answers of two sides and of strangers, in any order.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| talkpath_fuzz::sip::core::fuzz_calls::offer_answer(data));
