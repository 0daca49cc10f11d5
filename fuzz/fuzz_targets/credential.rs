//! Feeds arbitrary bytes to the parser: credential.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| nodekeep_fuzz::credential(data));
