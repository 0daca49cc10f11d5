//! Feeds arbitrary bytes to the parser: configuration, key and objects of Guts.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| nodekeep_fuzz::nodes::guts(data));
