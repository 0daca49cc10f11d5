//! Feeds arbitrary bytes to the parser: roster.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| nodekeep_fuzz::roster(data));
