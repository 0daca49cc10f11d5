//! Feeds arbitrary bytes to the parser: LSM database.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| nodekeep_fuzz::nodes::lsm_database(data));
