//! Feeds arbitrary bytes to the parser: backup directories of Axon.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| nodekeep_fuzz::axon::backup(data));
