//! Feeds arbitrary bytes to the parser: pack.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| nodekeep_fuzz::pack(data));
