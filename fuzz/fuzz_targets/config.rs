//! Feeds arbitrary bytes to the parser: config.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| nodekeep_fuzz::config(data));
