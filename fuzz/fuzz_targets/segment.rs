//! Feeds arbitrary bytes to the parser: segment.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| nodekeep_fuzz::segment(data));
