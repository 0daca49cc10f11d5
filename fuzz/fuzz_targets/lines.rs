//! Feeds arbitrary bytes to the parser: lines of JSON.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| nodekeep_fuzz::nodes::lines(data));
