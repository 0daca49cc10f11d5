//! Feeds arbitrary bytes to the parser: portable.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| nodekeep_fuzz::portable(data));
