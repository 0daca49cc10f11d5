//! Feeds arbitrary bytes to the parser: tar archive.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| nodekeep_fuzz::tar(data));
