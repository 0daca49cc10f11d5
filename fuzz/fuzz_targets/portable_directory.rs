//! Feeds arbitrary bytes to the parser: portable directory.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| nodekeep_fuzz::portable_directory(data));
