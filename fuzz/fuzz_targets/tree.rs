//! Feeds arbitrary bytes to the parser: tree.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| nodekeep_fuzz::tree(data));
