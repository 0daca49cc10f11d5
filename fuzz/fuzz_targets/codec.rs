//! Feeds arbitrary bytes to the parser: compression.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| nodekeep_fuzz::codec(data));
